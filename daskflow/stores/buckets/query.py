"""Which works are meant: queries by fields and by what lies within parameters and results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from daskflow.errors import WorkInvalid
from daskflow.model.jsons import as_text, json_ready
from daskflow.model.work import WorkStatus, bucket_name
from daskflow.stores.buckets.conditions import JOINS, predicate
from daskflow.stores.buckets.ordering import Ordering
from daskflow.stores.buckets.paths import Projection
from daskflow.stores.buckets.shelf import Payload, Query, View

_LONGEST = 1 << 20
"""Text of a query at most [letters]."""


def check_query(query: Query) -> Query:
    """A query as JSON can hold it, if it is one.

    Raises
    ------
    WorkInvalid
        It is none; the message names the operator.
    """
    try:
        plain = json_ready(query, where="query")
    except ValueError as error:
        raise WorkInvalid(f"The query does not fit: {error}.") from None
    if not isinstance(plain, dict):
        raise WorkInvalid(f"{query!r:.100} is no query. Write {{'status': 'success'}}.")
    if len(as_text(plain)) > _LONGEST:
        raise WorkInvalid("The query is longer than 1 MiB. Ask for fewer works at a time.")
    predicate(plain)
    return _fitted(plain)


def _fitted(query: dict[str, Any]) -> dict[str, Any]:
    """The same, with names of buckets as buckets have them; what is no status is refused, as nothing would be found."""
    return {
        name: [_fitted(each) for each in wanted]
        if name in JOINS
        else _of_each(_VALUES[name], wanted)
        if name in _VALUES
        else wanted
        for name, wanted in query.items()
    }


def _of_each(fit: Callable[[str], str], wanted: Any) -> Any:
    """What is said of a field, with each text in it that a value has to equal made to fit."""
    if isinstance(wanted, str):
        return fit(wanted)
    if not isinstance(wanted, dict):
        return wanted
    fits = dict(wanted)
    for name in _EQUAL & wanted.keys():
        given = wanted[name]
        fits[name] = [_of_each(fit, each) for each in given] if isinstance(given, list) else _of_each(fit, given)
    return fits


def _bucket(given: str) -> str:
    try:
        return bucket_name(given)
    except ValueError as error:
        raise WorkInvalid(f"pipeline: {error}.") from None


def _status(given: str) -> str:
    if given not in _STATUSES:
        raise WorkInvalid(f"{given!r:.100} is no status; there are {', '.join(_STATUSES)}.")
    return given


_STATUSES = [str(status) for status in WorkStatus]
_EQUAL = frozenset({"$eq", "$ne", "$in", "$nin", "$all", "$not"})
_VALUES: dict[str, Callable[[str], str]] = {"pipeline": _bucket, "status": _status}


def check_view(view: View) -> View:
    """A view, if it is one.

    Raises
    ------
    WorkInvalid
    """
    query = check_query(view.query)
    if any(
        type(number) is not int or not least <= number < 2**31 for number, least in ((view.skip, 0), (view.limit, -1))
    ):
        raise WorkInvalid("`skip` is at least 0, and `limit` at least -1, which is all.")
    if view.projection:
        Projection(view.projection)
    Ordering(view.sort)
    return view._replace(query=query)


def matches(payload: Payload, query: Query) -> bool:
    """Whether a work is meant.

    Examples
    --------
    >>> work = {"event": [42, 43], "results": {"bursts": [{"dm": 332.7}, {"dm": 87.8}]}}
    >>> matches(work, {"event": 42, "results.bursts.dm": {"$gt": 300}})
    True
    >>> matches(work, {"results.bursts": {"$size": 3}})
    False
    """
    return predicate(check_query(query))(payload)
