"""Says how pilots ended: by their own note, by the batch system's record, or by what their log ended with."""

from __future__ import annotations

import os
import signal
from typing import NamedTuple

from daskflow.sites.batch.system import Certificate
from daskflow.sites.pilots.pilot import Pilot

_LINES = 20
_BYTES = 8192
_BLAMELESS = frozenset({"Cancelled", "Preempted", "NodeFailure"})
"""Ends that say nothing of whether a pilot can start."""


class Ending(NamedTuple):
    """How one pilot ended."""

    reason: str
    error: str = ""
    """Name of the error class; empty: it ended as it should."""

    @property
    def blameless(self) -> bool:
        """Whether another one of the same pool may well start."""
        return self.error in _BLAMELESS


IDLE = Ending("it had nothing to do")
SPENT = Ending("too little of its time was left for what waits")
WITHDRAWN = Ending("nothing waited for it any more")
CLOSED = Ending("its site was closed")
LATE = Ending("its worker did not arrive: it cannot reach the driver, or cannot start", "StartupFailed")
UNKNOWN = Ending("nobody knows how it ended", "WorkerLost")


def told(code: int, pilot: Pilot, now: float) -> Ending:
    """The end of a pilot whose worker had arrived, by its own note."""
    if code == 0:
        # It leaves a little before the batch system would end it.
        over = pilot.ends is not None and now > pilot.ends - 60.0
        return Ending("its time was over" if over else "its worker ended")
    return Ending(f"its worker ended with {_code(code)}", "WorkerLost")


def failed_start(code: int, *, over: bool = False) -> Ending:
    """The end of a pilot whose worker never arrived, by its own note.

    Parameters
    ----------
    over
        Whether its time was over.
    """
    if code == 128 + signal.SIGTERM and not over:
        # Nobody but the batch system ends it so, for somebody who cancelled it or for a job that goes first.
        return Ending(f"it was ended ({_code(code)}) before its worker arrived", "Cancelled")
    return Ending(f"it ended with {_code(code)} before its worker arrived", "StartupFailed")


def recorded(found: Certificate | None) -> Ending:
    """The end of a pilot whose worker never arrived and which left no note, by the batch system's record."""
    if found is None:
        return Ending("it went away before its worker arrived, and left no note", "StartupFailed")
    error = found.error if found.error in _BLAMELESS else "StartupFailed"
    return Ending(f"{found.text}, before its worker arrived", error)


def tail(*paths: str) -> str:
    """The end of the first log that says anything; empty where none does."""
    for path in paths:
        try:
            with open(path, "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - _BYTES))
                text = file.read().decode(errors="replace").strip()
        except OSError:  # none was written, or it is not there yet
            continue
        if text:
            return "\n".join(text.splitlines()[-_LINES:])
    return ""


def _code(code: int) -> str:
    return f"exit code {code}" if code <= 128 else f"exit code {code} (signal {code - 128})"
