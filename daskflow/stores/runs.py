"""The journal's chapter of runs."""

from __future__ import annotations

import functools
import json
import math
import time
from collections.abc import Collection, Iterable
from typing import Any

from daskflow.errors import NotFound, RunBusy
from daskflow.model.records import Driver, RunRecord
from daskflow.model.states import JobState, RunState
from daskflow.stores.chapter import Chapter, as_json, few, like
from daskflow.stores.dialect import Row
from daskflow.stores.liveness import is_gone
from daskflow.stores.patience import reading, writing

_FIELDS = (
    "id", "flow", "target", "arguments", "state", "site", "created", "started", "stopped", "heartbeat",
    "host", "pid", "error", "payload", "parent", "ordinal",
)  # fmt: skip
ENDS = [state.value for state in RunState if state.final]
"""The states, as they are stored, of runs that have ended."""
_JOB_ENDS = [state.value for state in JobState if state.final]
_DROPPED = "its run was resumed, and did not call it any more"


class Runs(Chapter):
    """What is remembered of runs. One whose driver is gone reads as `interrupted`."""

    @writing
    def add_run(self, record: RunRecord) -> None:
        """Record a new run.

        Raises
        ------
        StoreError
            A run of that id is recorded already.
        """
        self.database.write("add_run", **_columns(record))

    @writing
    def update_run(self, id: str, **fields: Any) -> RunRecord:
        """Change fields of a run, none of the others, whoever else changes them at the same time.

        Raises
        ------
        NotFound

        Returns
        -------
        RunRecord
            The run as it now stands.
        """
        with self.database.transaction():
            stored = self.database.rows("run", id=id)
            if not stored:
                raise NotFound(f"No run {id} is recorded in {self.database.place}.")
            record = RunRecord.model_validate(dict(_record(stored[0])) | fields)
            self.database.write("save_run", **_columns(record))
        return record

    @writing
    def claim_run(
        self, id: str, *, time: float, host: str, pid: int, idle: bool = False, seen: RunRecord | None = None
    ) -> RunRecord:
        """Go on with a run as its driver; of several processes that try at once, one does.

        Parameters
        ----------
        time
            Seconds since the epoch [s].
        host, pid
            The process that is to perform it.
        idle
            Whether it is known that this very process does not perform it already.
        seen
            The run as it was when it was decided to go on with it; None: whatever has happened to it since.

        Raises
        ------
        NotFound
        RunBusy
            Its driver lives, or somebody has begun it again since it was `seen`, and may even have ended it.
        """
        with self.database.transaction():
            stored = self.database.rows("run", id=id)
            before = _record(stored[0]) if stored else None
            if before is not None:
                if self._is_busy(before, time) and not (idle and (before.host, before.pid) == (host, pid)):
                    raise RunBusy(
                        f"The run {id} goes on already, in process {before.pid} on {before.host}. Watch it with "
                        f"`daskflow show {id}`, or stop it with `daskflow cancel {id}`."
                    )
                if seen is not None and before.driver != seen.driver:
                    raise RunBusy(
                        f"The run {id} was begun again meanwhile, by process {before.pid} on {before.host}, and is "
                        f"{before.state}. Look at it with `daskflow show {id}`."
                    )
            return self.update_run(
                id, state=RunState.running, started=time, heartbeat=time, stopped=None, error="", host=host, pid=pid
            )

    @writing
    def end_run(self, id: str, driver: Driver, *, called: Collection[int] | None = None, **fields: Any) -> bool:
        """Change fields of a run for the last time, unless another driver has begun it again; whether that was done.

        Parameters
        ----------
        called
            Numbers of the jobs that were called since the run was last begun: others that have no end, since their
            driver died and the flow was changed, are `cancelled` by that. None: all were.

        Raises
        ------
        NotFound
        """
        with self.database.transaction():
            mine = self.driver(id) in (driver, None)
            if mine:
                self.update_run(id, **fields)
                if called is not None:
                    self._drop(id, called)
        return mine

    def _drop(self, run: str, called: Collection[int]) -> None:
        left = (number for (number,) in self.database.rows("open_numbers", run=run, ends=_JOB_ENDS))
        rows = [(JobState.cancelled.value, _DROPPED, run, number) for number in left if number not in called]
        self.database.many("set_states", rows)

    @writing
    def heartbeat(self, id: str, time: float, driver: Driver | None = None) -> None:
        """Say that the driver of a run lives; where one is given, only if no other has begun the run again."""
        with self.database.transaction():
            if driver is None or self.driver(id) == driver:
                self.database.write("heartbeat", id=id, time=time)

    @reading
    def driver(self, id: str) -> Driver | None:
        """Who began a run last, and when; None where it is not recorded."""
        return next(((started, host, pid) for started, host, pid in self.database.rows("driver", id=id)), None)

    @reading
    def run(self, ident: str) -> RunRecord:
        """Find one run.

        Parameters
        ----------
        ident
            Its full id, what its id alone begins or ends with, or `last`: the newest that no other run started.

        Raises
        ------
        NotFound
            None fits, or several do; the message lists them.
        """
        stored = self.database.rows("run", id=ident)
        if stored:
            return self._seen(stored)[0]
        if ident == "last":
            newest = self.runs(limit=1, top=True)
            if not newest:
                raise NotFound(f"No run is recorded in {self.database.place} yet.")
            return newest[0]
        return self.run(self._only_id(ident))

    @reading
    def runs(self, limit: int = 50, flow: str | None = None, *, top: bool = False) -> list[RunRecord]:
        """The newest runs, newest first; of one flow if it is named, without those that runs started if `top`."""
        return self._seen(self.database.rows("runs", limit=limit, flow=flow or "", top=int(top)))

    @reading
    def children(self, run: str) -> list[RunRecord]:
        """The runs that the flow of a run started, in the order of the calls."""
        return self._seen(self.database.rows("children", run=run))

    @reading
    def trees(self, runs: Iterable[str]) -> list[RunRecord]:
        """These runs and all below them, oldest first; a run never stands before its parent."""
        return self._seen(self.database.rows("trees", runs=list(runs)))

    @reading
    def unfinished(self) -> list[RunRecord]:
        """The runs that have not ended, oldest first; among them those that were interrupted."""
        return self._seen(self.database.rows("unfinished", ends=ENDS))

    @reading
    def oldest_performed(self) -> float | None:
        """Since when the oldest run is performed whose driver lives; seconds since the epoch [s]; None without one."""
        # One without a host waits in a queue, or died before it began.
        going = [record for record in self.unfinished() if record.host and record.state is not RunState.interrupted]
        return min((record.started or record.created for record in going), default=None)

    @reading
    def root(self, run: str) -> str:
        """Id of the run at the top of the tree to which a run belongs.

        Raises
        ------
        NotFound
        """
        line = self.database.rows("line", run=run)
        if not line:
            raise NotFound(f"No run {run} is recorded in {self.database.place}.")
        return str(line[-1][0])

    def _is_busy(self, record: RunRecord, now: float) -> bool:
        performed = record.state in (RunState.running, RunState.paused) and bool(record.host)
        return performed and not is_gone(record, now, self._uptime)

    def _seen(self, rows: Iterable[Row]) -> list[RunRecord]:
        """Runs as people see them: one without a driver is interrupted."""
        now, uptime = time.time(), functools.cache(self._uptime)
        records = [_record(row) for row in rows]
        gone = {"state": RunState.interrupted}
        return [record.model_copy(update=gone) if is_gone(record, now, uptime) else record for record in records]

    def _uptime(self) -> float:
        """How long the store has been up without a break [s]."""
        return self.database.rows("uptime")[0][0] if self.database.kind == "postgresql" else math.inf

    def _only_id(self, ident: str) -> str:
        part = like(ident)
        ids = [id for (id,) in self.database.rows("run_ids_like", prefix=part + "%", suffix="%" + part)]
        # LIKE does not mind case.
        fitting = [id for id in ids if ident and (id.startswith(ident) or id.endswith(ident))]
        if len(fitting) == 1:
            return str(fitting[0])
        if not fitting:
            raise NotFound(f"No run {ident!r} is recorded in {self.database.place}. `daskflow runs` lists what is.")
        raise NotFound(f"{ident!r} may be any of {len(fitting)} runs: {few(fitting)}. Give more of the id.")


def _record(row: Row) -> RunRecord:
    fields = dict(zip(_FIELDS, row, strict=True))
    fields["arguments"] = json.loads(fields["arguments"])
    return RunRecord(**fields)


def _columns(record: RunRecord) -> dict[str, Any]:
    columns = dict(record)
    return columns | {"arguments": as_json(record.arguments), "state": record.state.value}
