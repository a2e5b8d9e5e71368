"""Cancelling, going on with, and reading runs that are recorded."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest

from daskflow.errors import (
    AnswerRefused,
    ArgumentsInvalid,
    NotFound,
    RunFailed,
    SignatureWrong,
    TargetInvalid,
    UsageError,
)
from daskflow.execution.insight.arguments import signed_arguments
from daskflow.execution.insight.recorded import (
    await_end,
    await_verdict,
    cancel,
    continuation,
    in_trees,
    logs,
    pause,
    unpause,
)
from daskflow.model.records import QuestionRecord, RunRecord
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


def family(lab: Lab, **states: RunState) -> None:
    """A tree of runs `a` with `b` with `c`, in these states; no driver was heard of."""
    for parent, id in zip(["", "a", "b"], states, strict=True):
        record(lab, id=id, parent=parent, state=states[id])


def states(lab: Lab) -> list[RunState]:
    return [lab.project.journal.run(id).state for id in "abc"]


def test_with_a_run_those_that_it_started_are_cancelled(lab: Lab) -> None:
    family(lab, a=RunState.running, b=RunState.succeeded, c=RunState.paused)
    for id in "ac":
        lab.project.journal.add_question(QuestionRecord(id=f"q-{id}", run=id, prompt="?"))
    cancel(lab.project.journal, "a")
    assert states(lab) == [RunState.cancelled, RunState.succeeded, RunState.cancelled]
    assert lab.project.journal.questions() == []


def test_of_a_run_that_has_ended_those_that_go_on_are_cancelled(lab: Lab) -> None:
    family(lab, a=RunState.failed, b=RunState.running, c=RunState.succeeded)
    cancel(lab.project.journal, "a")
    assert states(lab) == [RunState.failed, RunState.cancelled, RunState.succeeded]
    with pytest.raises(UsageError, match="ended already"):
        cancel(lab.project.journal, "a")


def test_a_tree_has_ended_when_all_of_it_has(lab: Lab) -> None:
    family(lab, a=RunState.cancelled, b=RunState.cancelled, c=RunState.cancelled)
    for id in "ab":
        lab.project.journal.update_run(id, stopped=1.0)
    assert not await_end(lab.project.journal, "a", 0.0)
    lab.project.journal.update_run("c", stopped=1.0)
    assert await_end(lab.project.journal, "a", 0.0)


def test_pausing_and_going_on(lab: Lab) -> None:
    family(lab, a=RunState.running, b=RunState.failed, c=RunState.running)
    for _ in range(2):
        assert pause(lab.project.journal, "a").state is RunState.paused
        assert states(lab) == [RunState.paused, RunState.failed, RunState.paused]
    assert unpause(lab.project.journal, "a") == lab.project.journal.run("a")
    assert states(lab) == [RunState.running, RunState.failed, RunState.running]
    assert unpause(lab.project.journal, "a") is None


@pytest.mark.parametrize("state", [RunState.succeeded, RunState.cancelled, RunState.created])
def test_only_a_run_that_is_performed_can_be_paused(lab: Lab, state: RunState) -> None:
    record(lab, state=state)
    with pytest.raises(UsageError, match=f"is {state}"):
        pause(lab.project.journal, "last")


def test_runs_in_trees(lab: Lab) -> None:
    record(lab, id="old", created=1.0)
    record(lab, id="top", created=2.0)
    for id, parent, ordinal in (("two", "top", 2), ("one", "top", 1), ("deep", "two", 0)):
        record(lab, id=id, parent=parent, ordinal=ordinal)
    found = [(depth, run.id) for depth, run in in_trees(lab.project.journal, 5)]
    assert found == [(0, "top"), (1, "one"), (1, "two"), (2, "deep"), (0, "old")]
    assert len(in_trees(lab.project.journal, 1)) == 4


def test_the_verdict_on_an_answer(lab: Lab) -> None:
    journal = lab.project.journal
    asked = journal.add_question(QuestionRecord(id="q", run="r", prompt="?"))
    journal.answer_question("q", "1", "ada")
    assert await_verdict(journal, asked, 0.0).accepted is None
    journal.refuse_answer("q", "It is odd.")
    with pytest.raises(AnswerRefused, match=r"It is odd\. The question q is open again"):
        await_verdict(journal, asked, 60.0)
    journal.answer_question("q", "2", "ada")
    journal.accept_answer("q")
    assert await_verdict(journal, asked, 60.0).accepted is not None


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
        continuation(lab.project, "last")


def signed(lab: Lab, pickled: bytes) -> bytes:
    return signed_arguments(pickled, IMAGING, lab.project.values.signer)


def test_a_run_that_somebody_else_began_is_not_touched(lab: Lab) -> None:
    record(lab, target="daskflow.no_such_module:flow", payload=signed(lab, b"cos\nsystem\n(S'exit 3'\ntR."))
    with pytest.raises(SignatureWrong, match="was not recorded with your signing key"):
        continuation(lab.project, "last")


def test_arguments_that_cannot_be_read_are_an_error(lab: Lab) -> None:
    record(lab, target=IMAGING, payload=signed(lab, b"no pickle"))
    with pytest.raises(TargetInvalid, match="cannot be read any more"):
        continuation(lab.project, "last")


def test_parameters_that_are_gone_are_an_error(lab: Lab) -> None:
    record(lab, target=IMAGING, payload=signed(lab, PICKLED.replace(b"mode", b"made")))
    with pytest.raises(ArgumentsInvalid, match="made"):
        continuation(lab.project, "last")


def test_continuation_has_flow_and_arguments(lab: Lab) -> None:
    made = record(lab, target=IMAGING, payload=signed(lab, PICKLED))
    found = continuation(lab.project, "last")
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
