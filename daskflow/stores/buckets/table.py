"""Works in the tables of a store."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

from daskflow.errors import WorkInvalid, WorkLocked, WorkLost
from daskflow.model.jsons import as_text, json_ready
from daskflow.model.work import WORK_TRANSITIONS, WorkStatus
from daskflow.stores.buckets.finding import count_works, view_works
from daskflow.stores.buckets.rows import columns, deposited, marks, payload_of
from daskflow.stores.buckets.shelf import Payload, Query, View, Wanted
from daskflow.stores.chapter import few
from daskflow.stores.database import Database
from daskflow.stores.liveness import this_host

_CHANNEL = "works"
_FEW = 500
"""Up to so many works with a mark are looked at one by one; more of them are met in the queue."""
EXPIRED = "The agent that held it was not heard of for longer than its lease."
_STALE = "It waited for too long: no agent took it."
_CURES = {"running": " Withdraw it.", "queued": " Give it back."}
_APART = {"running": "queued", "queued": "running"}
"""Steps that `update` does not make: who begins a work withdraws it, who holds one gives it back."""
_HOLDER = 1024
"""Letters of who holds a work, at most."""


class WorkTable:
    """Keeps works in a database: a `Shelf`.

    Parameters
    ----------
    database
        Where.

    Notes
    -----
    What changes one work is one statement, so agents wait for each other on SQLite only. What changes several in one
    unit is ordered: two such units do not stand in each other's way.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    def deposit(self, works: Sequence[Payload]) -> list[str]:
        """Add works, all or none of them: queued, or ended as they are; their new ids in the same order."""
        ids = [uuid.uuid4().hex for _ in works]
        rows, marked = [], []
        for id, work in zip(ids, works, strict=True):
            rows.append(deposited({**work, "id": id}))
            if work["event"] or work["tags"]:
                marked += [(kind, value, id) for kind, value in marks(work)]
        with self.database.transaction(ordered=False):
            self.database.many("add_work", rows)
            self.database.many("add_work_mark", marked)
            self.database.announce(_CHANNEL)
        return ids

    def withdraw(self, wanted: Wanted, *, lease: float | None, holder: str) -> Payload | None:
        """Take the queued work that comes first."""
        parameters = _asked(wanted)
        by = [self._reach(kind, parameters[f"{kind}s"]) for kind in ("event", "tag") if f"{kind}s" in parameters]
        for statement in _statements(wanted, tuple(by), self.database.kind):
            if found := self.database.change(statement, **parameters, lease=lease, holder=_shown(holder)):
                return payload_of(found[0])
        return None

    def _reach(self, kind: str, values: list[str]) -> str:
        """By which way works with one of these marks are looked for."""
        ((count,),) = self.database.rows("marked", kind=kind, values=values, most=_FEW)
        return f"{kind}_few" if count < _FEW else f"{kind}_many"

    def update(self, works: Sequence[Payload]) -> None:
        """Write works anew, all or none of them."""
        if len(works) == 1 and works[0]["status"] != "queued" and self._write(columns(works[0])):
            return
        with self.database.transaction():
            for work in works:
                row = columns(work)
                if not self._write(row):
                    self._rewrite(work, row)
            if any(work["status"] == "queued" for work in works):
                self.database.announce(_CHANNEL)

    def _write(self, row: dict[str, Any]) -> bool:
        return bool(self.database.change("update_work", **row, before=" ".join(_before(row["status"]))))

    def _rewrite(self, work: Payload, row: dict[str, Any]) -> None:
        """Write a work that is found by something else now, or say why it cannot be written."""
        held = self.database.change("hold_work", id=row["id"])
        stored = self._hindrance(row["id"], row["attempt"])
        if stored["locked"] and stored["status"] != "running":
            raise WorkLocked(f"The work {row['id']} is locked. Unlock it first.")
        if stored["status"] not in _before(row["status"]):
            cure = _CURES.get(row["status"], "")
            raise WorkInvalid(f"The work {row['id']} is {stored['status']}; {row['status']} cannot follow.{cure}")
        self.database.change("mark_work", id=row["id"], attempt=row["attempt"], marks=row["marks"])
        self.database.change("unmark_work", ordinal=held[0][0])
        self.database.many("add_work_mark", [(kind, value, row["id"]) for kind, value in marks(work)])
        if not self._write(row):
            raise WorkLost(f"The work {row['id']} was changed by another one at this moment. Look at it again.")

    def _hindrance(self, id: str, attempt: int) -> Payload:
        """The work as it is stored, if nobody else has it."""
        found = self.database.rows("work", id=id)
        if not found:
            raise WorkLost(f"The work {id} is not there any more: it was deleted.")
        stored = payload_of(found[0])
        if stored["attempt"] != attempt:
            raise WorkLost(
                f"The work {id} is {stored['status']} in attempt {stored['attempt']}; this was attempt {attempt}."
            )
        return stored

    def heartbeat(self, id: str, attempt: int, lease: float) -> None:
        """Hold a work for longer [s]."""
        if not self.database.change("work_heartbeat", id=id, attempt=attempt, lease=lease):
            self._not_held(id, attempt)

    def give_back(self, id: str, attempt: int) -> None:
        """Queue a work again; the attempt does not count."""
        with self.database.transaction(ordered=False):
            if not self.database.change("give_back_work", id=id, attempt=attempt):
                self._not_held(id, attempt)
            self.database.announce(_CHANNEL)

    def fail(self, work: Payload, why: str) -> None:
        """Let a work that is held fail for good, whatever else is in it."""
        outcome = as_text({"error": json_ready(why), "host": this_host()})
        if not self.database.change("fail_work", id=work["id"], attempt=work["attempt"], outcome=outcome):
            raise WorkLost(f"The work {work['id']} is not held any more in attempt {work['attempt']}.")

    def held(self, id: str, attempt: int) -> Payload:
        """The work that this attempt holds; nobody else changes it until the transaction ends. Raises WorkLost."""
        if not self.database.change("held_work", id=id, attempt=attempt):
            self._not_held(id, attempt)
        return self._hindrance(id, attempt)

    def _not_held(self, id: str, attempt: int) -> None:
        stored = self._hindrance(id, attempt)
        raise WorkLost(f"The work {id} is {stored['status']}: attempt {attempt} is over.")

    def delete(self, ids: Sequence[str]) -> int:
        """Delete works; how many of them were there."""
        with self.database.transaction():
            gone = [ordinal for (ordinal,) in self.database.change("delete_works", ids=list(ids))]
            locked = [id for (id,) in self.database.rows("locked_works", ids=list(ids))]
            if locked:
                raise WorkLocked(f"Locked, so that none of these works is deleted: {few(locked)}. Unlock them first.")
            if gone:
                self.database.change("delete_work_marks", ordinals=gone)
        return len(gone)

    def view(self, view: View) -> list[Payload]:
        """Look at works."""
        return view_works(self.database, view)

    def count(self, query: Query) -> int:
        """How many works are meant."""
        return count_works(self.database, query)

    def status(self, pipeline: str | None) -> dict[str, dict[str, int]]:
        """How many works of each bucket, or of one, have each status."""
        name = "work_counts" if pipeline is None else "work_counts one"
        found: dict[str, dict[str, int]] = {}
        for bucket, status, count in self.database.rows(name, pipeline=pipeline):
            found.setdefault(bucket, {})[status] = count
        return found

    def audit(self, stale: float | None) -> dict[str, int]:
        """Put in order what was left."""
        with self.database.transaction():
            return {
                "failed": self.audit_failed(),
                "expired": self.audit_expired(),
                "stale": 0 if stale is None else self.audit_stale(stale),
            }

    def audit_failed(self) -> int:
        """Queue again what failed and has attempts left; how many works that were."""
        with self.database.transaction():
            found = self._count("audit_failed")
            if found:
                self.database.announce(_CHANNEL)
        return found

    def audit_expired(self) -> int:
        """Let fail what was held for longer than it may; how many works that were."""
        return self._count("audit_expired", outcome=as_text({"error": EXPIRED}))

    def audit_stale(self, age: float) -> int:
        """Let fail for good what waits for longer [s]; how many works that were."""
        return self._count("audit_stale", stale=age, outcome=as_text({"error": _STALE}))

    def _count(self, name: str, **parameters: Any) -> int:
        return len(self.database.change(name, **parameters))

    def lock(self, ids: Sequence[str], locked: bool) -> int:
        """Lock or unlock works; how many of them were there."""
        with self.database.transaction():
            return self._count("lock_works", ids=list(ids), locked=int(locked))

    def await_deposit(self, pipelines: Sequence[str], timeout: float) -> bool:
        """Return as soon as something may have been deposited, at the latest after some time [s]; true."""
        self.database.await_announcement(_CHANNEL, timeout)
        return True

    def close(self) -> None:
        """Give connections back."""
        self.database.close()


@lru_cache
def _asked(wanted: Wanted) -> dict[str, Any]:
    """The parameters of the filters; an agent asks for the same again and again."""
    asked = {
        "pipelines": list(wanted.pipelines),
        "site": wanted.site,
        "username": wanted.user,
        "priority": wanted.priority,
        "parents": list(wanted.parents),
        "events": [str(event) for event in wanted.events],
        "tags": list(wanted.tags),
    }
    return {"pipeline": wanted.pipelines[0]} | {name: value for name, value in asked.items() if value}


@lru_cache
def _statements(wanted: Wanted, by: tuple[str, ...], kind: str) -> list[str]:
    """How the buckets are gone through; the next way where one finds nothing."""
    filters = [name for name in ("site", "user", "priority") if getattr(wanted, name)]
    filters += ["parent"] if wanted.parents else []
    if any(way.endswith("_few") for way in by):
        ways = ["marked"]
    elif len(wanted.pipelines) == 1:
        ways = ["one"]
    elif by or set(filters) - {"site"}:
        ways = ["several"]
    else:
        heads = f"heads_{kind} heads_{kind}_site" if wanted.site else f"heads_{kind}"
        ways = [heads] if kind == "sqlite" else [heads, "several"]
    return [" ".join(["withdraw", way, *filters, *by]) for way in ways]


@cache
def _before(status: str) -> list[str]:
    """What a work may be that `update` is to give this status."""
    ways = [str(each) for each in WorkStatus if each == status or status in WORK_TRANSITIONS[each]]
    return [before for before in ways if before != _APART.get(status)]


def _shown(holder: str) -> str:
    """A name that any work can hold."""
    if not holder.isprintable():
        holder = "".join(letter if letter.isprintable() else "?" for letter in holder)
    return holder[:_HOLDER]
