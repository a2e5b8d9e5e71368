from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daskflow.execution.book import Book
from daskflow.execution.notices.events import EventHub
from daskflow.execution.plan import Prior
from daskflow.graph.job import Job
from daskflow.model.outcome import Failure, LogSlice, Outcome, ReportItem
from daskflow.model.records import EventRecord, RunRecord
from daskflow.model.states import JobState
from daskflow.stores import Database, Journal, JournalWriter
from tests.execution.handmade import ended, job, stored


class Shelf:
    """A book that writes to a journal of its own."""

    def __init__(self, directory: Path) -> None:
        self.journal = Journal(Database(str(directory / "journal.db")))
        self.journal.add_run(RunRecord(id="a-run", flow="study", created=time.time()))
        self.writer = JournalWriter(self.journal)
        self.hub = EventHub()
        self.book = Book(self.writer, "a-run", {}, hub=self.hub)

    def write(self, **priors: Prior) -> None:
        self.book.write(priors)
        self.writer.flush()

    def close(self) -> None:
        self.hub.close(10)
        self.writer.close()
        self.journal.database.close()


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    made = Shelf(tmp_path)
    yield made
    made.close()


def numbered(shelf: Shelf, *jobs: Job) -> None:
    for one in jobs:
        one.number = shelf.book.number(one.key)


def test_numbers_count_on_from_those_before_the_run_was_resumed() -> None:
    book = Book(None, "a-run", {"old": 0, "older": 4})  # type: ignore[arg-type]
    assert [book.number(key) for key in ("new", "old", "newer", "older")] == [5, 0, 6, 4]


def test_planned_jobs_are_recorded_with_their_code(shelf: Shelf) -> None:
    one = job("fit-1", name="fit", cache=True)
    two = job("plot-1", one, name="plot")
    two.site = "far"
    numbered(shelf, one, two)
    one.state, two.state = JobState.cached, JobState.queued
    one.reason = "known since run x"
    shelf.book.planned([one, two], [two], "near")
    shelf.writer.flush()
    first, second = shelf.journal.jobs("a-run")
    assert (first.key, first.task, first.state, first.reason, first.site) == (
        "fit-1",
        "fit",
        JobState.cached,
        "known since run x",
        "near",
    )
    assert (second.upstream, second.site, second.state) == ((0,), "far", JobState.queued)
    assert shelf.journal.fingerprint(one.fingerprint) == dict(one.task.fingerprint().parts)


def test_jobs_that_are_recalled_take_their_new_state(shelf: Shelf) -> None:
    one, two = job("fit-1"), job("fit-2")
    numbered(shelf, one, two)
    shelf.book.planned([one], [], "near")
    one.state = two.state = JobState.queued
    shelf.book.planned([two], [one, two], "near")
    shelf.writer.flush()
    assert [record.state for record in shelf.journal.jobs("a-run")] == [JobState.queued] * 2


def test_what_an_attempt_left(shelf: Shelf) -> None:
    one = job("fit-1", name="fit")
    numbered(shelf, one)
    shelf.book.planned([one], [one], "near")
    reports = (ReportItem("metric", "chisq", '{"value": 1.0}'), ReportItem("image", "uv", "{}", b"png"))
    failure = Failure("ValueError", "bad", "Traceback ...")
    tried = ended(one, "failed", failure=failure, log=LogSlice("a.log", 3, 9), reports=reports * 2, final=False)
    shelf.book.ended(one, tried, 0.0)
    one.attempts = 1
    outcome = ended(one, seconds=2.0, cpu=1.5, memory=7, pid=11, inputs="inputs", reports=reports)
    shelf.book.ended(one, outcome, 0.0)
    shelf.write(**{"fit-1": Prior("form", ())})
    first, second = shelf.journal.attempts("a-run")
    assert (first.attempt, first.state, first.error_type, first.error_message) == (1, "failed", "ValueError", "bad")
    assert (first.traceback, first.log_file, first.log_start, first.log_stop) == ("Traceback ...", "a.log", 3, 9)
    assert (second.attempt, second.state, second.cpu, second.memory, second.pid) == (2, "succeeded", 1.5, 7, 11)
    assert shelf.journal.jobs("a-run")[0].state is JobState.succeeded
    assert shelf.journal.lookup(["fit-1"])["fit-1"].seconds == pytest.approx(2.0)
    assert shelf.journal.priors(["form"]) == {"form": [("inputs", stored())]}
    assert [(r.kind, r.title, r.content, r.task) for r in shelf.journal.reports("a-run")] == [
        ("metric", "chisq", None, "fit"),
        ("image", "uv", b"png", "fit"),
    ]
    assert [(event.kind, event.key) for event in shelf.journal.events("a-run")] == [("attempt.failed", "fit-1")]


def test_failures_and_skips_are_events(shelf: Shelf) -> None:
    one, two = job("fit-1", name="fit"), job("fit-2", name="fit")
    numbered(shelf, one, two)
    shelf.book.planned([one, two], [one, two], "near")
    shelf.book.ended(one, ended(one, "failed", failure=Failure("ValueError", "x" * 1000, "")), 0.0)
    shelf.book.ended(two, Outcome("fit-2", "skipped", 1, 1.0, 1.0, reason="fit-1 failed"), 0.0)
    shelf.write()
    failed, skipped = sorted(shelf.journal.events("a-run"), key=lambda event: event.kind)
    assert (failed.kind, failed.key, failed.data["task"]) == ("job.failed", "fit-1", "fit")
    assert failed.data["reason"].startswith("ValueError: xxx")
    assert len(failed.data["reason"]) == 500
    assert (skipped.kind, skipped.data["reason"]) == ("job.skipped", "fit-1 failed")
    assert [(a.number, a.state) for a in shelf.journal.attempts("a-run")] == [(0, "failed")], "a skip is no attempt"


@pytest.mark.parametrize(("cache", "kept"), [(True, 1), ("run", 1), (False, 0)])
def test_what_is_never_remembered_leaves_no_result(shelf: Shelf, cache: Any, kept: int) -> None:
    one = job("fit-1", cache=cache)
    numbered(shelf, one)
    shelf.book.planned([one], [one], "near")
    shelf.book.ended(one, ended(one), 0.0)
    shelf.write()
    assert len(shelf.journal.lookup(["fit-1"])) == kept
    assert len(shelf.journal.attempts("a-run")) == 1


def test_early_cutoff_does_not_teach_that_jobs_take_no_time(shelf: Shelf) -> None:
    jobs = [job(f"fit-{number}", name="fit") for number in range(10)]
    numbered(shelf, *jobs)
    shelf.book.planned(jobs, jobs, "near")
    shelf.book.ended(jobs[0], ended(jobs[0], seconds=60.0), 0.0)
    for one in jobs[1:]:
        shelf.book.ended(one, ended(one, "cached", seconds=0.0), 60.0)
    shelf.write()
    assert shelf.journal.durations(["fit"])["fit"] == pytest.approx(60.0, rel=1e-3)


def test_states_without_an_attempt(shelf: Shelf) -> None:
    one, two = job("fit-1"), job("fit-2")
    numbered(shelf, one, two)
    shelf.book.planned([one, two], [one, two], "near")
    shelf.book.running([one])
    two.state, two.reason = JobState.cancelled, "by hand"
    shelf.book.state(two)
    shelf.book.event("run.paused", by="somebody")
    shelf.write()
    shelf.write()
    assert [(r.state, r.reason) for r in shelf.journal.jobs("a-run")] == [
        (JobState.running, ""),
        (JobState.cancelled, "by hand"),
    ]
    assert [(event.kind, event.data) for event in shelf.journal.events("a-run")] == [("run.paused", {"by": "somebody"})]


def test_long_recipes_are_cut(shelf: Shelf) -> None:
    one = job("fit-1")
    one.recipe = "x=" + "1" * 10_000
    numbered(shelf, one)
    shelf.book.planned([one], [one], "near")
    shelf.writer.flush()
    assert len(shelf.journal.jobs("a-run")[0].recipe) == 4000


def test_rows_are_json(shelf: Shelf) -> None:
    one = job("fit-1")
    numbered(shelf, one)
    shelf.book.ended(one, Outcome("fit-1", "skipped", 1, 1.0, 1.0, reason='quote " and ü'), 0.0)
    assert json.loads(shelf.book._rows["events"][0][4])["reason"] == 'quote " and ü'


def test_subscribers_hear_what_the_journal_gets(shelf: Shelf) -> None:
    heard: list[EventRecord] = []
    shelf.hub.subscribe("*", heard.append)
    one, two = job("fit-1", name="fit"), job("fit-2", name="fit")
    numbered(shelf, one, two)
    shelf.book.planned([one, two], [one, two], "near")
    shelf.book.ended(one, ended(one), 0.0)
    shelf.book.ended(two, ended(two, "failed", failure=Failure("ValueError", "bad", "")), 0.0)
    shelf.book.emitted("fit-1", "qa.low", '{"score": 0.4}', 2.0)
    shelf.book.event("run.paused", kind="by hand")
    shelf.write()
    shelf.hub.close(10)
    assert [(e.kind, e.key) for e in heard] == [("job.failed", "fit-2"), ("qa.low", "fit-1"), ("run.paused", "")]
    assert heard == shelf.journal.events("a-run")
    assert heard[1] == EventRecord(run="a-run", kind="qa.low", time=2.0, key="fit-1", data={"score": 0.4})
    assert heard[2].data == {"kind": "by hand"}
