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
