from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daskflow.errors import RunBusy, UsageError
from daskflow.execution.launcher import Order
from daskflow.execution.submitting import driver as driver_module
from daskflow.execution.submitting import shift
from daskflow.execution.submitting.driver import Driver, Stage, driver_of
from daskflow.execution.submitting.script import TOKEN
from daskflow.execution.submitting.shift import VAIN, Alarm, begin, settle
from daskflow.execution.submitting.submission import Wish, call_of, shape_of, submit_driver
from daskflow.model.records import JobRecord
from daskflow.model.states import JobState, RunState
from daskflow.stores.liveness import this_host
from tests.conftest import Lab
from tests.execution.submitting.fakes import Memory, queue


@pytest.fixture
def driver(lab: Lab, tmp_path: Path) -> Driver:
    """A driver that waits in the queue."""

    @lab.flow
    def study() -> Any:
        return 1

    line = queue(tmp_path, Memory())
    record = lab.launcher.enter(study, {}, Order(target="tests.flows:study"))
    return submit_driver(lab.project, record, line, shape_of(Wish(), line), call_of(record.id, line.plan, None, {}))


def _now(lab: Lab, driver: Driver) -> Driver:
    lab.project.writer.flush()
    found = driver_of(lab.project.journal, lab.project.journal.run(driver.run))
    assert found is not None
    return found


def test_a_start_is_recorded(lab: Lab, driver: Driver) -> None:
    record, found = begin(lab.project, driver.run, "101")
    assert (record.id, found.starts) == (driver.run, 0)
    now = _now(lab, driver)
    assert (now.stage, now.starts, now.node, now.process) == (Stage.started, 1, this_host(), os.getpid())


def test_only_its_batch_job_drives_a_run(lab: Lab, driver: Driver) -> None:
    with pytest.raises(UsageError, match="driven by the batch job 101 now, and not by 99"):
        begin(lab.project, driver.run, "99")
    lab.project.journal.update_run(driver.run, state=RunState.cancelled)
    with pytest.raises(UsageError, match="is cancelled"):
        begin(lab.project, driver.run, "101")


def test_a_batch_job_is_known_by_its_token_too(lab: Lab, driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, "of another submission")
    with pytest.raises(UsageError, match="driven by the batch job 101 now, and not by 99"):
        begin(lab.project, driver.run, "99")
    monkeypatch.setenv(TOKEN, driver.token)
    _, found = begin(lab.project, driver.run, "99")
    assert (found.batch, _now(lab, driver).batch) == ("99", "99")
    with pytest.raises(UsageError, match="driven by the batch job 99 now, and not by 101"):
        begin(lab.project, driver.run, "101")


def test_of_two_that_begin_at_once_one_goes_on(lab: Lab, driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, driver.token)
    before = driver_module.beginning

    def late(*asked: Any) -> Driver | None:
        """It looks, and before it says anything another one begins."""
        found = before(*asked)
        monkeypatch.setattr(shift, "beginning", before)
        begin(lab.project, driver.run, "98")
        return found

    monkeypatch.setattr(shift, "beginning", late)
    with pytest.raises(UsageError, match="driven by the batch job 98 now, and not by 99"):
        begin(lab.project, driver.run, "99")
    assert (_now(lab, driver).batch, _now(lab, driver).starts) == ("98", 1)


def test_a_run_that_another_drives_is_no_prey_of_a_token(
    lab: Lab, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.project.journal.claim_run(driver.run, time=time.time(), host="another", pid=1)
    monkeypatch.setenv(TOKEN, driver.token)
    with pytest.raises(RunBusy, match="in process 1 on another"):
        begin(lab.project, driver.run, "99")


def test_what_a_failed_node_left_is_taken_over_and_what_another_process_drives_is_not(lab: Lab, driver: Driver) -> None:
    journal = lab.project.journal
    begin(lab.project, driver.run, "101")
    journal.claim_run(driver.run, time=time.time(), host=this_host(), pid=os.getpid())
    lab.project.writer.flush()
    record, _ = begin(lab.project, driver.run, "101")
    assert record.state is RunState.interrupted, "the same batch job drove it before, and was started anew"
    lab.project.writer.flush()
    journal.claim_run(driver.run, time=time.time(), host="another", pid=1)
    with pytest.raises(RunBusy, match="in process 1 on another"):
        begin(lab.project, driver.run, "101")


def test_a_run_that_nobody_submitted_is_not_driven(lab: Lab) -> None:
    @lab.flow
    def study() -> Any:
        return 1

    record = lab.launcher.enter(study, {}, Order(target="x:y"))
    with pytest.raises(UsageError, match="No driver of the run"):
        begin(lab.project, record.id, "")


def _finish(lab: Lab, run: str, number: int) -> None:
    job = JobRecord(run=run, number=number, key=f"k{number}", task="t", fingerprint="", recipe="")
    values = job.model_copy(update={"state": JobState.succeeded})
    lab.project.journal.add_jobs([tuple(_column(value) for value in dict(values).values())])


def _column(value: Any) -> Any:
    return "[]" if value == () else value.value if isinstance(value, JobState) else value


def test_a_driver_is_put_into_the_queue_again_as_long_as_it_gets_on(lab: Lab, driver: Driver) -> None:
    journal, run = lab.project.journal, driver.run
    for number in range(VAIN + 1):
        begin(lab.project, run, "101")
        _finish(lab, run, number)
        journal.update_run(run, state=RunState.interrupted)
        assert settle(lab.project, run, near=True)
        assert _now(lab, driver).stage is Stage.queued
    for _ in range(VAIN - 1):
        begin(lab.project, run, "101")
        assert settle(lab.project, run, near=True)
    begin(lab.project, run, "101")
    assert not settle(lab.project, run, near=True)
    assert "finished no job" in _now(lab, driver).stuck
    assert "--walltime LONGER" in journal.run(run).error


@pytest.mark.parametrize("kind", ["job.handed_over", "batch.adopted", "batch.submitted", "batch.started"])
def test_what_is_under_way_is_not_in_vain(lab: Lab, driver: Driver, kind: str) -> None:
    journal, run = lab.project.journal, driver.run
    for _ in range(VAIN + 2):
        begin(lab.project, run, "101")
        lab.project.event(run, kind)
        lab.project.writer.flush()
        journal.update_run(run, state=RunState.interrupted)
        assert settle(lab.project, run, near=True)
    (last,) = journal.events(run, "driver.requeued")[-1:]
    assert last.data["finished"] == 0


@pytest.mark.parametrize(
    ("state", "near"),
    [
        (RunState.failed, True),
        (RunState.succeeded, True),
        (RunState.cancelled, True),
        (RunState.interrupted, False),
    ],
)
def test_what_ended_otherwise_is_not_begun_again(lab: Lab, driver: Driver, state: RunState, near: bool) -> None:
    begin(lab.project, driver.run, "101")
    lab.project.journal.update_run(driver.run, state=state)
    assert not settle(lab.project, driver.run, near=near)


@pytest.fixture
def handlers() -> Iterator[None]:
    kept = {one: signal.getsignal(one) for one in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT)}
    yield
    for one, handler in kept.items():
        signal.signal(one, handler)


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize(("sent", "near"), [(signal.SIGUSR1, True), (signal.SIGTERM, False)])
def test_the_first_signal_stops_and_the_others_are_passed_over(sent: signal.Signals, near: bool) -> None:
    alarm = Alarm(None, 1.0)
    alarm.listen()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(sent)
    signal.raise_signal(signal.SIGUSR1)
    signal.raise_signal(signal.SIGTERM)
    assert alarm.near is near


@pytest.mark.usefixtures("handlers")
def test_the_clock_warns_where_the_batch_system_does_not() -> None:
    alarm = Alarm(time.time() + 1000.0, 1000.0)
    with pytest.raises(KeyboardInterrupt):
        _listen_for_ever(alarm)
    assert alarm.near


def _listen_for_ever(alarm: Alarm) -> None:
    alarm.listen()
    threading.Event().wait(60)


@pytest.mark.usefixtures("handlers")
def test_an_alarm_that_is_over_stops_nothing() -> None:
    alarm = Alarm(time.time() + 1000.0, 1.0)
    alarm.listen()
    alarm.end()
    signal.raise_signal(signal.SIGUSR1)
    assert not alarm.near
