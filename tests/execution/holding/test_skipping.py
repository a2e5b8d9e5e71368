from __future__ import annotations

from typing import Any

import pytest

from daskflow.execution.holding.skipping import bad_upstream, cause_of, skipped
from daskflow.graph.lenient import allow_failure
from daskflow.model.states import JobState
from tests.graph.projects import task


def add(x: Any, y: Any = 0) -> Any:
    return x + y


plus = task(add)


@pytest.mark.parametrize("state", [JobState.failed, JobState.skipped, JobState.cancelled])
def test_a_job_without_a_result_stops_those_that_need_one(state: JobState) -> None:
    up = plus(1)
    below, tolerant = plus(up), plus(allow_failure(up))
    assert bad_upstream(below) is None, "it goes on"
    up.state = state
    assert bad_upstream(below) is up
    assert bad_upstream(tolerant) is None


def test_the_first_cause_is_named() -> None:
    up = plus(1)
    up.state = JobState.failed
    assert cause_of(up) == f"{up.key} failed"
    below = plus(up)
    below.state, below.reason = JobState.skipped, cause_of(up)
    assert cause_of(below) == f"{up.key} failed"
    assert skipped(plus(below), cause_of(below)).reason == f"{up.key} failed"
