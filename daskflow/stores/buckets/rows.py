"""Works as rows of a table, and back."""

from __future__ import annotations

import json
from typing import Any

from daskflow.model.jsons import as_text
from daskflow.stores.buckets.shelf import Payload
from daskflow.stores.dialect import Row

OUTCOME = ("results", "products", "plots", "error", "log", "host")
"""Fields that an attempt fills in; each attempt begins without them."""
_COLUMNS = ("id", "status", "priority", "attempt", "retries", "timeout", "final", "locked", "creation", "start", "stop")


def columns(work: Payload) -> dict[str, Any]:
    """The columns of a work."""
    payload = {name: value for name, value in work.items() if name not in OUTCOME and name not in _COLUMNS}
    outcome = {name: work[name] for name in OUTCOME if work.get(name) is not None}
    return {
        **{name: work.get(name) for name in _COLUMNS},
        "final": int(bool(work.get("final"))),
        "locked": int(bool(work.get("locked"))),
        "pipeline": work["pipeline"],
        "site": work["site"],
        "username": work["user"],
        "parent": (work.get("config") or {}).get("parent") or "",
        "payload": as_text(payload),
        "outcome": as_text(outcome) if outcome else None,
    }


def payload_of(row: Row) -> Payload:
    """The work of a row: `_COLUMNS`, then the payload and the outcome."""
    found = dict(zip(_COLUMNS, row, strict=False))
    payload, outcome = (json.loads(part) if isinstance(part, str) else part for part in row[len(_COLUMNS) :])
    return {
        **payload,
        **dict.fromkeys(OUTCOME),
        **(outcome or {}),
        **found,
        "timeout": int(found["timeout"]),
        "final": bool(found["final"]),
        "locked": bool(found["locked"]),
    }


def marks(work: Payload) -> list[tuple[str, str]]:
    """The events and tags of a work, as `(kind, value)`."""
    events = [("event", str(event)) for event in work.get("event") or ()]
    return list(dict.fromkeys([*events, *[("tag", tag) for tag in work.get("tags") or ()]]))
