"""A run's driver that is a batch job, as the events of the run tell of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from daskflow.execution.submitting.folder import DriverFolder
from daskflow.model.records import EventRecord, RunRecord
from daskflow.model.states import JobState, RunState
from daskflow.stores import Journal

ANNOUNCED = "driver.announced"
SUBMITTED = "driver.submitted"
STARTED = "driver.started"
REQUEUED = "driver.requeued"
STUCK = "driver.stuck"
"""The kinds of events that tell of a driver. It is announced before it is submitted, since it may begin before the
answer of its batch system is there; that may get lost, too."""
_STEPS = ("job.handed_over", "batch.submitted", "batch.started", "batch.adopted")
"""The kinds of events that show that a run gets on, beside its results."""


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
    steps: tuple[int, ...] = ()
    """How far the run was, by `steps`, when the driver was submitted, and each time it went into the queue again."""
    stuck: str = ""
    """Why it was not put into the queue again."""
    token: str = ""
    """What tells the submission that it stems from."""

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
    found, _ = _told(record.id, journal.events(record.id, "driver.*"))
    if found is None:
        return None
    ended = record.state.final or (found.stage is not Stage.queued and record.state is RunState.interrupted)
    return found._replace(stage=Stage.ended) if ended else found


def beginning(journal: Journal, record: RunRecord, token: str) -> Driver | None:
    """What a batch job with this token is to be: the driver that was announced last, or else the one that there is.

    Notes
    -----
    Of one that was only announced nobody knows the batch job.
    """
    found, announced = _told(record.id, journal.events(record.id, "driver.*"))
    return announced if token and announced is not None and announced.token == token else found


def _told(run: str, events: Sequence[EventRecord]) -> tuple[Driver | None, Driver | None]:
    """The driver, and the one that was announced since and neither submitted nor begun, as far as is known."""
    driver: Driver | None = None
    announced: Driver | None = None
    for event in events:
        data = event.data
        if event.kind == ANNOUNCED:
            announced = _submitted(run, data, driver)
        elif event.kind == SUBMITTED:
            made, announced = _submitted(run, data, driver), None
            # Where they are the same it began before its submission was written down.
            if driver is None or not made.token or driver.token != made.token:
                driver = made
        elif event.kind == STARTED and announced is not None and data.get("token") == announced.token:
            driver, announced = _started(announced, data), None
        elif driver is None:
            continue
        elif event.kind == STARTED:
            driver = _started(driver, data)
        elif event.kind == REQUEUED:
            driver = driver._replace(stage=Stage.queued, last=Stage.queued, steps=(*driver.steps, int(data["steps"])))
        elif event.kind == STUCK:
            driver = driver._replace(stage=Stage.ended, last=Stage.ended, stuck=data["reason"])
    return driver, announced


def _submitted(run: str, data: Mapping[str, Any], before: Driver | None) -> Driver:
    return Driver(
        run,
        data["site"],
        data["system"],
        data["batch"],
        data["home"],
        Shape(data["pool"], int(data["cores"]), int(data["memory"]), float(data["walltime"])),
        Stage.queued,
        Stage.queued,
        0 if before is None else before.starts,
        steps=before.steps if before is not None and data["again"] else (int(data["steps"]),),
        token=data.get("token", ""),
    )


def _started(driver: Driver, data: Mapping[str, Any]) -> Driver:
    if driver.token and driver.node and data["batch"] != driver.batch:
        # Of two batch jobs of one submission the first is the driver; the other one goes.
        return driver
    return driver._replace(
        batch=data["batch"],
        stage=Stage.started,
        last=Stage.started,
        starts=driver.starts + 1,
        node=data["host"],
        process=int(data["pid"]),
        stuck="",
    )


def finished(journal: Journal, run: str) -> int:
    """How many results a run has, with those that it started."""
    good = [state for state in JobState if state.good]
    return sum(
        states.get(state, 0) for one in journal.below(run) for states in journal.counts(one).values() for state in good
    )


def steps(journal: Journal, run: str) -> int:
    """How far a run is, with those that it started: its results, and what else shows that it gets on.

    A job that hands over has saved what it did. Batch jobs of their own go on without the driver; each start that
    submits or adopts one, or hears that it began, has something to wait for, which ends by itself.
    """
    others = sum(len(journal.events(run, pattern, tree=True)) for pattern in _STEPS)
    return finished(journal, run) + others
