"""The part of a query that the database decides, by its indexes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from daskflow.stores.buckets.shelf import Query

_TEXTS = {
    "id": "ids",
    "pipeline": "pipelines",
    "status": "statuses",
    "site": "sites",
    "user": "users",
    "config.parent": "parents",
    "tags": "tags",
    "tag": "tags",
}
"""Parameters of statements, by the paths whose values are columns, or tags."""
_PARTS = {"tags": "tag", "config.parent": "parent"}
_LONE = ("pipeline", "status")
"""Columns that are asked for by one value most of the time: planners then know in which order rows come."""


class Prefilter(NamedTuple):
    """What the database decides."""

    parts: tuple[str, ...]
    """Optional parts of the statement."""
    parameters: dict[str, Any]
    """What they take."""
    rest: Query
    """What is left to be decided work by work; empty: nothing is."""


def prefilter(query: Query) -> Prefilter:
    """What of a query the database decides, to the letter; the query was checked."""
    parts: list[str] = []
    parameters: dict[str, Any] = {}
    rest = {}
    for path, wanted in query.items():
        values = _values(wanted)
        if path == "event" and values and all(type(value) is int for value in values):
            parts.append("event")
            parameters["events"] = [str(value) for value in values]
        elif path in _TEXTS and _TEXTS[path] not in parameters and values and _plain(values):
            _take(path, values, parts, parameters)
        else:
            rest[path] = wanted
    return Prefilter(tuple(parts), parameters, rest)


def _take(path: str, values: list[Any], parts: list[str], parameters: dict[str, Any]) -> None:
    path = "tags" if path == "tag" else path
    if path in _LONE and len(values) == 1:
        parts.append(path)
        parameters[path] = values[0]
        return
    parts.append(_TEXTS[path] if path in _LONE else _PARTS.get(path, path))
    parameters[_TEXTS[path]] = values


def _values(wanted: Any) -> list[Any] | None:
    """The values of which a field has one; None where that is not what is asked."""
    if not isinstance(wanted, Mapping):
        return None if isinstance(wanted, list) else [wanted]
    if wanted.keys() == {"$eq"}:
        return None if isinstance(wanted["$eq"], list | Mapping) else [wanted["$eq"]]
    return list(wanted["$in"]) if wanted.keys() == {"$in"} else None


def _plain(values: list[Any]) -> bool:
    # The empty text stands for no parent.
    return all(isinstance(value, str) and value for value in values)
