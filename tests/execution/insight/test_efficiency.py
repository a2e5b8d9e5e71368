"""What the jobs of a run used."""

from __future__ import annotations

import time
from typing import Any

import pytest

from daskflow.errors import NotFound
from daskflow.execution.insight.efficiency import efficiency, task_use
from daskflow.model.records import AttemptRecord
from tests.conftest import Lab

GIB = 2**30


def attempt(number: int, state: str = "succeeded", **fields: Any) -> AttemptRecord:
    given: dict[str, Any] = {
        "run": "r", "number": number, "attempt": 1, "state": state, "start": 100.0, "stop": 110.0, "cpu": 5.0,
        "memory": GIB, "cores": 2, "asked": 2 * GIB,
    }  # fmt: skip
    return AttemptRecord(**given | fields)


def test_sums_of_a_task() -> None:
    found = task_use("fit", 30, [attempt(n, stop=100.0 + n, cpu=float(n)) for n in range(1, 21)])
    assert (found.task, found.jobs, found.performed) == ("fit", 30, 20)
    assert found.seconds == (10.0, 19.0)
    assert found.efficiency == pytest.approx(0.5)
    assert found.memory == (GIB, GIB)
    assert (found.cores, found.asked) == (2, 2 * GIB)
    assert found.proposal is not None
    assert found.advice == 'Resources(cores=1, memory="1.25 GiB", walltime="30 s")'


def test_what_was_lost_is_told_by_its_cause() -> None:
    lost = [
        attempt(1, "failed", error_type="daskflow.errors.WalltimeExceeded", stop=105.0),
        attempt(2, "failed", error_type="daskflow.errors.NodeFailure", stop=101.0),
        attempt(3, "failed", error_type="daskflow.errors.WalltimeExceeded", stop=104.0),
        attempt(4, "failed", error_type="daskflow.errors.WorkerLost", stop=100.0),
    ]
    found = task_use("fit", 4, lost)
    assert found.lost == {"WalltimeExceeded": 2, "NodeFailure": 1, "WorkerLost": 1}
    assert found.lost_seconds == 10.0
    assert (found.performed, found.failed, found.seconds, found.memory, found.efficiency) == (0, 0, None, None, None)
    assert found.advice == "nothing was performed"


def test_failures_of_its_own_and_for_memory_are_apart() -> None:
    found = task_use(
        "fit",
        3,
        [
            attempt(1, "failed", error_type="ValueError"),
            attempt(2, "failed", error_type="daskflow.errors.OutOfMemory", asked=4 * GIB),
            attempt(3),
        ],
    )
    assert (found.failed, found.starved, found.lost, found.asked) == (1, 1, {}, 4 * GIB)
    assert found.advice == "too few jobs to tell (1 of 5)"


def test_where_cores_are_not_known_neither_is_the_efficiency() -> None:
    assert task_use("fit", 1, [attempt(1, cores=0)]).efficiency is None
    assert task_use("fit", 1, [attempt(1, stop=100.0)]).efficiency is None


def test_a_run_that_was_performed(lab: Lab) -> None:
    @lab.task
    def burn(number: int) -> int:
        end = time.thread_time() + 0.05
        while time.thread_time() < end:
            pass
        return number

    @lab.task
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    @lab.flow
    def study() -> Any:
        return total([burn(number) for number in range(6)])

    assert study() == 15
    uses = {use.task: use for use in efficiency(lab.project.journal, "last")}
    assert list(uses) == ["burn", "total"]
    assert (uses["burn"].jobs, uses["burn"].performed, uses["total"].performed) == (6, 6, 1)
    assert uses["burn"].cores == 1
    assert uses["burn"].efficiency is not None
    assert uses["burn"].efficiency > 0.01
    assert uses["burn"].proposal is not None
    study()
    assert [use.advice for use in efficiency(lab.project.journal, "last")] == ["nothing was performed"] * 2
    with pytest.raises(NotFound):
        efficiency(lab.project.journal, "nonsense")
