from __future__ import annotations

import threading
import time
from functools import partial

import pytest

from daskflow.execution import heartbeat
from daskflow.execution.heartbeat import Heartbeat
from daskflow.execution.launcher import Order
from daskflow.execution.run import Run
from daskflow.model.records import Driver, RunRecord
from daskflow.model.states import RunState
from tests.conftest import Lab
from tests.execution.patience import until

NOBODY: Driver = (None, "", 0)
"""The driver of a run that was recorded without one."""


class Heard:
    """A run that notes what it was told."""

    id = "20261121-101500-study-aaaaaa"

    def __init__(self) -> None:
        self.told: list[str] = []

    def cancel(self) -> None:
        self.told.append("cancel")

    def pause(self) -> None:
        self.told.append("pause")

    def resume(self) -> None:
        self.told.append("resume")

    def leave(self, other: RunRecord) -> None:
        self.told.append(f"leave {other.pid}")


def test_a_run_hears_what_other_processes_say(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "BEAT", 0.01)
    journal, run, beats = lab.project.journal, Heard(), threading.Event()
    now = time.time()
    journal.add_run(
        RunRecord(id=run.id, flow="study", target="", state=RunState.running, site="synchronous", created=now)
    )
    beating: list[Heartbeat] = []
    # Not in the main thread, which it would interrupt after a cancelling.
    thread = threading.Thread(target=lambda: beating.append(Heartbeat(lab.project, run, beats.set, NOBODY)))
    thread.start()
    thread.join()
    assert beats.wait(30)
    for state, word in [(RunState.paused, "pause"), (RunState.running, "resume"), (RunState.cancelled, "cancel")]:
        run.told.clear()
        journal.update_run(run.id, state=state)
        until(partial(run.told.__contains__, word))
    assert run.told[-1] == "cancel", "and nothing after it"
    lab.project.writer.flush()
    assert (journal.run(run.id).heartbeat or 0) >= now
    beating[0].stop()


def test_the_time_of_a_beat_is_that_of_its_writing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store may have been away for so long that others take a driver for gone that beat before."""
    monkeypatch.setattr(heartbeat, "BEAT", 0.01)
    project, run, free, beaten = lab.project, Heard(), threading.Event(), threading.Event()
    project.journal.add_run(
        RunRecord(id=run.id, flow="study", target="", state=RunState.running, site="synchronous", created=1.0)
    )
    project.writer.call(lambda journal: free.wait(60))
    beating: list[Heartbeat] = []
    made = threading.Event()

    def end() -> None:
        made.wait()
        beating[0].stop()
        beaten.set()

    beating.append(Heartbeat(project, run, end, NOBODY))
    made.set()
    assert beaten.wait(60)
    freed = time.time()
    free.set()
    project.writer.flush()
    assert (project.journal.run(run.id).heartbeat or 0) >= freed


def test_a_driver_that_was_replaced_before_its_first_beat_says_nothing(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "BEAT", 0.01)
    journal, run = lab.project.journal, Heard()
    journal.add_run(RunRecord(id=run.id, flow="study", state=RunState.running, started=2.0, host="elsewhere", pid=7))
    made: list[Heartbeat] = []
    # Not in the main thread, which it would interrupt.
    mine: Driver = (1.0, "elsewhere", 6)
    thread = threading.Thread(target=lambda: made.append(Heartbeat(lab.project, run, lambda: None, mine)))
    thread.start()
    thread.join()
    until(lambda: run.told)
    assert run.told == ["leave 7"]
    lab.project.writer.flush()
    assert journal.run(run.id).heartbeat is None


class Taken:
    """A run with two below it, of which another driver takes the first one and one of those below."""

    def __init__(self, lab: Lab) -> None:
        self.begun, self.gate, self.late = threading.Event(), threading.Event(), threading.Event()
        self.journal = lab.project.journal

        @lab.task
        def step(i: int) -> int:
            return i

        @lab.flow
        def below(i: int) -> int:
            assert self.late.wait(60)
            return int(step(i).result())

        @lab.flow
        def study() -> int:
            runs = [below.submit(i) for i in (10, 11)]
            first: int = step(1).result()
            self.begun.set()
            assert self.gate.wait(60)
            return first + sum(int(run.result()) for run in runs)

        self.flow = study

    def take(self, run: Run) -> RunRecord:
        """Do as one does who believes that nobody performs it."""
        until(self.begun.is_set)
        until(lambda: (self.journal.run(run.id).heartbeat or 0) > (self.journal.run(run.id).started or 0))
        return self.journal.update_run(run.id, started=time.time(), host="elsewhere", pid=7)

    def check(self, run: Run, taken: RunRecord) -> None:
        """The end of the run is not recorded, and told nobody."""
        assert run.state is RunState.interrupted
        found = self.journal.run(run.id)
        assert (found.driver, found.stopped, found.error) == (taken.driver, None, "")
        assert found.state is RunState.running
        assert [event.kind for event in run.events("run.*")] == ["run.started"]


def test_a_run_that_another_driver_has_begun_again_is_left_to_it(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "BEAT", 0.01)
    stand = Taken(lab)
    run = stand.flow.submit()
    until(lambda: len(run.children) == 2)
    first, second = run.children
    # No beat may come before that of the run above.
    monkeypatch.setattr(first, "leave", lambda other: None)
    below, above = stand.take(first), stand.take(run)
    until(lambda: run._engine.failure is not None)
    stand.gate.set()
    stand.late.set()
    assert run.wait(60)
    assert "process 7 on elsewhere goes on with" in str(run.error)
    stand.check(run, above)
    assert first.wait(60)
    stand.check(first, below)
    # What it has begun below, and nobody else, another one may go on with at once.
    assert second.wait(60)
    found = stand.journal.run(second.id)
    assert (found.state, found.driver) == (RunState.interrupted, second._record.driver)
    assert found.stopped is not None
    assert second.events("run.*")[-1].kind == "run.interrupted"


def test_a_body_that_waits_for_no_job_is_left_too(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "BEAT", 0.01)
    stand = Taken(lab)
    runs: list[Run] = []
    takers: list[threading.Thread] = []
    taken: list[RunRecord] = []

    def begin(run: Run) -> None:
        runs.append(run)
        takers.append(threading.Thread(target=lambda: taken.append(stand.take(run))))
        takers[0].start()

    with pytest.raises(KeyboardInterrupt):
        lab.launcher.start(stand.flow, {}, background=False, order=Order(on_start=begin))
    takers[0].join()
    stand.late.set()
    assert "process 7 on elsewhere goes on with" in str(runs[0].error)
    stand.check(runs[0], taken[0])
    for child in runs[0].children:
        assert child.wait(60)
