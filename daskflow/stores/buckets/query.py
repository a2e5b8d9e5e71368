"""Which works are meant: queries by fields and by what lies within parameters and results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from daskflow.errors import WorkInvalid
from daskflow.stores.buckets.shelf import Payload, Query, View


def check_query(query: Query) -> Query:
    """A query, if it is one.

    Raises
    ------
    WorkInvalid
    """
    if not isinstance(query, Mapping):
        raise WorkInvalid(f"{query!r:.100} is no query. Write {{'status': 'success'}}.")
    return query


def check_view(view: View) -> View:
    """A view, if it is one.

    Raises
    ------
    WorkInvalid
    """
    check_query(view.query)
    if view.skip < 0 or view.limit < -1:
        raise WorkInvalid("`skip` is at least 0, and `limit` at least -1, which is all.")
    return view


def matches(payload: Payload, query: Query) -> bool:
    """Whether a work is meant."""
    return all(_found(payload, name) == value for name, value in query.items())


def _found(payload: Any, path: str) -> Any:
    for part in path.split("."):
        payload = payload.get(part) if isinstance(payload, Mapping) else None
    return payload
