"""One start of a submitted driver: what it finds, and whether its batch job is put into the queue again at the end."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Sequence
from types import FrameType
from typing import Any

from daskflow.errors import RunBusy, UsageError
from daskflow.execution.project import Project
from daskflow.execution.submitting.driver import (
    REQUEUED,
    STARTED,
    STUCK,
    Driver,
    beginning,
    driver_of,
    finished,
    steps,
)
from daskflow.execution.submitting.script import TOKEN
from daskflow.model.records import RunRecord
from daskflow.model.states import RunState
from daskflow.stores.liveness import this_host

VAIN = 3
"""After so many starts in a row in which no job got on the driver is not put into the queue again."""


class Alarm:
    """Hears that the end of the batch job is near, and stops what the main thread does: once.

    Parameters
    ----------
    ends
        When the walltime is over; seconds since the epoch [s].
    notice
        So long before it the driver stops [s].

    Notes
    -----
    The batch system warns by `SIGUSR1`, where it can; the clock is looked at in any case. What comes after the first
    signal is passed over: the run is being brought to its end already, and the batch system ends the process itself.
    """

    def __init__(self, ends: float | None, notice: float) -> None:
        self.near = False
        """Whether the walltime is the reason of the stop."""
        self._told = False
        self._timer: threading.Timer | None = None
        if ends is not None:
            self._timer = threading.Timer(max(0.0, ends - notice - time.time()), self._ring)
            self._timer.daemon = True

    def listen(self) -> None:
        """From now on signals are heard; to be called in the main thread."""
        for one in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT):
            signal.signal(one, self._hear)
        if self._timer is not None and not self._timer.is_alive() and self._timer.ident is None:
            self._timer.start()

    def end(self) -> None:
        """Nothing is to be stopped any more."""
        self._told = True
        if self._timer is not None:
            self._timer.cancel()

    def _ring(self) -> None:
        os.kill(os.getpid(), signal.SIGUSR1)

    def _hear(self, signum: int, frame: FrameType | None) -> None:
        if self._told:
            return
        self._told = True
        self.near = signum == signal.SIGUSR1
        raise KeyboardInterrupt


def begin(project: Project, run: str, batch: str) -> tuple[RunRecord, Driver]:
    """A batch job begins that is to drive a run.

    Raises
    ------
    UsageError
        No driver of the run was submitted; the run has ended; or another batch job drives it.
    RunBusy
        Another process drives it.

    Notes
    -----
    A batch system may start a job anew whose node failed. What drove the run before in the same batch job is gone
    then, although nobody wrote that down. Where an answer of the batch system was lost, or is not recorded yet, a job
    is known by the token of its submission; of several with the same token the first one drives, and no other ever.
    """
    token = os.environ.get(TOKEN, "")
    record = project.journal.run(run)
    driver = beginning(project.journal, record, token)
    if driver is None:
        raise UsageError(f"No driver of the run {run} was submitted. Submit one: daskflow resume {run} --submit")
    if record.state in (RunState.cancelled, RunState.succeeded):
        raise UsageError(f"The run {run} is {record.state}; there is nothing to do.")
    first = bool(token) and token == driver.token and not driver.node
    if not first:
        _see_own(run, driver, batch)
    if record.state in (RunState.running, RunState.paused):
        if (record.host, record.pid) != (driver.node, driver.process):
            raise RunBusy(f"The run {run} goes on already, in process {record.pid} on {record.host}.")
        record = project.journal.update_run(run, state=RunState.interrupted)
    own = batch or driver.batch
    told = {"batch": own, "token": driver.token, "host": this_host(), "pid": os.getpid()}
    _say(project, run, STARTED, **told, start=driver.starts + 1)
    # Two may have come so far at the same time.
    now = driver_of(project.journal, record)
    assert now is not None
    _see_own(run, now, batch)
    return record, driver._replace(batch=own)


def _see_own(run: str, driver: Driver, batch: str) -> None:
    if batch and driver.batch != batch:
        raise UsageError(f"The run {run} is driven by the batch job {driver.batch} now, and not by {batch}.")


def in_vain(before: Sequence[int], now: int) -> bool:
    """Whether in the latest starts, this one included, nothing got on.

    Parameters
    ----------
    before
        How far the run was at first, and whenever the driver was put into the queue again.

    Examples
    --------
    >>> in_vain([0, 0], 0), in_vain([0, 0, 0], 0), in_vain([0, 0, 0], 1)
    (False, True, False)
    """
    counts = [*before, now]
    return len(counts) > VAIN and len(set(counts[-VAIN - 1 :])) == 1


def settle(project: Project, run: str, *, near: bool) -> bool:
    """A start has ended: whether the batch job is to be put into the queue again; what was decided is recorded.

    Parameters
    ----------
    near
        Whether it ended because of its walltime.
    """
    record = project.journal.run(run)
    if not near or record.state.final:
        return False
    driver = driver_of(project.journal, record)
    assert driver is not None
    now = steps(project.journal, run)
    if in_vain(driver.steps, now):
        reason = (
            f"The driver was started {VAIN} times in a row and finished no job. Its walltime of "
            f"{driver.shape.walltime:g} s is too short for it: daskflow resume {run} --submit --walltime LONGER"
        )
        _say(project, run, STUCK, reason=reason)
        project.journal.update_run(run, error=reason)
        return False
    _say(project, run, REQUEUED, batch=driver.batch, finished=finished(project.journal, run), steps=now)
    return True


def _say(project: Project, run: str, kind: str, **data: Any) -> None:
    project.event(run, kind, **data)
    project.writer.flush()
