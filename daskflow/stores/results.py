"""The journal's chapter of results: what is known of every key, in all runs."""

from __future__ import annotations

from collections.abc import Iterable

from daskflow.model.outcome import Known, Stored
from daskflow.stores.chapter import Chapter, distinct
from daskflow.stores.dialect import Row
from daskflow.stores.patience import reading, writing

PRIORS = 20
"""How many earlier results of a form travel with the graph."""
PAST = 1000
"""So many jobs of a task count as recent; the query `add_durations` says the same."""


class Results(Chapter):
    """The memory: results by their keys, and how long jobs take.

    Notes
    -----
    The bytes of a result lie in the artifact store exactly when those in its row are null.
    """

    @writing
    def add_results(self, rows: Iterable[Row]) -> None:
        """Remember results and learn how long they took; the first result of a key stays.

        Parameters
        ----------
        rows
            `(key, task, fingerprint, form, inputs, digest, size, format, inline, run, created, seconds,
            memory)`: `form` and `inputs` are None where there is no early cutoff, `size` and `memory`
            are in bytes, `created` is in seconds since the epoch.
        """
        rows = list(rows)
        with self.database.transaction():
            self.database.many("add_results", rows)
            self.database.many("add_durations", _means(rows))

    @reading
    def lookup(self, keys: Iterable[str]) -> dict[str, Known]:
        """What is known of these keys, in one query; unknown ones are left out.

        The bytes of all but the smallest are not read: `Known.stored.inline` is None then. `values` brings them.
        """
        # In order of the index neighbours share pages, which halves the time of 100,000 keys.
        rows = self.database.rows("lookup", keys=sorted(keys))
        return {
            key: Known(Stored(digest, size, format, inline), run, seconds, bool(apart))
            for key, digest, size, format, inline, run, seconds, apart in rows
        }

    @reading
    def values(self, keys: Iterable[str]) -> dict[str, Stored]:
        """The stored values of these keys, in one query.

        Those without `inline` lie in the artifact store; unknown keys are left out.
        """
        rows = self.database.rows("values", keys=sorted(keys))
        return {key: Stored(digest, size, format, inline) for key, digest, size, format, inline in rows}

    @reading
    def priors(self, forms: Iterable[str]) -> dict[str, list[tuple[str, Stored]]]:
        """Earlier results of each form with the digest of their inputs, newest first, at most `PRIORS`."""
        found: dict[str, list[tuple[str, Stored]]] = {}
        rows = self.database.rows("priors", forms=distinct(forms), limit=PRIORS)
        for form, inputs, digest, size, format, inline in rows:
            found.setdefault(form, []).append((inputs, Stored(digest, size, format, inline)))
        return found

    @writing
    def forget(self, keys: Iterable[str]) -> None:
        """Remember these results no longer; their jobs run again when next asked for."""
        self.database.write("forget", keys=list(keys))

    @reading
    def known_since(self, key: str) -> tuple[str, float] | None:
        """The run that made a result, and when [s]; None for an unknown one."""
        rows = self.database.rows("known_since", key=key)
        return (rows[0][0], rows[0][1]) if rows else None

    @reading
    def durations(self, tasks: Iterable[str]) -> dict[str, float]:
        """Mean time of the recent jobs of each task [s]; unknown ones are left out."""
        return dict(self.database.rows("durations", tasks=list(tasks)))


def _means(rows: list[Row]) -> list[Row]:
    """Task, count and mean time of each task among new results."""
    sums: dict[str, tuple[int, float]] = {}
    for row in rows:
        count, total = sums.get(row[1], (0, 0.0))
        sums[row[1]] = count + 1, total + row[11]
    return [(task, min(count, PAST), total / count) for task, (count, total) in sums.items()]
