"""Says that a run lives, and hears what other processes say to it: cancel, pause, go on."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from typing import Protocol

from daskflow.errors import DaskflowError
from daskflow.execution.project import Project
from daskflow.model.records import Driver, RunRecord
from daskflow.model.states import RunState
from daskflow.stores import Journal

BEAT = 1.0
"""How often a run says that it lives, and looks whether it was cancelled from elsewhere [s]."""


class Driven(Protocol):
    """What can be told to a run."""

    id: str

    def cancel(self) -> None:
        """Stop."""

    def pause(self) -> None:
        """Start nothing new."""

    def resume(self) -> None:
        """Go on."""

    def leave(self, other: RunRecord) -> None:
        """Leave the run to the driver that has begun it again."""


class Heartbeat:
    """Beats while a run is performed, in a thread of its own.

    Parameters
    ----------
    project
        Where the run is recorded.
    run
        Is told what other processes said.
    note_running
        Called at each beat: brings the states of jobs up to date.
    driver
        This process, as it is recorded as the run's driver.
    """

    def __init__(self, project: Project, run: Driven, note_running: Callable[[], None], driver: Driver) -> None:
        self._project = project
        self._run = run
        self._note_running = note_running
        self._in_main = threading.current_thread() is threading.main_thread()
        self._stop = threading.Event()
        self._said = RunState.running
        self._driver = driver
        threading.Thread(target=self._serve, name=f"daskflow-beat-{run.id}", daemon=True).start()

    def stop(self) -> None:
        """The run has ended."""
        self._stop.set()

    def _beat(self, journal: Journal) -> None:
        # The time is that of writing: the store may have been away for longer than others believe that we live.
        journal.heartbeat(self._run.id, time.time(), self._driver)

    def _serve(self) -> None:
        while not self._stop.wait(BEAT):
            try:
                self._project.writer.call(self._beat)
                self._note_running()
                record = self._project.journal.run(self._run.id)
                if self._is_left(record):
                    self._run.leave(record)
                    self._wake()
                    return
                state = record.state
                before, self._said = self._said, state
                if state is RunState.cancelled:
                    self._run.cancel()
                    self._wake()
                    return
                if state is not before:  # another process said so, or this one did a moment ago
                    (self._run.pause if state is RunState.paused else self._run.resume)()
            except DaskflowError:  # a store that does not answer: the writer will say so
                continue

    def _is_left(self, record: RunRecord) -> bool:
        """Whether another driver took this one for gone: it had long been cut off from the store."""
        return record.driver != self._driver and not self._stop.is_set()

    def _wake(self) -> None:
        """Reach a body that does not wait for jobs: it sleeps or computes, or performs a job on a synchronous site."""
        if self._in_main and not self._stop.wait(2 * BEAT):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
