from __future__ import annotations

from typing import Any

from daskflow.execution.holding.taints import Taints
from daskflow.graph.lenient import allow_failure
from daskflow.model.states import JobState
from tests.graph.projects import task


def add(x: Any, y: Any = 0) -> Any:
    return x + y


plus = task(add)


def test_what_gets_a_failure_is_tainted_and_so_is_what_gets_that() -> None:
    up = plus(1)
    direct = plus(allow_failure(up))
    below = plus(direct)
    taints = Taints({})
    up.state = JobState.succeeded
    taints.inherit(direct)
    assert not taints.keys
    up.state = JobState.failed
    taints.inherit(direct)
    taints.inherit(below)
    assert taints.keys == {direct.key, below.key}


def test_a_taint_that_is_found_late_spreads() -> None:
    first = plus(1)
    second = plus(first)
    third, other = plus(second), plus(7)
    jobs = [first, second, third, other]
    for number, job in enumerate(jobs):
        job.number = number
    taints = Taints({job.key: job for job in reversed(jobs)})
    taints.spread(first)
    assert taints.keys == {first.key, second.key, third.key}
