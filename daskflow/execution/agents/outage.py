"""Waits, longer and longer, while something does not answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_FIRST, _LONGEST = 0.25, 30.0
"""Pauses [s]."""


class Outage:
    """The time in which a store does not answer, or something else does not do; safe for threads.

    Parameters
    ----------
    tell
        Gets a text when it begins and when it is over.
    over
        What is told when it is over.
    """

    def __init__(self, tell: Callable[[str], object], over: str = "The store answers again") -> None:
        self._tell = tell
        self._over = over
        self._pause = _FIRST
        self._since: float | None = None
        self._lock = threading.Lock()

    @property
    def lasts(self) -> bool:
        """Whether nothing was heard since the latest error."""
        return self._since is not None

    def wait(self, error: BaseException, stop: threading.Event) -> bool:
        """Wait before it is tried again; whether it is not to be tried again.

        Parameters
        ----------
        stop
            Ends waiting.
        """
        with self._lock:
            begins, self._since = self._since is None, self._since or time.monotonic()
            pause, self._pause = self._pause, min(2 * self._pause, _LONGEST)
        if begins:
            self._tell(f"{error} It is tried again.")
        return stop.wait(pause)

    def end(self) -> None:
        """Something was heard again."""
        with self._lock:
            since, self._since, self._pause = self._since, None, _FIRST
        if since is not None:
            self._tell(f"{self._over}, after {time.monotonic() - since:.0f} s.")
