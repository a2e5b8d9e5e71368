"""Writes to the journal in the background, many rows in one transaction."""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial

from daskflow.errors import StoreError, StoreUnavailable
from daskflow.model.records import Driver
from daskflow.stores.dialect import Row
from daskflow.stores.journal import KINDS, Journal

INTERVAL = 0.05
"""How long the first row of a batch waits for company [s]."""
CROWD = 5000
"""So many rows wait no longer."""
LAST = 5.0
"""So long a writer that is closed waits for a store that is away, or that does nothing [s]."""
QUIET = 10.0
"""Who wrote something more recently than this was not taken for gone meanwhile [s]."""
_GLANCE = 0.25
"""How often who does not want to wait looks whether the store is away [s]."""

_OF_RUNS = ("jobs", "attempts", "states", "events")
"""The kinds of rows that begin with the run to which they belong."""

Rows = dict[str, list[Row]]
Operation = Rows | Callable[[Journal], object]


class JournalWriter:
    """One thread that writes what others put.

    Parameters
    ----------
    journal
        Where it is written.
    on_failure
        Called once, in the writer's thread, when something cannot be written.

    Notes
    -----
    Any thread may put. What one call puts is in one transaction, transactions keep the order of the
    calls, and what `flush` has waited for survives the death of the process. A store that is away is waited
    for as long as the journal's patience lasts, while what is put piles up; nothing is lost by that, or written
    twice. After the first failure nothing more is written: a record with a gap would be worse than one that
    stops. The thread does not keep the interpreter alive; at its exit what is left is written. Rows of a run that
    another driver has begun again, while this process could not write, are left out.
    """

    def __init__(self, journal: Journal, on_failure: Callable[[Exception], object] | None = None) -> None:
        self.failure: Exception | None = None
        """Why nothing is written any more; None as long as all is well."""
        self._journal = journal
        self._on_failure = on_failure
        self._changed = threading.Condition()
        self._waiting: list[Operation] = []
        self._crowd = 0
        self._put = self._written = self._wanted = 0
        self._closing = False
        self._owned: dict[str, Driver] = {}
        self._left: set[str] = set()
        self._wrote = time.time()
        self._moved = time.monotonic()
        self._stuck = False
        self._cut = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="daskflow-journal", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def __enter__(self) -> JournalWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def put(self, kind: str, rows: Iterable[Row]) -> None:
        """Write rows of one of the `KINDS` soon; returns at once."""
        self.put_together({kind: rows})

    def put_together(self, batch: Mapping[str, Iterable[Row]]) -> None:
        """Write rows of several kinds soon, all or none of them; returns at once.

        Raises
        ------
        ValueError
            A kind is not one of `KINDS`.
        """
        if unknown := batch.keys() - KINDS.keys():
            raise ValueError(f"{sorted(unknown)} are no kinds of rows; there are {list(KINDS)}.")
        self._append({kind: list(rows) for kind, rows in batch.items()})

    def call(self, function: Callable[[Journal], object]) -> None:
        """Call `function(journal)` soon in the writer's thread, within a transaction; returns at once.

        It is called again where the store was away before the transaction was written.
        """
        self._append(function)

    def own(self, run: str, driver: Driver | None) -> None:
        """Write rows of a run only as long as nobody else has begun it; None: whoever has."""
        with self._changed:
            self._left.discard(run)
            self._owned.pop(run, None)
            if driver is not None:
                self._owned[run] = driver

    @property
    def stuck(self) -> bool:
        """Whether somebody found that the server does nothing any more, without an error; until it does something."""
        return self._stuck

    def hangs(self) -> bool:
        """See whether the server does nothing any more; waits for some seconds until it has done what was put."""
        with suppress(StoreError):
            self.flush(patient=False)
        return self._stuck

    def flush(self, *, patient: bool = True) -> None:
        """Wait until all that was put before this call is written.

        Parameters
        ----------
        patient
            Whether to wait for a store that is away as well, or for a server that does nothing.

        Raises
        ------
        StoreFull, StoreError
            What the writer met, now or earlier.
        StoreUnavailable
            Without patience: the store is away, or its server hangs.
        """
        with self._changed:
            wanted = self._put
            self._wanted = max(self._wanted, wanted)
            self._changed.notify_all()
            if patient:
                self._changed.wait_for(lambda: self._is_through(wanted))
            else:
                self._glance(wanted)
            if self.failure is not None:
                raise self.failure
            if self._written < wanted:
                why = "away" if self._journal.patience.away else "slow"
                raise StoreUnavailable(
                    f"The journal {self._journal.database.place} is {why}: "
                    f"{wanted - self._written} records were not written in time."
                )

    def _glance(self, wanted: int) -> None:
        """Wait, unless the store is away or hangs."""
        since = time.monotonic()
        while not self._journal.patience.away and not self._is_stuck(since):
            if self._changed.wait_for(lambda: self._is_through(wanted), _GLANCE):
                return

    def _is_stuck(self, since: float) -> bool:
        """Whether a server that is waited for since then does nothing: it is frozen, or what is sent to it is lost."""
        if self._journal.database.kind == "postgresql" and time.monotonic() - max(since, self._moved) > LAST:
            self._stuck = True
        return self._stuck

    def close(self) -> None:
        """Write what is left and end the thread; raises nothing, `failure` tells. May be called again.

        The thread is left to itself where it waits for a server that hangs.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        atexit.unregister(self.close)
        if threading.current_thread() is not self._thread and not self._cut.is_set():
            self._thread.join(0.0 if self._stuck else LAST)
            self._cut.set()
            # It may have been slow only.
            since, self._stuck = time.monotonic(), False
            while self._thread.is_alive() and not self._is_stuck(since):
                self._thread.join(_GLANCE)
            if self._thread.is_alive():
                self._give_up()

    def _give_up(self) -> None:
        with self._changed:
            self.failure = self.failure or StoreUnavailable(
                f"The journal {self._journal.database.place} does nothing any more: "
                f"{self._put - self._written} records were not written."
            )
            self._changed.notify_all()

    def _append(self, operation: Operation) -> None:
        with self._changed:
            if self.failure is not None:
                return
            if self._closing:
                raise StoreUnavailable(f"The writer of {self._journal.database.place} is closed.")
            self._waiting.append(operation)
            self._put += 1
            self._crowd += sum(map(len, operation.values())) if isinstance(operation, dict) else 1
            # The thread sleeps only while nothing waits, or until a crowd does.
            if len(self._waiting) == 1 or self._crowd >= CROWD:
                self._changed.notify_all()

    def _is_through(self, wanted: int) -> bool:
        return self._written >= wanted or self.failure is not None or not self._thread.is_alive()

    def _serve(self) -> None:
        with self._journal.patience.until(self._cut):
            # Nothing of a batch may be kept while the next one is awaited: it may be large.
            while self._write(self._next_batch()):
                pass

    def _write(self, batch: list[Operation]) -> bool:
        """Write a batch; whether to go on."""
        if not batch:
            return False
        try:
            self._journal.patience.write(partial(self._perform_all, merged(batch)))
        except Exception as error:
            self._fail(error)
            return False
        with self._changed:
            self._written += len(batch)
            self._wrote, self._moved, self._stuck = time.time(), time.monotonic(), False
            self._changed.notify_all()
        return True

    def _next_batch(self) -> list[Operation]:
        """What has arrived, at the latest an interval after the first of it; nothing at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            deadline = time.monotonic() + INTERVAL
            self._changed.wait_for(self._is_urgent, deadline - time.monotonic())
            batch, self._waiting, self._crowd = self._waiting, [], 0
            return batch

    def _is_urgent(self) -> bool:
        return self._closing or self._crowd >= CROWD or self._wanted > self._written

    def _perform_all(self, operations: list[Operation]) -> None:
        with self._journal.database.transaction():
            self._look_for_others()
            for operation in operations:
                self._perform(operation)
                self._moved, self._stuck = time.monotonic(), False

    def _perform(self, operation: Operation) -> None:
        if isinstance(operation, dict):
            self._journal.write(_without(operation, self._left) if self._left else operation)
        else:
            operation(self._journal)

    def _look_for_others(self) -> None:
        """Find the runs that others have begun again: they take a driver for gone that was silent for long."""
        if abs(time.time() - self._wrote) <= QUIET:
            return
        with self._changed:
            owned = self._owned.copy()
        self._left.update(run for run, driver in owned.items() if self._journal.driver(run) != driver)

    def _fail(self, error: Exception) -> None:
        with self._changed:
            self.failure = error
            self._waiting = []
            self._changed.notify_all()
        if self._on_failure is not None:
            self._on_failure(error)


def _without(rows: Rows, runs: set[str]) -> Rows:
    """The same rows but for those of some runs."""
    return {
        kind: [row for row in given if row[0] not in runs] if kind in _OF_RUNS else given
        for kind, given in rows.items()
    }


def merged(operations: Iterable[Operation]) -> list[Operation]:
    """The same operations in fewer: rows of one kind together, as far as their order does not matter.

    New jobs carry a state, so they never go before states that were put earlier; calls stay where
    they are.
    """
    result: list[Operation] = []
    current: Rows | None = None
    for operation in operations:
        if not isinstance(operation, dict):
            result.append(operation)
            current = None
            continue
        if current is None or ("jobs" in operation and "states" in current):
            result.append(current := {})
        for kind, rows in operation.items():
            current.setdefault(kind, []).extend(rows)
    return result
