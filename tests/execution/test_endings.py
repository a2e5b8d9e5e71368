from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

from daskflow.errors import RunFailed
from daskflow.execution.endings import jobs_failed, jobs_in, runs_failed, with_results
from daskflow.graph.job import Job
from daskflow.model.outcome import Failure, Outcome
from daskflow.model.states import JobState
from tests.execution.handmade import ended, job


@dataclasses.dataclass
class Pair:
    one: Any
    two: Any


class Shelf:
    """A host that has the outcomes of hand-made jobs."""

    def outcome(self, of: Job) -> Outcome | None:
        return of.record if isinstance(of.record, Outcome) else None


def broken(key: str, **fields: Any) -> Job:
    made = job(key)
    made.state, made.reason, made.host = JobState.failed, "no reason", Shelf()  # type: ignore[assignment]
    made.record = ended(made, "failed", **fields)
    return made


def test_the_failures_are_listed_with_the_first_traceback() -> None:
    jobs = [broken(f"job-{i}", failure=Failure("ValueError", f"no {i}\nmore", f"traceback {i}")) for i in range(25)]
    skipped = job("skipped")
    skipped.state = JobState.skipped
    lines = str(jobs_failed("a-run", jobs, [*jobs, skipped])).splitlines()
    assert lines[0] == "25 of the 26 jobs of run a-run failed, 1 were skipped:"
    assert lines[1] == "  job-0: ValueError: no 0"
    assert lines[20:22] == ["  job-19: ValueError: no 19", "  and 5 more: `daskflow show a-run` lists them all"]
    assert lines[22:] == ["job-0 raised:", "traceback 0"]


def test_where_there_is_no_traceback_none_is_announced() -> None:
    for traceback in ("", " \n", "WorkerLost: it died\n"):
        bad = broken("job-1", failure=Failure("WorkerLost", "it died\nat once", traceback))
        assert str(jobs_failed("a-run", [bad], [bad])).splitlines()[1:] == ["  job-1: WorkerLost: it died"]


def test_a_job_that_left_no_error_tells_its_state() -> None:
    assert "  job-1: failed: no reason" in str(jobs_failed("a-run", [broken("job-1")], []))


def test_runs_that_did_not_end_well_are_listed() -> None:
    error = runs_failed("a-run", [SimpleNamespace(id="child", state="failed")])
    assert isinstance(error, RunFailed)
    assert str(error).endswith("that a-run started did not end well:\n  child: failed")


def test_results_take_the_places_of_jobs_and_their_parts() -> None:
    one, two = job("one"), job("two")
    value = {"list": [one, two["a"]], "pair": Pair(two.output.shape, "plain")}
    assert [found.key for found in jobs_in(value)] == ["one", "two", "two"]
    results = {"one": 1, "two": SimpleNamespace(shape=(2,))}
    assert with_results([one, two.output.shape], results) == [1, (2,)]
    assert with_results({"a": two["x"]}, {"two": {"x": 5}}) == {"a": 5}
    assert with_results(Pair(one, 3), results) == Pair(1, 3)
