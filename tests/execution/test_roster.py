from __future__ import annotations

import pickle
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest

from daskflow.artifacts.values import Values
from daskflow.execution.book import Book
from daskflow.execution.roster import Roster
from daskflow.execution.sending.dispatch import Packer, Shipment
from daskflow.execution.sending.needing import Needing
from daskflow.execution.worker.package import Bench, Package
from daskflow.graph.job import Job
from daskflow.model.outcome import Known
from daskflow.model.states import JOB_TRANSITIONS, JobState
from daskflow.sites import Site
from tests.execution.handmade import PaperSite, ended, job, stored


class Writer:
    """Collects rows instead of writing them."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Any]] = {}

    def put(self, kind: str, rows: Iterable[Any]) -> None:
        self.rows.setdefault(kind, []).extend(rows)

    def put_together(self, batch: Mapping[str, Iterable[Any]]) -> None:
        for kind, rows in batch.items():
            self.put(kind, rows)


class Desk:
    """A roster with sites of paper."""

    def __init__(self, *jobs: Job, bundling: bool = False) -> None:
        self.writer = Writer()
        self.sites = {"here": PaperSite("here"), "there": PaperSite("there")}
        book = Book(self.writer, "a-run", {})  # type: ignore[arg-type]
        needing = Needing()
        packer = Packer("a-run", pickle.dumps(Bench("a-run", Values(None), "", "")), needing)
        self.roster = Roster(book, packer, self.site_of, needing, bundling=bundling)
        self.roster.jobs.update((one.key, one) for one in jobs)
        self.roster.queue(jobs, jobs, {}, "here")

    def site_of(self, one: Job) -> Site:
        return self.sites[one.site or "here"]

    def go(self) -> list[list[str]]:
        """Pack, and see to which jobs go together in each node."""
        shipments: Sequence[tuple[Site, Shipment]] = self.roster.pack()
        self.roster.flights.arrived()
        return [[one.key for one in group] for _, found in shipments for group in found.members.values()]

    def node(self, one: Job) -> str:
        return self.roster.flights._node_of[one.key]

    def states(self) -> list[str]:
        return [str(one.state) for one in self.roster.jobs.values()]


def chain(length: int) -> list[Job]:
    jobs = [job("job-0")]
    for number in range(1, length):
        jobs.append(job(f"job-{number}", jobs[-1]))
    return jobs


def test_what_is_on_its_way_at_the_same_site_need_not_be_waited_for() -> None:
    jobs = chain(3)
    jobs[2].site = "there"
    desk = Desk(*jobs)
    assert desk.go() == [["job-0"], ["job-1"]]
    assert desk.go() == []
    desk.roster.take([ended(jobs[0])])
    assert desk.go() == []
    desk.roster.take([ended(jobs[1])])
    assert desk.go() == [["job-2"]]
    assert desk.roster.open == 1
    desk.roster.take([ended(jobs[2])])
    assert desk.roster.open == 0
    assert desk.states() == ["succeeded"] * 3


def test_a_failure_skips_what_is_held_for_it() -> None:
    jobs = chain(4)
    for one in jobs[1:]:
        one.site = "there"
    desk = Desk(*jobs)
    desk.go()
    desk.roster.take([ended(jobs[0], "failed")])
    assert desk.go() == []
    assert desk.states() == ["failed", "skipped", "skipped", "skipped"]
    assert {one.reason for one in jobs[1:]} == {"job-0 failed"}
    assert desk.roster.open == 0
    assert [row[:3] for row in desk.writer.rows["states"]] == [("a-run", one.number, str(one.state)) for one in jobs], (
        "recorded at once: nothing else may ever happen in this run"
    )


def test_an_attempt_that_is_not_the_last_changes_no_state() -> None:
    (one,) = jobs = chain(1)
    desk = Desk(*jobs)
    desk.go()
    desk.roster.take([ended(one, "failed", final=False)])
    assert (one.state, one.attempts, desk.roster.open) == (JobState.queued, 1, 1)
    desk.roster.take([ended(one)])
    assert (one.state, one.attempts, desk.roster.open) == (JobState.succeeded, 2, 0)
    assert [(row[2], row[3]) for row in desk.writer.rows["attempts"]] == [(1, "failed"), (2, "succeeded")]


def test_attempts_whose_workers_were_lost_count() -> None:
    (one,) = jobs = chain(1)
    desk = Desk(*jobs)
    desk.go()
    for _ in range(2):
        desk.roster.take([ended(one, "failed", final=False)._replace(attempt=0)])
    assert (one.state, one.attempts) == (JobState.queued, 2)
    desk.roster.take([ended(one, "failed", final=False)._replace(attempt=1), ended(one)._replace(attempt=2)])
    assert [(row[2], row[3]) for row in desk.writer.rows["attempts"]] == [
        (1, "failed"),
        (2, "failed"),
        (3, "failed"),
        (4, "succeeded"),
    ]


def test_what_is_told_twice_counts_once() -> None:
    jobs = chain(1)
    desk = Desk(*jobs)
    desk.go()
    desk.roster.take([ended(jobs[0]), ended(jobs[0])])
    desk.roster.take([ended(jobs[0], "failed")])
    assert desk.states() == ["succeeded"]
    assert desk.roster.open == 0
    assert len(desk.writer.rows["results"]) == 1


def test_a_job_that_lost_its_worker_fails_and_what_depends_on_it_is_skipped() -> None:
    jobs = chain(2)
    desk = Desk(*jobs)
    desk.go()
    first, second = desk.node(jobs[0]), desk.node(jobs[1])
    desk.roster.lose(first, "4 workers were lost", "job-0")
    desk.roster.lose(second, "4 workers were lost", "")
    assert desk.states() == ["failed", "skipped"]
    assert jobs[0].record.failure.type == "daskflow.errors.WorkerLost"
    assert jobs[0].record.failure.message == "4 workers were lost"


def test_of_a_lost_bundle_only_the_culprit_fails() -> None:
    jobs = [job(f"job-{number}") for number in range(8)]
    after = job("after", jobs[0])
    desk = Desk(*jobs, after, bundling=True)
    desk.roster.pace.learn({"work": 1e-5})
    desk.roster._held.pop("after")
    groups = desk.go()
    assert len(groups) < 8
    bundled = next(group for group in groups if "job-1" in group and len(group) > 1)
    desk.roster.lose(desk.node(jobs[1]), "a worker was lost", "job-1")
    assert jobs[1].state is JobState.failed
    others = [one for one in jobs if one.key in bundled and one.key != "job-1"]
    assert {one.state for one in others} == {JobState.queued}
    assert desk.go() == [[one.key] for one in others], "alone now: whoever does it again is found out"


def test_a_node_that_waits_for_a_lost_bundle_is_innocent() -> None:
    jobs = [job(f"job-{number}") for number in range(8)]
    after = job("after", jobs[0], name="other")
    desk = Desk(*jobs, after, bundling=True)
    desk.roster.pace.learn({"work": 1e-5, "other": 60.0})
    groups = desk.go()
    assert ["after"] in groups
    bundled = next(group for group in groups if "job-0" in group)
    assert len(bundled) > 1
    node = desk.node(after)
    desk.roster.lose(desk.node(jobs[0]), "a worker was lost", "")
    # dask gives up what depends on a lost task too.
    desk.roster.lose(node, "a worker was lost", "")
    assert after.state is JobState.queued
    assert [key for group in desk.go() for key in group] == [*bundled, "after"]


def test_a_job_held_again_is_queued_again() -> None:
    jobs = [job(f"job-{number}") for number in range(8)]
    desk = Desk(*jobs, bundling=True)
    desk.roster.pace.learn({"work": 1e-5})
    desk.go()
    node = desk.node(jobs[0])
    desk.roster.running([node])
    assert desk.states()[0] == "running"
    assert desk.writer.rows["states"] == [("a-run", jobs[0].number, "running", "")]
    desk.roster.lose(node, "a worker was lost", "")
    assert desk.states()[0] == "queued"
    assert JobState.queued in JOB_TRANSITIONS[JobState.running]


def budgets(desk: Desk) -> dict[str, int]:
    """What of its retries each job that goes now has used up."""
    nodes = [node for _, found in desk.roster.pack() for node in found.nodes]
    desk.roster.flights.arrived()
    packages: list[Package] = [pickle.loads(node.package) for node in nodes]
    return {one.key: one.failed for package in packages for one in package.assignments}


def test_a_job_that_hands_over_keeps_what_is_left_of_its_retries() -> None:
    one = job("one", retries=2)
    desk = Desk(one)
    for failures in (0, 1, 2):
        assert budgets(desk) == {"one": failures}
        strike = ended(one, "failed", final=False)._replace(attempt=0)
        failed = ended(one, "failed", final=False)
        over = ended(one, "waiting", final=False, wants=75.0)
        desk.roster.take([strike])
        desk.roster.take([failed._replace(attempt=one.attempts + 1), over._replace(attempt=one.attempts + 2)])
        assert one.state is JobState.queued
    assert budgets(desk) == {"one": 3}


def test_who_lost_its_worker_has_one_retry_less() -> None:
    one = job("one", retries=2)
    desk = Desk(one)
    for failures in (0, 1, 2):
        assert budgets(desk) == {"one": failures}
        assert not one.state.final
        desk.roster.lose(desk.node(one), "its worker was lost", "one")
    assert one.state is JobState.failed


def test_what_was_handed_over_counts_in_what_a_job_took() -> None:
    (one,) = jobs = chain(1)
    desk = Desk(*jobs)
    for seconds in (10.0, 20.0):
        desk.go()
        desk.roster.take([ended(one, "waiting", seconds=seconds, final=False, cpu=seconds / 2, memory=100)])
    desk.go()
    desk.roster.take([ended(one, seconds=5.0, cpu=5.0, memory=50)])
    assert one.record.stop - one.record.start == pytest.approx(35.0)
    assert (one.record.cpu, one.record.memory) == (20.0, 100)
    (row,) = desk.writer.rows["attempts"]
    assert row[5] - row[4] == pytest.approx(35.0)
    (row,) = desk.writer.rows["results"]
    assert 35.0 in [pytest.approx(field) for field in row if isinstance(field, float)]


class Unpicklable:
    def __init__(self) -> None:
        self.lock = threading.Lock()


def test_a_job_that_cannot_be_packed_fails_alone() -> None:
    jobs = [job("bad"), job("good"), job("far")]
    jobs.append(job("after", jobs[0]))
    jobs[0].arguments = [Unpicklable()]
    jobs[2].site = "there"
    desk = Desk(*jobs)
    assert sorted(desk.go()) == [["far"], ["good"]]
    assert desk.states() == ["failed", "queued", "queued", "skipped"]
    assert "cannot pickle '_thread.lock'" in jobs[0].record.failure.message
    assert desk.roster.open == 2


def test_known_jobs_need_no_site() -> None:
    known = job("known")
    desk = Desk()
    desk.roster.cached([(known, Known(stored(), "an-earlier-run", 3.0))])
    assert known.state is JobState.cached
    assert known.reason == "known since run an-earlier-run"
    assert desk.roster.stored["known"] == stored()


def test_stopping_lets_go_of_everything() -> None:
    jobs = chain(3)
    jobs[2].site = "there"
    desk = Desk(*jobs)
    desk.go()
    desk.roster.take([ended(jobs[0])])
    desk.roster.stop(None)
    assert desk.states() == ["succeeded", "queued", "queued"], "to be resumed"
    desk.roster.stop(JobState.cancelled)
    assert desk.states() == ["succeeded", "cancelled", "cancelled"]
    assert not desk.roster.held
    assert len(desk.sites["here"].released) == 2
    desk.roster.take([ended(jobs[1])])
    assert desk.states() == ["succeeded", "cancelled", "cancelled"], "a final state stays"


def test_priors_are_forgotten_when_they_are_of_no_more_use() -> None:
    jobs = chain(2)
    desk = Desk(*jobs)
    desk.roster._priors = {"job-0": None, "job-1": None}  # type: ignore[dict-item]
    desk.roster.take([ended(jobs[0])])
    assert list(desk.roster._priors) == ["job-1"]
