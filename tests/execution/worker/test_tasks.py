"""Tasks that came to a worker. What their code is compared by is tested with `imports` and with `perform`."""

from __future__ import annotations

from typing import Any

import cloudpickle
import pytest

from daskflow.errors import CodeMismatch
from daskflow.execution.worker import tasks
from daskflow.execution.worker.package import Shipped
from daskflow.execution.worker.tasks import check, task_of
from daskflow.graph.task import Task
from daskflow.model.policy import Policy


def shipped(function: Any) -> bytes:
    made: bytes = cloudpickle.dumps(Shipped(Task(function, Policy(name="work")), {}))
    return made


def test_tasks_are_unpickled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = shipped(lambda x: x)
    known = task_of(packed)
    assert known.call([3]) == 3
    assert task_of(packed) is known
    monkeypatch.setattr(tasks, "_REMEMBERED", 0)
    task_of(shipped(lambda x: -x))
    assert packed not in tasks._tasks, "no worker remembers tasks for ever"


def test_other_code_than_that_of_the_driver_is_refused() -> None:
    task = Task(test_tasks_are_unpickled_once, Policy(name="work"))
    parts = task.fingerprint().parts
    check(Shipped(task, parts))
    with pytest.raises(CodeMismatch, match="work is not the same here as in the driver"):
        check(Shipped(task, dict.fromkeys(parts, "another")))
