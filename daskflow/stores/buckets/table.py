"""Works in the tables of a store."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from daskflow.errors import WorkLocked, WorkLost
from daskflow.stores.buckets.query import matches
from daskflow.stores.buckets.rows import columns, marks, payload_of
from daskflow.stores.buckets.shelf import Payload, Query, View, Wanted
from daskflow.stores.chapter import few
from daskflow.stores.database import Database

_CHANNEL = "works"


class WorkTable:
    """Keeps works in a database: a `Shelf`.

    Parameters
    ----------
    database
        Where.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    def deposit(self, works: Sequence[Payload]) -> list[str]:
        """Queue works, all or none of them; their new ids in the same order."""
        ids = [uuid.uuid4().hex for _ in works]
        with self.database.transaction():
            for id, work in zip(ids, works, strict=True):
                self._add({**work, "id": id})
            self.database.announce(_CHANNEL)
        return ids

    def _add(self, work: Payload) -> None:
        row = columns(work)
        names = ("id", "pipeline", "site", "username", "parent", "priority", "attempt", "retries", "timeout")
        self.database.write("add_work", **{name: row[name] for name in (*names, "creation", "payload")})
        for kind, value in marks(work):
            self.database.write("add_work_mark", kind=kind, value=value, id=work["id"])

    def withdraw(self, wanted: Wanted, *, lease: float | None, holder: str) -> Payload | None:
        """Take the queued work that comes first."""
        found = self.database.change(
            "withdraw",
            pipelines=list(wanted.pipelines),
            site=wanted.site,
            username=wanted.user,
            priority=wanted.priority or 0,
            any_parent=int(not wanted.parents),
            parents=list(wanted.parents),
            any_event=int(not wanted.events),
            events=[str(event) for event in wanted.events],
            any_tag=int(not wanted.tags),
            tags=list(wanted.tags),
            lease=lease,
            holder=holder,
        )
        return payload_of(found[0]) if found else None

    def update(self, works: Sequence[Payload]) -> None:
        """Write works anew, all or none of them."""
        with self.database.transaction():
            for work in works:
                row = columns(work)
                names = ("id", "attempt", "status", "priority", "retries", "timeout", "final", "start", "stop")
                parameters = {name: row[name] for name in (*names, "payload", "outcome")}
                if not self.database.change("update_work", **parameters):
                    raise self._refusal(work["id"], work["attempt"])
                if row["status"] == "queued":
                    self.database.announce(_CHANNEL)

    def _refusal(self, id: str, attempt: int) -> WorkLost | WorkLocked:
        found = self.database.rows("work", id=id)
        if not found:
            return WorkLost(f"The work {id} is not there any more.")
        stored = payload_of(found[0])
        if stored["locked"]:
            return WorkLocked(f"The work {id} is locked.")
        return WorkLost(
            f"The work {id} is {stored['status']} in attempt {stored['attempt']}; this was attempt {attempt}."
        )

    def heartbeat(self, id: str, attempt: int, lease: float) -> None:
        """Hold a work for longer [s]."""
        if not self.database.change("work_heartbeat", id=id, attempt=attempt, lease=lease):
            raise self._refusal(id, attempt)

    def give_back(self, id: str, attempt: int) -> None:
        """Queue a work again as if nobody had taken it."""
        with self.database.transaction():
            if not self.database.change("give_back_work", id=id, attempt=attempt):
                raise self._refusal(id, attempt)
            self.database.announce(_CHANNEL)

    def delete(self, ids: Sequence[str]) -> int:
        """Delete works; how many of them were there."""
        with self.database.transaction():
            locked = [id for (id,) in self.database.rows("locked_works", ids=list(ids))]
            if locked:
                raise WorkLocked(f"{len(locked)} of these works are locked: {few(locked)}. Unlock them first.")
            gone = len(self.database.change("delete_works", ids=list(ids)))
            if gone:
                self.database.write("delete_work_marks")
        return gone

    def view(self, view: View) -> list[Payload]:
        """Look at works."""
        found = [work for work in self._all() if matches(work, view.query)]
        return found[view.skip :][: None if view.limit < 0 else view.limit]

    def _all(self) -> list[Payload]:
        return [payload_of(row) for row in self.database.rows("works")]

    def count(self, query: Query) -> int:
        """How many works are meant."""
        return sum(matches(work, query) for work in self._all())

    def status(self, pipeline: str | None) -> dict[str, dict[str, int]]:
        """How many works of each bucket, or of one, have each status."""
        found: dict[str, dict[str, int]] = {}
        for name, status, count in self.database.rows("work_counts", pipeline=pipeline or ""):
            found.setdefault(name, {})[status] = count
        return found

    def audit(self, stale: float | None) -> dict[str, int]:
        """Put in order what was left."""
        with self.database.transaction():
            failed = self._count("audit_failed")
            expired = self._count("audit_expired")
            old = 0 if stale is None else self._count("audit_stale", stale=stale)
            if failed:
                self.database.announce(_CHANNEL)
        return {"failed": failed, "expired": expired, "stale": old}

    def _count(self, name: str, **parameters: Any) -> int:
        return len(self.database.change(name, **parameters))

    def lock(self, ids: Sequence[str], locked: bool) -> int:
        """Lock or unlock works; how many of them were there."""
        return self._count("lock_works", ids=list(ids), locked=int(locked))

    def await_deposit(self, pipelines: Sequence[str], timeout: float) -> None:
        """Return as soon as something may have been deposited, at the latest after some time [s]."""
        self.database.await_announcement(_CHANNEL, timeout)

    def close(self) -> None:
        """Give connections back."""
        self.database.close()
