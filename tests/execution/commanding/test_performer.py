"""What a worker does for a command job; the whole of it is tested in `test_job`."""

import os
import pickle
import signal
import subprocess
import threading

import pytest

from daskflow.commands.processes import Watch
from daskflow.errors import OutOfMemory
from daskflow.execution.commanding.performer import Performer, kill_tree, watching
from daskflow.model.policy import Resources
from daskflow.sites.grip import CURRENT_GRIP, Grip, Killed
from tests.conftest import Lab
from tests.execution.patience import alive, until


def test_it_travels_without_what_only_the_driver_has(lab: Lab) -> None:
    made = Performer("echo", lab.project.values, lab.project.station("local"), Resources(cores=3))
    again = pickle.loads(pickle.dumps(made))
    assert (again.__name__, again.keeps_limits) == ("echo", True)


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
