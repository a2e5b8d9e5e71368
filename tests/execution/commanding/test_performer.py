"""What a worker does for a command job; the whole of it is tested in `test_job`."""

import os
import pickle
import signal
import subprocess
import threading
from typing import Any

import pytest

from daskflow.commands.processes import Watch
from daskflow.errors import OutOfMemory
from daskflow.execution.commanding.fixed import Fixed
from daskflow.execution.commanding.performer import Outputs, Performer, kill_tree, watching
from daskflow.execution.worker.attempt import CURRENT_ATTEMPT, Attempt
from daskflow.model.command import Command
from daskflow.model.policy import Resources
from daskflow.sites.grip import CURRENT_GRIP, Grip, Killed
from tests.conftest import Lab
from tests.execution.patience import alive, until


def test_it_travels_without_what_only_the_driver_has(lab: Lab) -> None:
    made = Performer("echo", lab.project.values, lab.project.station("local"), Resources(cores=3))
    again = pickle.loads(pickle.dumps(made))
    assert (again.__name__, again.keeps_limits) == ("echo", True)


def fixed(value: Any) -> Fixed[Any]:
    return Fixed(value, "")


def said(performer: Performer, line: str) -> str:
    """What a line for the shell writes."""
    outputs = Outputs((), (), check=True)
    return performer(fixed(((Command(line),), {})), fixed(()), fixed(outputs), fixed(("", False)), {}, []).stdout()


@pytest.mark.parametrize("declared", [None, 5 << 20])
def test_the_memory_of_the_attempt_counts(lab: Lab, declared: int | None) -> None:
    made = Performer("sh", lab.project.values, lab.project.station("local"), Resources(memory=declared))
    attempt = Attempt("sh-1", 2, "a-run", None)
    attempt.memory, attempt.basis = 3 << 30, "since it had too little"
    token = CURRENT_ATTEMPT.set(attempt)
    try:
        assert said(made, "echo $DASKFLOW_MEMORY") == f"{3 << 30}\n"
        attempt.memory = 50 << 20
        with pytest.raises(OutOfMemory, match="it may use 50 MiB, since it had too little"):
            said(made, "exec python3 -c 'import time; x = bytearray(200 << 20); time.sleep(1000)'")
    finally:
        CURRENT_ATTEMPT.reset(token)


def test_without_an_attempt_what_was_declared_counts(lab: Lab) -> None:
    made = Performer("sh", lab.project.values, lab.project.station("local"), Resources(memory=1 << 30))
    assert said(made, "echo $DASKFLOW_MEMORY") == f"{1 << 30}\n"


def test_a_command_is_killed_with_all_that_it_started() -> None:
    line = "trap '' TERM; setsid sleep 1000 & echo $!; exec sleep 1000"
    process = subprocess.Popen(["sh", "-c", line], stdout=subprocess.PIPE, text=True, process_group=0)
    assert process.stdout is not None
    grandchild = int(process.stdout.readline())
    kill_tree(process.pid)
    process.communicate()
    until(lambda: not alive(grandchild))


def forever(watch: Watch, pid: int) -> None:
    while True:
        watch.wait([pid], float("inf"))


def test_waiting_ends_when_the_node_is_killed() -> None:
    grip = Grip("node")
    token = CURRENT_GRIP.set(grip)
    process = subprocess.Popen(["sleep", "1000"])
    try:
        with watching(None) as watch:
            threading.Timer(0.1, grip.kill).start()
            with pytest.raises(Killed):
                forever(watch, process.pid)
        with pytest.raises(Killed), watching(None):
            pass
    finally:
        CURRENT_GRIP.reset(token)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()


def test_waiting_ends_when_too_much_memory_is_used() -> None:
    code = "x = bytearray(200 << 20); import time; time.sleep(1000)"
    process = subprocess.Popen(["python3", "-c", code])
    try:
        with pytest.raises(OutOfMemory), watching(100 << 20) as watch:
            forever(watch, process.pid)
    finally:
        process.kill()
        process.wait()
