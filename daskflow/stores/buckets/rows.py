"""Works as rows of a table, and back."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic_core import from_json

from daskflow.model.jsons import as_text
from daskflow.model.workconfig import Notify, WorkConfig
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
_USUAL = {"notify": Notify, "config": WorkConfig}
"""Parts of which the text is kept only where a work says something else than most."""
_APART = frozenset((*OUTCOME, *_COLUMNS))
_EMPTY: Payload = dict.fromkeys(("function", "command", "parameters", *OUTCOME, "tags", "group", "event"))


def columns(work: Payload) -> dict[str, Any]:
    """The columns of a work."""
    told = {name: value for name, value in work.items() if name not in _APART and value is not None}
    for name in _USUAL:
        if told.get(name) == _usual(name)[0]:
            del told[name]  # most of the text of a small work
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
        "given_back": work["given_back"],
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


def deposited(work: Payload) -> Row:
    """What `add_work` takes: a work that has ended as it is, any other one as one that waits."""
    row = columns(work)
    if work["status"] in ENDS:
        # Nobody performs what was performed elsewhere, so no audit queues it.
        row |= {"final": int(work["final"] or work["status"] == "failure")}
    else:
        row |= _WAITING
    return tuple(row[name] for name in _DEPOSITED)


def payload_of(row: Row) -> Payload:
    """The work of a row: `_COLUMNS`, the holder, the payload and the outcome."""
    holder, payload, outcome = row[len(_COLUMNS) : len(_COLUMNS) + 3]
    found = {**_EMPTY, **from_json(payload), **dict(zip(_COLUMNS, row, strict=False))}
    for name in _USUAL:
        if name not in found:
            found[name] = from_json(_usual(name)[1])
    if holder:
        found["host"] = holder
    if outcome:
        found.update(from_json(outcome))
    found["timeout"], found["final"], found["locked"] = int(row[9]), bool(row[10]), bool(row[11])
    return found


@cache
def _usual(name: str) -> tuple[Payload, str]:
    """What most works say in this part, and its text."""
    said = _USUAL[name]().model_dump()
    return said, as_text(said)


def used_up(work: Mapping[str, Any]) -> bool:
    """Whether a work that failed is not queued again."""
    return bool(work["final"] or work["attempt"] - work["given_back"] >= work["retries"])


def marks(work: Payload) -> list[tuple[str, str]]:
    """The events and tags of a work, as `(kind, value)`."""
    events = [("event", str(event)) for event in work.get("event") or ()]
    return list(dict.fromkeys([*events, *[("tag", tag) for tag in work.get("tags") or ()]]))
