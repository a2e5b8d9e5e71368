"""The journal's chapter of schedules: which pipelines are started again and again, and what each due time started."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from daskflow.errors import NotFound, PipelineInvalid
from daskflow.model.pipeline import ScheduleRecord, ScheduleState
from daskflow.stores.chapter import Chapter, few, like
from daskflow.stores.dialect import Row
from daskflow.stores.runs import ENDS

_FIELDS = ("id", "name", "cron", "timezone", "lives", "state", "document", "created", "due", "latest")


class Schedules(Chapter):
    """What is remembered of schedules.

    Notes
    -----
    Any number of processes and machines may start what is due: each due time is claimed by one of them, and the run
    is recorded in the same transaction. So each due time has one run, whoever is killed at whatever moment.
    """

    def add_schedule(self, record: ScheduleRecord) -> ScheduleRecord:
        """Record a schedule.

        Raises
        ------
        PipelineInvalid
            There is one for a pipeline of that name already, which has not expired.
        """
        with self.database.transaction():
            for other in self.schedules():
                if other.name == record.name and other.state is not ScheduleState.expired:
                    raise PipelineInvalid(
                        f"The pipeline {record.name} has a schedule already, {other.id}. Remove it first: "
                        f"daskflow pipeline unschedule {other.id}"
                    )
            self.database.write("add_schedule", **dict(record) | {"state": record.state.value})
        return record

    def schedules(self) -> list[ScheduleRecord]:
        """All of them, oldest first."""
        return [_record(row) for row in self.database.rows("schedules")]

    def schedule(self, ident: str) -> ScheduleRecord:
        """Find one by its id, or by what its id alone begins with.

        Raises
        ------
        NotFound
            None fits, or several do.
        """
        rows = self.database.rows("schedule", id=ident)
        if not rows:
            rows = self.database.rows("schedule", id=self._schedule_id(ident))
        return _record(rows[0])

    def due(self, now: float) -> list[ScheduleRecord]:
        """Those whose time has come."""
        return [each for each in self.active() if each.due is not None and each.due <= now]

    def active(self) -> list[ScheduleRecord]:
        """Those that start runs."""
        return [each for each in self.schedules() if each.state is ScheduleState.active]

    def claim(self, record: ScheduleRecord, following: float | None, start: Callable[[], str]) -> str | None:
        """Take a due time, and record its run; of several who try at once one does.

        Parameters
        ----------
        record
            The schedule, as it was read.
        following
            Its next due time; None: there is none, and it expires.
        start
            Records the run, in the same transaction, and gives its id.

        Returns
        -------
        str or None
            The id of the run; None: another one took it.
        """
        with self.database.transaction():
            if not self.database.change("claim_schedule", id=record.id, due=record.due, next=following):
                # A clock that was put back comes to a time that has had its run.
                self.move(record, following)
                return None
            run = start()
            self.database.write("add_schedule_run", id=record.id, due=record.due, run=run)
            self.database.write("note_latest_run", id=record.id, run=run)
            if following is None:
                self._turn(record, ScheduleState.expired, None)
        return run

    def move(self, record: ScheduleRecord, following: float | None) -> bool:
        """Have the next run start at another time, unless somebody did so meanwhile."""
        return bool(self.database.change("move_schedule", id=record.id, due=record.due, next=following))

    def pause(self, ident: str) -> ScheduleRecord:
        """Start nothing for a while.

        Raises
        ------
        NotFound
        PipelineInvalid
            It is not active.
        """
        record = self.schedule(ident)
        if not self._turn(record, ScheduleState.paused, None):
            raise PipelineInvalid(f"The schedule {record.id} is {self.schedule(record.id).state}, not active.")
        return self.schedule(record.id)

    def unpause(self, ident: str, due: Callable[[ScheduleRecord], float | None]) -> ScheduleRecord:
        """Go on; what would have been started meanwhile is not.

        Parameters
        ----------
        due
            Gives the next due time.

        Raises
        ------
        NotFound
        PipelineInvalid
            It is not paused.
        """
        record = self.schedule(ident)
        if record.state is not ScheduleState.paused or not self._turn(record, ScheduleState.active, due(record)):
            raise PipelineInvalid(f"The schedule {record.id} is {record.state}, not paused.")
        return self.schedule(record.id)

    def _turn(self, record: ScheduleRecord, state: ScheduleState, due: float | None) -> bool:
        before = ScheduleState.paused if state is ScheduleState.active else ScheduleState.active
        return bool(
            self.database.change("turn_schedule", id=record.id, before=before.value, state=state.value, due=due)
        )

    def remove(self, ident: str) -> ScheduleRecord:
        """Remove one; the runs that it started stay.

        Raises
        ------
        NotFound
        """
        with self.database.transaction():
            record = self.schedule(ident)
            self.database.write("delete_schedule", id=record.id)
        return record

    def unfinished_runs(self) -> list[str]:
        """Ids of the runs that schedules started and that have not ended, oldest first."""
        return [id for (id,) in self.database.rows("unfinished_schedule_runs", ends=ENDS)]

    def pipeline_runs(self, target: str, limit: int) -> list[str]:
        """Ids of the newest runs of a target that no other run started, newest first."""
        return [id for (id,) in self.database.rows("pipeline_runs", target=target, limit=limit)]

    def _schedule_id(self, ident: str) -> str:
        ids = [str(id) for (id,) in self.database.rows("schedule_ids_like", prefix=like(ident) + "%")]
        fitting = [id for id in ids if ident and id.startswith(ident)]
        if len(fitting) == 1:
            return fitting[0]
        if not fitting:
            raise NotFound(
                f"No schedule {ident!r:.100} is recorded in {self.database.place}. `daskflow pipeline schedules` lists "
                "all."
            )
        raise NotFound(f"{ident!r} may be any of {len(fitting)} schedules: {few(fitting)}. Give more of the id.")


def _record(row: Row) -> ScheduleRecord:
    fields: dict[str, Any] = dict(zip(_FIELDS, row, strict=True))
    return ScheduleRecord(**fields)
