from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from daskflow.model.states import RunState
from daskflow.stores import is_gone, this_host
from daskflow.stores.liveness import may_be_cut_off
from tests.stores.samples import run_record

NOW = time.time()


def test_a_driver_that_runs_is_there_however_silent() -> None:
    record = run_record(state=RunState.running, host=this_host(), pid=os.getpid(), started=time.time())
    assert not is_gone(record, time.time() + 1000)


def test_a_driver_that_ended_is_gone() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    record = run_record(state=RunState.running, host=this_host(), pid=process.pid, heartbeat=NOW)
    assert is_gone(record, NOW)


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="needs /proc")
def test_a_zombie_is_gone() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    try:
        assert is_gone(run_record(state=RunState.running, host=this_host(), pid=child), NOW)
    finally:
        os.waitpid(child, 0)


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="needs /proc")
def test_another_process_of_the_same_number_is_not_the_driver() -> None:
    record = run_record(state=RunState.running, host=this_host(), pid=os.getpid(), started=1000.0)
    assert is_gone(record, time.time())
    assert not is_gone(record.model_copy(update={"heartbeat": time.time()}), time.time())


@pytest.mark.parametrize(("age", "gone"), [(10.0, False), (59.0, False), (61.0, True)])
def test_on_another_host_the_heartbeat_decides(age: float, gone: bool) -> None:
    record = run_record(state=RunState.paused, host="elsewhere", pid=1, heartbeat=NOW - age)
    assert is_gone(record, NOW) is gone


@pytest.mark.parametrize(("up", "gone"), [(59.0, False), (61.0, True)])
def test_while_the_store_was_away_nobody_could_say_that_they_live(up: float, gone: bool) -> None:
    record = run_record(state=RunState.running, host="elsewhere", pid=1, heartbeat=NOW - 1000)
    assert is_gone(record, NOW, lambda: up) is gone


@pytest.mark.parametrize("state", [RunState.succeeded, RunState.failed, RunState.cancelled])
def test_a_run_that_ended_needs_no_driver(state: RunState) -> None:
    assert not is_gone(run_record(state=state, host="elsewhere", pid=1), NOW)


def test_a_run_that_nobody_drives_yet_is_not_gone() -> None:
    assert not is_gone(run_record(), NOW)


@pytest.mark.parametrize(("age", "may_live"), [(61.0, True), (659.0, True), (661.0, False)])
def test_a_driver_elsewhere_may_wait_for_the_store_for_as_long_as_its_patience_lasts(
    age: float, may_live: bool
) -> None:
    record = run_record(state=RunState.interrupted, host="elsewhere", pid=1, started=1.0, heartbeat=NOW - age)
    assert may_be_cut_off(record, NOW, 600.0) is may_live
    assert not may_be_cut_off(record.model_copy(update={"host": this_host()}), NOW, 600.0)
    assert not may_be_cut_off(record.model_copy(update={"stopped": NOW - 1}), NOW, 600.0), "it wrote an end"
    assert not may_be_cut_off(record.model_copy(update={"host": ""}), NOW, 600.0), "nobody has begun it"
