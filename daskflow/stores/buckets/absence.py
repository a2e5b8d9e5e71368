"""Waits for a server that is away: says so once, and no longer than until somebody ends it."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from daskflow.errors import DaskflowError

_SOON = 3.0
"""Who has waited for so long says so [s]."""

_log = logging.getLogger("daskflow")
_CUT: ContextVar[threading.Event | None] = ContextVar("_CUT", default=None)


@dataclass
class _Absence:
    """What was said of one server that is away."""

    since: float
    """On the monotonic clock [s]."""
    handed: bool = False
    """Whether a caller got it as an error: then he knows, and says himself when it is over."""


_KNOWN: dict[tuple[int, str], _Absence] = {}
"""By process, for a forked one has said nothing yet, and address. It is changed without a lock, which a fork might
leave shut: each change is one call of a dictionary."""


@contextmanager
def until(event: threading.Event) -> Iterator[None]:
    """Within the block this thread repeats requests no longer than until an event."""
    token = _CUT.set(event)
    try:
        yield
    finally:
        _CUT.reset(token)


class Wait:
    """The waiting of one request.

    Parameters
    ----------
    url
        The address of the server.
    what
        What is asked of it, for people.
    patience
        So long it is repeated [s].

    Notes
    -----
    A process says once that a server is away, in the log, when a request has waited for 3 s; and once that it is back,
    unless an error has told that a request had waited in vain.
    """

    def __init__(self, url: str, what: str, patience: float) -> None:
        self._key = (os.getpid(), url)
        self._what = what
        self._began = time.monotonic()
        self._deadline = self._began + patience

    def again(self, error: DaskflowError, pause: float, *, needed: bool = False) -> bool:
        """Wait before it is tried again; False if it is not to be tried again.

        Parameters
        ----------
        error
            Why it has to be.
        pause
            [s]
        needed
            Whether it is tried again however long that takes.
        """
        cut = _CUT.get()
        ends = time.monotonic() + pause
        if (ends > self._deadline and not needed) or (cut is not None and cut.is_set()):
            self._hand_over()
            return False
        silent_until = self._began + _SOON
        if ends >= silent_until:
            _sleep(silent_until - time.monotonic(), cut)
            if cut is None or not cut.is_set():
                self._say(error)
        _sleep(ends - time.monotonic(), cut)
        return True

    def over(self) -> None:
        """The server answered."""
        known = _KNOWN.pop(self._key, None)
        if known is not None and not known.handed:
            _log.warning("%s answers again, after %.0f s.", self._key[1], time.monotonic() - known.since)

    def _say(self, error: DaskflowError) -> None:
        mine = _Absence(self._began)
        if _KNOWN.setdefault(self._key, mine) is mine:
            now, url, why = time.monotonic(), self._key[1], str(error)
            _log.warning(
                "%s %s was tried for %.0f s by now, and is for %.0f s more.",
                why if url in why else f"{url}: {why}",
                self._what,
                now - self._began,
                max(self._deadline - now, 0.0),
            )

    def _hand_over(self) -> None:
        known = _KNOWN.get(self._key)
        # Who asked for a moment only has heard nothing of it.
        if known is not None and time.monotonic() - self._began >= _SOON:
            known.handed = True


def _sleep(seconds: float, cut: threading.Event | None) -> None:
    if seconds <= 0:
        return
    if cut is None:
        time.sleep(seconds)
    else:
        cut.wait(seconds)
