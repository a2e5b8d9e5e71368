from __future__ import annotations

import threading
import time
from functools import partial

import pytest

from daskflow.execution import heartbeat
from daskflow.execution.heartbeat import Heartbeat
from daskflow.model.records import RunRecord
from daskflow.model.states import RunState
from tests.conftest import Lab
from tests.execution.patience import until


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
    thread = threading.Thread(target=lambda: beating.append(Heartbeat(lab.project, run, beats.set)))
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

    beating.append(Heartbeat(project, run, end))
    made.set()
    assert beaten.wait(60)
    freed = time.time()
    free.set()
    project.writer.flush()
    assert (project.journal.run(run.id).heartbeat or 0) >= freed


def test_a_run_that_another_driver_has_begun_again_is_left_to_it(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "BEAT", 0.01)
    gate = threading.Event()

    @lab.task
    def step(i: int) -> int:
        return i

    @lab.flow
    def study() -> int:
        first: int = step(1).result()
        assert gate.wait(60)
        return first + int(step(2).result())

    run = study.submit()
    journal = lab.project.journal
    until(lambda: (journal.run(run.id).heartbeat or 0) > (journal.run(run.id).started or 0))
    # As one does who believes that nobody performs it.
    taken = journal.update_run(run.id, started=time.time(), host="elsewhere", pid=7)
    until(lambda: run._engine.failure is not None)
    gate.set()
    assert run.wait(60)
    assert run.state is RunState.interrupted
    assert "process 7 on elsewhere goes on with" in str(run.error)
    found = journal.run(run.id)
    assert (found.started, found.host, found.pid, found.stopped) == (taken.started, "elsewhere", 7, None)
    assert found.state is RunState.running
