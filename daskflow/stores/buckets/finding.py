"""Finds works in the tables: what the database cannot decide is decided work by work, a page at a time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from daskflow.stores.buckets.conditions import predicate
from daskflow.stores.buckets.ordering import Ordering
from daskflow.stores.buckets.paths import Projection
from daskflow.stores.buckets.prefilter import Prefilter, prefilter
from daskflow.stores.buckets.query import check_query, check_view
from daskflow.stores.buckets.rows import payload_of
from daskflow.stores.buckets.shelf import Payload, Query, View
from daskflow.stores.buckets.sieve import Sieve
from daskflow.stores.database import Database

_FIRST, _MOST = 20, 1000
"""Works of the first page, and of any page, at most."""
_TRIAL = 500
"""A page of so many works tells whether a sieve is of use."""
_ROOM = 8 << 20
"""Pages hold about so much text [letters], or one work."""
_NEWEST = 2**62


def view_works(database: Database, view: View) -> list[Payload]:
    """Works, or parts of them.

    Raises
    ------
    WorkInvalid

    Notes
    -----
    What is deposited, changed or deleted meanwhile may be among them or not; no work is there twice.
    """
    view = check_view(view)
    # Of what is not shown nothing is kept: it may be much more.
    shown = Projection(view.projection).of if view.projection else _whole
    end = None if view.limit < 0 else view.skip + view.limit
    decided = prefilter(view.query)
    if not view.sort and not decided.rest:
        first = islice(_pages(database, decided, skip=view.skip), None if view.limit < 0 else view.limit)
        return list(map(shown, first))
    works = _meant(database, decided)
    if not view.sort:
        return list(map(shown, islice(works, view.skip, end)))
    return Ordering(view.sort).first(works, -1 if end is None else end, shown)[view.skip :]


def _whole(work: Payload) -> Payload:
    return work


def count_works(database: Database, query: Query) -> int:
    """How many works are meant.

    Raises
    ------
    WorkInvalid
    """
    decided = prefilter(check_query(query))
    if decided.rest:
        return sum(1 for _ in _meant(database, decided))
    ((count,),) = database.rows(" ".join(["works_counted", *decided.parts]), **decided.parameters)
    return int(count)


def _meant(database: Database, decided: Prefilter) -> Iterator[Payload]:
    meant, sieve = predicate(decided.rest), Sieve(decided.rest)
    likely = Prefilter((*decided.parts, *sieve.patterns), {**decided.parameters, **sieve.patterns}, decided.rest)
    return (work for work in _pages(database, likely, sieve=sieve) if meant(work))


def _pages(database: Database, decided: Prefilter, *, skip: int = 0, sieve: Sieve | None = None) -> Iterator[Payload]:
    """What the database finds, and passes a sieve, those deposited last first."""
    name = " ".join(["works_found", *decided.parts])
    below, most = _NEWEST, _FIRST
    while True:
        rows = database.rows(name, below=below, most=most, skip=skip, **decided.parameters)
        likely = rows if sieve is None else [row for row in rows if sieve.passes(row[-3], row[-2] or "")]
        yield from map(payload_of, likely)
        if len(rows) < most:
            return
        below, skip = rows[-1][-1], 0
        letters = sum(len(row[-3]) + len(row[-2] or "") for row in rows) // len(rows)
        if len(rows) >= _TRIAL and 2 * len(likely) > len(rows):
            sieve = None  # it costs more than it spares
        most = max(1, min(_MOST, 4 * most, _ROOM // max(letters, 1)))
