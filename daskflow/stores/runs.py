"""The journal's chapter of runs."""

from __future__ import annotations

import json
import time
from typing import Any

from daskflow.errors import NotFound
from daskflow.model.records import RunRecord
from daskflow.model.states import RunState
from daskflow.stores.chapter import Chapter, as_json, few, like
from daskflow.stores.dialect import Row
from daskflow.stores.liveness import is_gone

_FIELDS = (
    "id", "flow", "target", "arguments", "state", "site", "created", "started", "stopped", "heartbeat",
    "host", "pid", "error", "payload",
)  # fmt: skip


class Runs(Chapter):
    """What is remembered of runs. One whose driver is gone reads as `interrupted`."""

    def add_run(self, record: RunRecord) -> None:
        """Record a new run.

        Raises
        ------
        StoreError
            A run of that id is recorded already.
        """
        self.database.write("add_run", **_columns(record))

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

    def heartbeat(self, id: str, time: float) -> None:
        """Say that the driver of a run lives."""
        self.database.write("heartbeat", id=id, time=time)

    def run(self, ident: str) -> RunRecord:
        """Find one run.

        Parameters
        ----------
        ident
            Its full id, what its id alone begins or ends with, or `last`.

        Raises
        ------
        NotFound
            None fits, or several do; the message lists them.
        """
        stored = self.database.rows("run", id=ident)
        if stored:
            return _seen(_record(stored[0]))
        if ident == "last":
            newest = self.runs(limit=1)
            if not newest:
                raise NotFound(f"No run is recorded in {self.database.place} yet.")
            return newest[0]
        return self.run(self._only_id(ident))

    def runs(self, limit: int = 50, flow: str | None = None) -> list[RunRecord]:
        """The newest runs, newest first; of one flow if it is named."""
        stored = self.database.rows("runs", limit=limit, flow=flow or "")
        return [_seen(_record(row)) for row in stored]

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


def _seen(record: RunRecord) -> RunRecord:
    """The run as people see it: without a driver it is interrupted."""
    if is_gone(record, time.time()):
        return record.model_copy(update={"state": RunState.interrupted})
    return record
