"""Works as rows of a table, and back."""

from __future__ import annotations

import json
from typing import Any

from daskflow.model.jsons import as_text
from daskflow.model.workconfig import Notify
from daskflow.stores.buckets.shelf import Payload
from daskflow.stores.dialect import Row

OUTCOME = ("results", "products", "plots", "error", "log", "host")
"""Fields that an attempt fills in; each attempt begins without them."""
_COLUMNS = (
    *("id", "pipeline", "site", "user", "status", "priority", "attempt", "given_back", "retries", "timeout"),
    *("final", "locked", "creation", "start", "stop"),
)
"""Fields that are columns, in the order in which statements give them."""
_DEPOSITED = (
    *("id", "pipeline", "site", "username", "parent", "status", "priority", "attempt", "given_back", "retries"),
    *("timeout", "final", "start", "stop", "marks", "payload", "outcome", "creation"),
)
"""Columns in the order in which `add_work` takes them."""
ENDS = ("success", "failure")
"""How a work stands that was performed."""
_WAITING = {"status": "queued", "attempt": 0, "given_back": 0, "final": 0, "start": None, "stop": None, "outcome": None}
_APART = frozenset((*OUTCOME, *_COLUMNS))
_EMPTY: Payload = dict.fromkeys(("function", "command", "parameters", *OUTCOME, "tags", "group", "event"))


def columns(work: Payload) -> dict[str, Any]:
    """The columns of a work."""
    told = {name: value for name, value in work.items() if name not in _APART and value is not None}
    if told.get("notify") == _NOBODY:
        del told["notify"]  # half of the text of a small work, and most works tell nobody
    outcome = {name: work[name] for name in OUTCOME if work.get(name) is not None}
    return {
        "id": work["id"],
        "pipeline": work["pipeline"],
        "site": work["site"],
        "username": work["user"],
        "parent": work["config"]["parent"] or "",
        "status": work["status"],
        "priority": work["priority"],
        "attempt": work["attempt"],
        "retries": work["retries"],
        "timeout": float(work["timeout"]),
        "final": int(work["final"]),
        "creation": work["creation"],
        "start": work["start"],
        "stop": work["stop"],
        "marks": as_text(marks(work)) if work["event"] or work["tags"] else "",
        "payload": as_text(told),
        "outcome": as_text(outcome) if outcome else None,
    }


_NOBODY = Notify().model_dump()


def deposited(work: Payload) -> Row:
    """What `add_work` takes: a work that has ended as it is, any other one as one that waits."""
    row = columns(work)
    if work["status"] in ENDS:
        # Nobody performs what was performed elsewhere, so no audit queues it.
        row |= {"given_back": work["given_back"], "final": int(work["final"] or work["status"] == "failure")}
    else:
        row |= _WAITING
    return tuple(row[name] for name in _DEPOSITED)


def payload_of(row: Row) -> Payload:
    """The work of a row: `_COLUMNS`, the holder, the payload and the outcome."""
    holder, payload, outcome = row[len(_COLUMNS) : len(_COLUMNS) + 3]
    found = {**_EMPTY, **json.loads(payload), **dict(zip(_COLUMNS, row, strict=False))}
    found.setdefault("notify", Notify().model_dump())
    if holder:
        found["host"] = holder
    if outcome:
        found.update(json.loads(outcome))
    found["timeout"], found["final"], found["locked"] = int(row[9]), bool(row[10]), bool(row[11])
    return found


def marks(work: Payload) -> list[tuple[str, str]]:
    """The events and tags of a work, as `(kind, value)`."""
    events = [("event", str(event)) for event in work.get("event") or ()]
    return list(dict.fromkeys([*events, *[("tag", tag) for tag in work.get("tags") or ()]]))
