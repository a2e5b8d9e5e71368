from __future__ import annotations

import threading
from typing import Any

import pytest

from daskflow.errors import JobSkipped
from daskflow.execution.results import Results, failure_of
from daskflow.graph.job import Job
from daskflow.model.outcome import Failure, Known, Stored
from daskflow.model.states import JobState
from tests.conftest import Lab
from tests.execution.handmade import ended, job


@pytest.fixture
def shelf() -> dict[str, Stored]:
    return {}


@pytest.fixture
def results(lab: Lab, shelf: dict[str, Stored]) -> Results:
    return Results(lab.project, shelf, threading.Condition())


def cached(lab: Lab, key: str, value: Any, shelf: dict[str, Stored]) -> Job:
    """A job whose result the journal has; its bytes were not read when it was planned."""
    found = lab.project.values.dump(value)
    row = (key, "work", "code", None, "", found.digest, found.size, found.format, found.inline, "before", 1.0, 2.0, 3)
    lab.project.journal.add_results([row])
    made = job(key)
    shelf[key] = found._replace(inline=None)
    made.state, made.record = JobState.cached, Known(shelf[key], "before", 1.0)
    return made


def test_the_bytes_of_what_was_known_are_fetched_when_they_are_needed(
    lab: Lab, results: Results, shelf: dict[str, Stored]
) -> None:
    one, two = cached(lab, "one", [1], shelf), cached(lab, "two", [2], shelf)
    assert results.gather([one, two]) == {"one": [1], "two": [2]}
    assert shelf["one"].inline is not None
    assert results.value(one) is not results.value(one), "a new object at each call"


def test_failures_that_are_passed_on_lie_with_the_results(results: Results, shelf: dict[str, Stored]) -> None:
    bad, gone = job("bad"), job("gone")
    bad.state, bad.record = JobState.failed, ended(bad, "failed", failure=Failure("ValueError", "no", "traceback"))
    gone.state, gone.reason = JobState.skipped, "bad failed"
    user = job("user", bad, gone)
    user.terms = user.terms._replace(lenient=frozenset({"bad"}))
    results.fetch_upstream([user])
    assert results.value(bad) == bad.record.failure
    assert list(shelf) == ["bad"]


def test_a_job_that_never_ran_has_a_failure_too() -> None:
    gone = job("gone")
    gone.state, gone.reason = JobState.skipped, "bad failed"
    found = failure_of(gone)
    assert found.type == f"daskflow.errors.{JobSkipped.__name__}"
    assert "bad failed" in found.message
