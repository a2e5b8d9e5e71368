"""Hears what sites tell one run, and hands it to the thread of its engine."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from daskflow.execution.book import Book
from daskflow.execution.observer import Observer
from daskflow.execution.roster import Roster
from daskflow.model.outcome import Live, Outcome

Post = Callable[[Callable[[], None]], None]
"""Has something done in the engine's thread; returns at once."""


class Ear:
    """The listener of one run.

    Parameters
    ----------
    roster, observer, book
        Get what is told.
    lock
        Guards them.
    post
        Has something done in the engine's thread.
    on_fail
        Called when a site computes no more.
    """

    def __init__(
        self,
        roster: Roster,
        observer: Observer,
        book: Book,
        lock: threading.Condition,
        *,
        post: Post,
        on_fail: Callable[[Exception], None],
    ) -> None:
        self._roster = roster
        self._observer = observer
        self._book = book
        self._lock = lock
        self._post = post
        self._on_fail = on_fail

    def performed(self, records: Sequence[bytes]) -> None:
        """Take records of what was performed; returns at once."""
        self._post(lambda: self._take(records))

    def lost(self, key: str, reason: str, culprit: str) -> None:
        """Take note that a node will not be performed; returns at once."""
        self._post(lambda: self._lose(key, reason, culprit))

    def tell(self, kind: str, data: str) -> None:
        """Take an event; returns at once."""
        self._post(lambda: self._emit(kind, data))

    def fail(self, error: Exception) -> None:
        """A site does not compute any more."""
        self._on_fail(error)

    def _take(self, records: Sequence[bytes]) -> None:
        items: list[Any] = [item for record in records for item in pickle.loads(record)]
        with self._lock:
            for item in items:
                if type(item) is Live:
                    self._observer.hear(item, self._book)
                else:
                    self._observer.take(item)
            self._roster.take([item for item in items if type(item) is Outcome])
            self._lock.notify_all()

    def _lose(self, key: str, reason: str, culprit: str) -> None:
        with self._lock:
            self._roster.lose(key, reason, culprit)
            self._lock.notify_all()

    def _emit(self, kind: str, data: str) -> None:
        with self._lock:
            self._book.emitted("", kind, data, time.time())
            self._roster.write()
