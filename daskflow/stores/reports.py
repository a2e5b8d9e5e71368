"""The journal's chapter of reports and events."""

from __future__ import annotations

import json
from collections.abc import Iterable
from fnmatch import fnmatchcase

from daskflow.model.records import EventRecord, ReportRecord
from daskflow.stores.chapter import Chapter, as_json, like
from daskflow.stores.dialect import Row
from daskflow.stores.patience import reading, writing

_ALL = 2**62
"""There are fewer events [1]."""
_PAGE = 1000
"""Of events that a pattern may not fit so many are read at a time, or as many as are wanted."""
_REPORT = ("key", "ordinal", "kind", "title", "data", "content", "task", "time")


class Reports(Chapter):
    """What jobs made for people to look at. A report belongs to a key, so a cached job still has it."""

    @writing
    def add_reports(self, rows: Iterable[Row]) -> None:
        """Record reports; a later one of the same key and ordinal takes its place.

        Parameters
        ----------
        rows
            The fields of `ReportRecord` in their order; `data` may be JSON text already.
        """
        self.database.many("add_reports", [(*row[:4], as_json(row[4]), *row[5:]) for row in rows])

    @reading
    def reports(self, run: str) -> list[ReportRecord]:
        """The reports of all jobs of a run, in the order of the jobs, each once."""
        return [_report(row) for row in self.database.rows("reports", run=run)]

    @reading
    def metrics(self, keys: Iterable[str]) -> list[tuple[str, str, str]]:
        """Key, title and JSON data of the metrics that jobs of these keys reported."""
        return [(key, title, data) for key, title, data in self.database.rows("metrics", keys=sorted(keys))]


class Events(Chapter):
    """What happened in each run."""

    @writing
    def add_events(self, rows: Iterable[Row]) -> None:
        """Record events.

        Parameters
        ----------
        rows
            The fields of `EventRecord` in their order; `data` may be JSON text already.
        """
        self.database.many("add_events", [(*row[:4], as_json(row[4])) for row in rows])

    @reading
    def events(self, run: str, pattern: str = "*", after: float = 0, *, tree: bool = False) -> list[EventRecord]:
        """The events of a run as they were recorded.

        Parameters
        ----------
        pattern
            What the dotted kind must match, as in a shell: `job.*`.
        after
            Only later ones; seconds since the epoch [s].
        tree
            With those of the runs that it started, and so on down.
        """
        runs = self.below(run) if tree else [run]
        rows = self._rows(runs, pattern, ordinal=0, time=after or -1.0)
        return [event for _, event in _fitting(rows, pattern)]

    @reading
    def events_since(
        self, run: str, ordinal: int = 0, pattern: str = "*", *, tree: bool = False, most: int | None = None
    ) -> list[tuple[int, EventRecord]]:
        """The events recorded after the one with this ordinal, each with its own; misses and repeats none.

        With `tree` those of the runs that it started are there too, and so on down. With `most` the first ones, and no
        others are read.
        """
        runs, found = self.below(run) if tree else [run], list[tuple[int, EventRecord]]()
        while most is None or len(found) < most:
            page = _ALL if most is None else most if pattern == "*" else max(most, _PAGE)
            rows = self._rows(runs, pattern, ordinal=ordinal, time=-1.0, most=page)
            found += _fitting(rows, pattern)
            if len(rows) < page:
                break
            ordinal = rows[-1][0]
        return found[:most]

    def _rows(self, runs: list[str], pattern: str, *, ordinal: int, time: float, most: int = _ALL) -> list[Row]:
        return self.database.rows("events", runs=runs, ordinal=ordinal, time=time, kind=_wider(pattern), most=most)


def _fitting(rows: list[Row], pattern: str) -> list[tuple[int, EventRecord]]:
    return [(row[0], _event(row)) for row in rows if fnmatchcase(row[2], pattern)]


def _wider(pattern: str) -> str:
    """A LIKE pattern that fits whatever the shell pattern fits, and perhaps more."""
    start = pattern.partition("[")[0]
    wide = like(start).replace("*", "%").replace("?", "_")
    return wide if start == pattern else wide + "%"


def _report(row: Row) -> ReportRecord:
    fields = dict(zip(_REPORT, row, strict=True))
    return ReportRecord(**fields | {"data": json.loads(fields["data"])})


def _event(row: Row) -> EventRecord:
    _, run, kind, time, key, data = row
    return EventRecord(run=run, kind=kind, time=time, key=key, data=json.loads(data))
