"""Cancelling, going on with, and reading runs that are recorded."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest

from daskflow.errors import ArgumentsInvalid, NotFound, RunFailed, TargetInvalid, UsageError
from daskflow.execution.recorded import await_end, cancel, continuation, logs
from daskflow.model.records import RunRecord
from daskflow.model.states import RunState
from tests.conftest import Lab

PICKLED = b"\x80\x05}\x94\x8c\x04mode\x94\x8c\x04cont\x94s."
IMAGING = "daskflow.examples.imaging:pipeline"


def record(lab: Lab, **fields: Any) -> RunRecord:
    made = RunRecord(**{"id": "20260101-000000-study-abc123", "flow": "study", "state": RunState.failed} | fields)
    lab.project.journal.add_run(made)
    return made


def test_finished_run_cannot_be_cancelled(lab: Lab) -> None:
    record(lab)
    with pytest.raises(UsageError, match=r"ended already \(failed\)"):
        cancel(lab.project.journal, "last")


def test_run_without_driver_is_cancelled_at_once(lab: Lab) -> None:
    record(lab, state=RunState.running, host=os.uname().nodename, pid=2**22 + 1)
    assert cancel(lab.project.journal, "abc123").state is RunState.cancelled
    assert await_end(lab.project.journal, "last", 0.0)


def test_running_run_hears_of_it(lab: Lab) -> None:
    begun, go_on = threading.Event(), threading.Event()

    @lab.flow
    def study() -> None:
        begun.set()
        go_on.wait(20)
        lab.task(_one)(1).result()

    run = study.submit()
    assert begun.wait(20)
    cancel(lab.project.journal, run.id)
    assert not await_end(lab.project.journal, run.id, 0.3)
    go_on.set()
    assert await_end(lab.project.journal, run.id, 20)
    assert run.wait(20)
    assert run.state in (RunState.cancelled, RunState.succeeded)


def _one(number: int) -> int:
    return number


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"state": RunState.running}, "daskflow cancel"),
        ({"target": ""}, "notebook"),
        ({"target": IMAGING}, "could not be pickled"),
    ],
)
def test_why_a_run_cannot_be_resumed(lab: Lab, fields: dict[str, Any], told: str) -> None:
    record(lab, **fields)
    with pytest.raises(UsageError, match=told):
        continuation(lab.project.journal, "last")


def test_arguments_that_cannot_be_read_are_an_error(lab: Lab) -> None:
    record(lab, target=IMAGING, payload=b"no pickle")
    with pytest.raises(TargetInvalid, match="cannot be read any more"):
        continuation(lab.project.journal, "last")


def test_parameters_that_are_gone_are_an_error(lab: Lab) -> None:
    record(lab, target=IMAGING, payload=PICKLED.replace(b"mode", b"made"))
    with pytest.raises(ArgumentsInvalid, match="made"):
        continuation(lab.project.journal, "last")


def test_continuation_has_flow_and_arguments(lab: Lab) -> None:
    made = record(lab, target=IMAGING, payload=PICKLED)
    found = continuation(lab.project.journal, "last")
    assert found.record.id == made.id
    assert found.target.flow.name == "pipeline"
    assert found.arguments["mode"] == "cont"
    assert found.arguments["niter"] == 500


def test_logs_of_all_jobs_and_of_one(lab: Lab) -> None:
    @lab.task
    def speak(number: int) -> int:
        if number == 1:
            print("one speaks")
        if number == 2:
            raise ValueError("two fails")
        return number

    @lab.flow
    def study() -> Any:
        return speak.map(range(3))

    with pytest.raises(RunFailed):
        study()
    run = lab.project.journal.run("last").id
    found = {log.job.number: log.text for log in logs(lab.project, run)}
    assert found.keys() == {1, 2}
    assert found[1] == "one speaks\n"
    assert "ValueError: two fails" in found[2]
    assert [log.text for log in logs(lab.project, run, "0")] == [""]
    with pytest.raises(NotFound):
        list(logs(lab.project, run, "none"))
