"""Sums over a recorded run."""

from __future__ import annotations

from typing import Any

import pytest

from daskflow.errors import NotFound, RunFailed
from daskflow.execution.insight.summary import Failed, summarize
from daskflow.model.records import JobRecord
from tests.conftest import Lab


@pytest.fixture
def study(lab: Lab) -> Any:
    @lab.task
    def load(number: int) -> int:
        return number

    @lab.task
    def check(number: int) -> int:
        if number == 2:
            raise ValueError("two\nlines")
        return number

    @lab.flow
    def study() -> Any:
        return [check(load(number)) for number in range(3)]

    return study


def test_sums(lab: Lab, study: Any) -> None:
    with pytest.raises(RunFailed):
        study()
    found = summarize(lab.project.journal, "last")
    assert found.counts == {"load": {"succeeded": 3}, "check": {"succeeded": 2, "failed": 1}}
    assert found.states == {"succeeded": 5, "failed": 1}
    assert [failed.error for failed in found.failures] == ["ValueError: two"]
    assert len(found.attempts_of) == 6
    assert found.by_number[5].task == "check"
    assert 0 < found.busy <= found.seconds
    assert found.memory > 0
    assert found.cpu >= 0


def test_cached_jobs_have_no_attempts(lab: Lab, study: Any) -> None:
    for _ in range(2):
        with pytest.raises(RunFailed):
            study()
    found = summarize(lab.project.journal, "last")
    assert found.states == {"cached": 5, "failed": 1}
    assert len(found.attempts) == 1


def test_failure_without_attempt_says_its_reason() -> None:
    job = JobRecord(run="r", number=0, key="a-1", task="a", fingerprint="", recipe="", reason="worker lost")
    assert Failed(job, None).error == "worker lost"


def test_unknown_run(lab: Lab, study: Any) -> None:
    with pytest.raises(RunFailed):
        study()
    with pytest.raises(NotFound):
        summarize(lab.project.journal, "unknown")
