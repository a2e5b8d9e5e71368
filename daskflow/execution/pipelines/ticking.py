"""Starts what schedules say is due; any number of processes may do so."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable
from typing import NamedTuple, Protocol

from daskflow.errors import DaskflowError, PipelineInvalid, RunBusy, StoreError
from daskflow.execution.pipelines.crontabs import next_due
from daskflow.execution.run import Run
from daskflow.model.pipeline import Pipeline, ScheduleRecord
from daskflow.model.records import RunRecord
from daskflow.model.states import RunState
from daskflow.stores import Journal
from daskflow.stores.liveness import may_be_cut_off
from daskflow.stores.schedules import Schedules

_IDLE = (RunState.created, RunState.interrupted)
"""The states of runs that nobody performs, and that have not ended."""


class Starter(Protocol):
    """Begins runs of pipelines."""

    def enter(self, document: str) -> str:
        """Record a run of a pipeline, which somebody is to begin; gives its id."""

    def go_on(self, record: RunRecord) -> Run:
        """Begin a recorded run, or go on with it, in the background.

        Raises
        ------
        RunBusy
            Another process does.
        """


def new_schedule(pipeline: Pipeline, document: str, now: float) -> ScheduleRecord:
    """The record of a pipeline's schedule.

    Raises
    ------
    PipelineInvalid
        It has none, or none that ever comes.
    """
    schedule = pipeline.schedule
    if schedule is None:
        raise PipelineInvalid(f"The pipeline {pipeline.name} has no schedule. Write one: schedule: {{cronspec: ...}}")
    due = next_due(schedule.cronspec, schedule.timezone, now)
    if due is None:
        raise PipelineInvalid(f"schedule.cronspec: {schedule.cronspec!r} never comes.")
    return ScheduleRecord(
        id=f"s-{uuid.uuid4().hex[:10]}",
        name=pipeline.name,
        cron=schedule.cronspec,
        timezone=schedule.timezone,
        lives=schedule.lives,
        document=document,
        created=now,
        due=due,
    )


class Tick(NamedTuple):
    """What one look at the schedules gave."""

    begun: list[Run]
    """The runs that go on here by that."""
    troubles: list[str]
    """What could not be started, and why."""


class Ticker:
    """Starts what is due.

    Parameters
    ----------
    journal
        Where schedules and runs are recorded.
    starter
        Begins runs.
    clock
        Gives the time, in seconds since the epoch [s].

    Notes
    -----
    Each due time has exactly one run: it is claimed and its run is recorded in one transaction. The run is begun after
    that, by whoever comes first; a run whose process was killed is gone on with at the next tick of anybody on its
    machine, elsewhere when its process would wait for the store no longer either. Of times that passed while nobody
    ticked, a schedule starts one run.
    """

    def __init__(self, journal: Journal, starter: Starter, clock: Callable[[], float] = time.time) -> None:
        self._journal = journal
        self._schedules = Schedules(journal.database)
        self._starter = starter
        self._clock = clock
        self._looked = -math.inf

    def tick(self) -> Tick:
        """Record what is due, and begin what nobody performs. What cannot be started keeps nothing else from it.

        Raises
        ------
        StoreError
            The store cannot be read or written.
        """
        now = self._looked = self._clock()
        tick = Tick([], [])
        for record in self._schedules.active():
            try:
                self._look(record, now)
            except StoreError:
                raise
            except DaskflowError as error:
                tick.troubles.append(f"The schedule {record.id} of {record.name}: {error}")
        self._begin(tick)
        return tick

    def _look(self, record: ScheduleRecord, now: float) -> None:
        following = next_due(record.cron, record.timezone, now)
        if record.due is not None and record.due <= now:
            self._schedules.claim(record, following, lambda: self._starter.enter(record.document))
        elif following != record.due and following is not None and (record.due is None or following < record.due):
            # The clock was far ahead when the due time was set.
            self._schedules.move(record, following)

    def _begin(self, tick: Tick) -> None:
        for ident in self._schedules.unfinished_runs():
            if not self._is_idle(self._journal.run(ident)):
                continue
            try:
                # Another one may have begun it meanwhile, and even seen it to its end.
                with self._journal.database.transaction():
                    record = self._journal.run(ident)
                    if self._is_idle(record):
                        tick.begun.append(self._starter.go_on(record))
            except RunBusy:
                continue
            except StoreError:
                raise
            except DaskflowError as error:
                tick.troubles.append(f"The run {ident}: {error}")

    def _is_idle(self, record: RunRecord) -> bool:
        """Whether nobody performs a run, not even somebody who is only cut off from the store."""
        # Drivers note the time of their machine when they say that they live.
        return record.state in _IDLE and not may_be_cut_off(record, time.time(), self._journal.patience.longest)

    def patience(self, longest: float) -> float:
        """How long nothing is due [s], at most `longest`; what a look left due could not be started, and waits."""
        now = self._clock()
        # A clock that was put back looks as if it had not looked yet.
        looked = min(self._looked, now)
        due = [record.due for record in self._schedules.active() if record.due is not None and record.due > looked]
        return max(0.0, min([longest, *[at - now for at in due]]))
