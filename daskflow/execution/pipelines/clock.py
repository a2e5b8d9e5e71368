"""Ticks beside something else that a process does, and tells in the log what came of it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from daskflow.errors import DaskflowError
from daskflow.execution.agents.outcome import in_short
from daskflow.execution.pipelines.ticking import Tick
from daskflow.execution.run import Run
from daskflow.model.states import RunState

_LOG = logging.getLogger("daskflow.schedules")
_LEAST = 0.2
"""It is not looked more often than this [s]."""


class Ticking(Protocol):
    """Starts what is due."""

    def tick(self) -> Tick:
        """Start it."""

    def patience(self, longest: float) -> float:
        """How long nothing is due [s], at most so long."""


class Clock:
    """Ticks in a thread of its own.

    Parameters
    ----------
    ticking
        Gives what starts what is due; called when the thread begins, and again after it failed.
    every
        So often it is looked at least [s].

    Notes
    -----
    Nothing that fails ends it. A trouble that lasts is told once, and again when it is another one. Runs that it began
    are its own: who stops it ends what performs them, and the next tick of anybody goes on with them.
    """

    def __init__(self, ticking: Callable[[], Ticking], every: float) -> None:
        self._ticking = ticking
        self._every = every
        self._told: set[str] = set()
        self._going: list[Run] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._attend, name="daskflow-clock", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Start nothing more."""
        self._stopped.set()
        self._thread.join()

    def _attend(self) -> None:
        ticking: Ticking | None = None
        while not self._stopped.is_set():
            pause = self._every
            try:
                ticking = ticking or self._ticking()
                self._tick(ticking)
                pause = max(_LEAST, ticking.patience(self._every))
            except DaskflowError as error:
                self._tell([f"Schedules cannot be looked at: {error}"])
            except Exception as error:  # what else works here goes on
                if repr(error) not in self._told:
                    _LOG.exception("Schedules cannot be looked at")
                self._told = {repr(error)}
            self._stopped.wait(pause)

    def _tick(self, ticking: Ticking) -> None:
        begun, troubles = ticking.tick()
        for run in begun:
            _LOG.info("The run %s of %s goes on here", run.id, run.flow)
        self._tell(troubles)
        self._going += begun
        for run in [run for run in self._going if run.ended]:
            self._going.remove(run)
            level = logging.INFO if run.state is RunState.succeeded else logging.ERROR
            _LOG.log(level, "The run %s of %s is %s%s", run.id, run.flow, run.state, _why(run))

    def _tell(self, troubles: list[str]) -> None:
        for text in troubles:
            if text not in self._told:
                _LOG.error("%s", text)
        self._told = set(troubles)


def _why(run: Run) -> str:
    return "" if run.error is None else f": {in_short(str(run.error))}"
