from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from typing import Any

from daskflow.execution.worker.attempt import CURRENT_ATTEMPT, Attempt, current
from daskflow.execution.worker.child import Child, Message
from daskflow.graph.task import Task
from daskflow.model.policy import Policy
from daskflow.sites.channel import CURRENT_CHANNEL
from tests.execution.patience import alive, until


def child(function: Any, *arguments: Any) -> Child:
    return Child(Task(function, Policy(name="work")), list(arguments))


def heard(of: Child) -> Message:
    assert of.receiver.poll(30)
    return of.take(of.receiver.recv_bytes())


def test_the_value_comes_as_one_message_and_the_child_ends() -> None:
    made = child(lambda x: x + 1, 2)
    assert heard(made) == Message(True, 3)
    made.finish()
    assert made.end == "exit code 0"
    assert not alive(made.pid)


def test_what_is_told_comes_before() -> None:
    def work() -> str:
        current().emit("qa.low", score=1)
        current().report.metric("chisq", 2.0)
        return "end"

    attempt = Attempt("fit-1", 1, "a-run", None)
    attempt.reports = ["of the parent"]  # type: ignore[list-item]
    tokens = CURRENT_ATTEMPT.set(attempt), CURRENT_CHANNEL.set(lambda record: None)
    made = child(work)
    CURRENT_ATTEMPT.reset(tokens[0])
    CURRENT_CHANNEL.reset(tokens[1])
    messages = [heard(made), heard(made), heard(made)]
    made.finish()
    assert [message.good for message in messages] == [None, None, True]
    assert [pickle.loads(message.payload)[0][:3] for message in messages[:2]] == [
        ("fit-1", "event", "qa.low"),
        ("fit-1", "metric", "chisq"),
    ]
    assert [report.title for report in messages[2].reports] == ["chisq"]


def test_a_child_with_processes_of_its_own_waits_to_be_killed_with_them() -> None:
    def leave() -> int:
        return subprocess.Popen(["sleep", "1000"], start_new_session=True).pid

    made = child(leave)
    message = heard(made)
    assert message.kin
    assert alive(made.pid)
    assert alive(message.payload)
    made.kill()
    assert not alive(made.pid)
    assert not alive(message.payload)


def test_a_child_ends_with_the_thread_that_made_it() -> None:
    code = (
        "import os, signal, time\n"
        "from tests.execution.worker.test_child import child\n"
        "made = child(lambda: print(os.getpid(), flush=True) or signal.pause())\n"
        "time.sleep(1000)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        os.kill(parent.pid, signal.SIGKILL)
    until(lambda: not alive(pid))


class _Nested:
    """Makes an attempt within an attempt."""

    def call(self, arguments: list[Any]) -> int:
        inner = Child(_Pid(), [])
        message = inner.take(inner.receiver.recv_bytes())
        inner.finish()
        return int(message.payload)


class _Pid:
    def call(self, arguments: list[Any]) -> int:
        return os.getpid()


def test_a_child_may_have_children_of_its_own() -> None:
    child = Child(_Nested(), [])
    assert child.receiver.poll(30)
    message = child.take(child.receiver.recv_bytes())
    child.finish()
    assert message.good
    assert message.payload not in (os.getpid(), child.pid)
