"""Works that an earlier driver of a run has deposited, and that nobody has asked for yet."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Sequence
from typing import Any

from daskflow.execution.bucketing.deposit import Deposit
from daskflow.execution.bucketing.means import Means
from daskflow.execution.bucketing.opening import brought
from daskflow.execution.bucketing.parcel import PERFORM
from daskflow.model.work import WorkStatus
from daskflow.stores.buckets.buckets import Buckets
from daskflow.stores.buckets.rows import used_up

FEW = 500
"""Up to so many works are asked for by their ids; of more, all of their run."""
_ASKED = 10.0
"""Who resumes a run asks in this time for what can be performed at once: what waits and was not asked for is in the way
of others [s]."""
_AGAIN = 30.0
"""What agents have in hand, and nobody has asked for, may wait again: it is looked for so often [s]."""
_SEEN = dict.fromkeys(("id", "status", "attempt", "given_back", "retries", "final", "tags", "function"), 1)
_IDLE = (WorkStatus.queued, WorkStatus.failure)
_JOB = 2
"""A job is told by so many tags: its run, and its name."""

Row = dict[str, Any]
"""What is looked at of a work."""


def works_of(buckets: Buckets, site: str, run: str, ids: Collection[str] = (), **query: Any) -> list[Row]:
    """The works of a run at one site; the latest come first.

    Parameters
    ----------
    ids
        Only these; none: all.
    **query
        Only those that fit.
    """
    these = {"id": {"$in": list(ids)}} if 0 < len(ids) <= FEW else {}
    rows = buckets.view({"config.parent": run, "site": site, **these, **query}, projection=_SEEN, limit=-1)
    return [row for row in rows if not ids or row["id"] in ids]


def _is_job(row: Row, run: str) -> bool:
    # A job may deposit works of its own for its run: these are none of ours.
    tags: list[str] = row.get("tags") or []
    return row.get("function") == PERFORM and len(tags) >= _JOB and tags[0] == run


class _Left:
    """Those of one run."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.ids = {row["id"] for row in rows}
        # Of several of one job the latest counts.
        self.jobs = {row["tags"][1]: row for row in reversed(rows)}
        self.due = time.monotonic() + _ASKED


class Leftovers:
    """What earlier drivers have left at one site.

    Parameters
    ----------
    buckets
        Where the works are.
    means
        What works of the site are made with.

    Notes
    -----
    Safe for threads. Works are found for a run when it deposits first, so that those of drivers which come later are
    never among them.
    """

    def __init__(self, buckets: Buckets, means: Means) -> None:
        self._buckets = buckets
        self._means = means
        self._lock = threading.Lock()
        self._runs: dict[str, _Left] = {}
        self._orphans: dict[str, set[str]] = {}
        """Works of runs that nobody looks after here any more; what is known of them may be out of date."""

    def look(self, run: str, own: Collection[str]) -> None:
        """Find those of a run, unless that was done.

        Parameters
        ----------
        own
            Works that this driver has deposited, or deletes.
        """
        with self._lock:
            if run in self._runs:
                return
        found = works_of(self._buckets, self._means.site, run)
        rows = [row for row in found if row["id"] not in own and _is_job(row, run)]
        with self._lock:
            self._orphans.pop(run, None)
            self._runs[run] = _Left(rows)

    def of(self, deposit: Deposit) -> Row | None:
        """The work of a node; None where there is none."""
        with self._lock:
            left = self._runs.get(deposit.node.run)
            return None if left is None else left.jobs.get(deposit.job)

    def take(self, deposit: Deposit) -> None:
        """The work of a node was asked for."""
        with self._lock:
            left = self._runs.get(deposit.node.run)
            row = None if left is None else left.jobs.pop(deposit.job, None)
            if left is not None and row is not None:
                left.ids.discard(row["id"])
                left.due = max(left.due, time.monotonic() + _ASKED)

    def of_use(self, deposit: Deposit, row: Row) -> bool:
        """Whether a work goes on, or has brought a result: what has failed is performed again."""
        if row["status"] == WorkStatus.failure:
            return not used_up(row)
        if row["status"] != WorkStatus.success:
            return True
        work = self._buckets.get(row["id"])
        return work is not None and brought(work.results, self._means.values, deposit.node.run, deposit.job)

    def doubt(self) -> None:
        """There may be others by now: they are looked for anew."""
        with self._lock:
            self._leave(list(self._runs))

    def leave(self, runs: Collection[str]) -> None:
        """Somebody else may look after these runs from now on."""
        with self._lock:
            self._leave(runs)

    def _leave(self, runs: Collection[str]) -> None:
        for run in runs:
            left = self._runs.pop(run, None)
            if left is not None and left.ids:
                self._orphans[run] = left.ids

    def conclude(self, run: str) -> set[str]:
        """Works of a run that has ended, of which nobody asks for any more."""
        with self._lock:
            left = self._runs.pop(run, None)
            return (self._orphans.pop(run, None) or set()) | (set() if left is None else left.ids)

    def idle(self, asking: Collection[str]) -> list[str]:
        """Works that wait, or have failed, and that nobody has asked for in time: they are in the way of others.

        What is performed, or has succeeded, is of use to who asks for it later.

        Parameters
        ----------
        asking
            Runs that ask for more at this moment.
        """
        now = time.monotonic()
        with self._lock:
            due = {run: left for run, left in self._runs.items() if left.ids and left.due <= now and run not in asking}
        found: list[str] = []
        for run, left in due.items():
            rows = works_of(self._buckets, self._means.site, run, left.ids)
            idle = {row["id"] for row in rows if row["status"] in _IDLE}
            with self._lock:
                left.due = now + _AGAIN
                left.ids &= {row["id"] for row in rows}
                left.jobs = {job: row for job, row in left.jobs.items() if row["id"] in left.ids - idle}
            found += idle
        return found

    def patience(self) -> float | None:
        """When `idle` may find something [s from now]; None: never."""
        with self._lock:
            times = [left.due for left in self._runs.values() if left.ids]
        return max(0.0, min(times) - time.monotonic()) if times else None
