"""Lets one thread decide everything: what others tell waits until it listens, and what may block is done by another."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

News = Callable[[], None]


class Errands:
    """What one thread is told, and what it has done by another one.

    Parameters
    ----------
    name
        Name of the thread that does what may block, one after the other.

    Notes
    -----
    Safe for threads.
    """

    def __init__(self, name: str) -> None:
        self.nudged = threading.Event()
        """Set when there are news."""
        self._name = name
        self._news: deque[News] = deque()
        self._queue: queue.SimpleQueue[News | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False

    def hear(self, news: News) -> None:
        """Have something looked at by the thread that decides; returns at once."""
        self._news.append(news)
        self.nudged.set()

    def listen(self) -> None:
        """Look at the news; for the thread that decides."""
        while self._news:
            self._news.popleft()()

    def do(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Have something done that may block; what it gives, or its error, is news."""
        if not self._closed:
            self._give(partial(self._perform, work, then))

    def _give(self, errand: News) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        self._queue.put(errand)

    def _perform(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        try:
            found = work()
        except Exception as error:
            found = error
        self.hear(partial(then, found))

    def _work(self) -> None:
        while (errand := self._queue.get()) is not None:
            errand()

    def close(self, timeout: float) -> None:
        """Begin nothing more.

        Parameters
        ----------
        timeout
            So long it is waited for what has begun [s].
        """
        self._closed = True
        with contextlib.suppress(queue.Empty):
            while True:
                self._queue.get_nowait()
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join(timeout)
