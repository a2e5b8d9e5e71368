"""A run's driver that is a batch job, as the events of the run tell of it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from daskflow.execution.submitting.folder import DriverFolder
from daskflow.model.records import EventRecord, RunRecord
from daskflow.model.states import JobState, RunState
from daskflow.stores import Journal

SUBMITTED = "driver.submitted"
STARTED = "driver.started"
REQUEUED = "driver.requeued"
STUCK = "driver.stuck"
"""The kinds of events that tell of a driver."""


class Shape(NamedTuple):
    """How large a batch job the driver is."""

    pool: str
    cores: int
    memory: int
    """[bytes]"""
    walltime: float
    """[s]"""

    @property
    def notice(self) -> float:
        """So long before the end of its walltime the driver stops, so that all is written at the end [s].

        Some five per cent, a minute at least; of a short walltime half.
        """
        return min(max(60.0, 0.05 * self.walltime), 300.0, self.walltime / 2)


class Stage(StrEnum):
    """How far a submitted driver has come."""

    queued = "queued"
    """It waits in the queue of its batch system: for the first time, or again."""
    started = "started"
    ended = "ended"


class Driver(NamedTuple):
    """The driver of one run, as a batch job."""

    run: str
    site: str
    """Where the driver itself runs."""
    system: str
    """Kind of the batch system."""
    batch: str
    """Id of its batch job; the latest one."""
    home: str
    shape: Shape
    stage: Stage
    last: Stage
    """How far it had come by its own word: the run may have ended otherwise since."""
    starts: int
    """How often it has begun."""
    node: str = ""
    """Where it began last."""
    process: int = 0
    """Its process there."""
    finished: tuple[int, ...] = ()
    """How many results the run had when the driver was submitted, and each time it was put into the queue again."""
    stuck: str = ""
    """Why it was not put into the queue again."""

    @property
    def folder(self) -> DriverFolder:
        """Its script and its log."""
        return DriverFolder(self.home, self.run)

    @property
    def script(self) -> Path:
        """The job script."""
        return self.folder.script


def driver_of(journal: Journal, record: RunRecord) -> Driver | None:
    """The driver of a run, if it was submitted."""
    found = _told(record.id, journal.events(record.id, "driver.*"))
    if found is None:
        return None
    ended = record.state.final or (found.stage is not Stage.queued and record.state is RunState.interrupted)
    return found._replace(stage=Stage.ended) if ended else found


def _told(run: str, events: Sequence[EventRecord]) -> Driver | None:
    driver: Driver | None = None
    for event in events:
        data = event.data
        if event.kind == SUBMITTED:
            shape = Shape(data["pool"], int(data["cores"]), int(data["memory"]), float(data["walltime"]))
            driver = Driver(
                run,
                data["site"],
                data["system"],
                data["batch"],
                data["home"],
                shape,
                Stage.queued,
                Stage.queued,
                0 if driver is None else driver.starts,
                finished=driver.finished if driver is not None and data["again"] else (int(data["finished"]),),
            )
        elif driver is None:
            continue
        elif event.kind == STARTED:
            driver = driver._replace(
                stage=Stage.started,
                last=Stage.started,
                starts=driver.starts + 1,
                node=data["host"],
                process=int(data["pid"]),
                stuck="",
            )
        elif event.kind == REQUEUED:
            driver = driver._replace(
                stage=Stage.queued, last=Stage.queued, finished=(*driver.finished, int(data["finished"]))
            )
        elif event.kind == STUCK:
            driver = driver._replace(stage=Stage.ended, last=Stage.ended, stuck=data["reason"])
    return driver


def finished(journal: Journal, run: str) -> int:
    """How many results a run has, with those that it started."""
    good = [state for state in JobState if state.good]
    return sum(
        states.get(state, 0) for one in journal.below(run) for states in journal.counts(one).values() for state in good
    )
