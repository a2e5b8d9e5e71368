"""Tells those who wait at a server that works may have been queued: one thread listens for all of them."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from daskflow.errors import DaskflowError

_LISTEN = 0.2
"""How long the store is listened to at a time [s]: so long a closing server waits at most."""
_ANYWAY = 5.0
"""All are told to look again after this time, whatever the store says [s]."""
_PAUSE = 1.0
"""Pause after the store could not be listened to [s]."""


class Bell:
    """Rings when works may have been queued.

    Parameters
    ----------
    listen
        Returns as soon as something may have been queued, at the latest after some time [s].

    Notes
    -----
    Who looked for works in vain has a ticket of before; `wait` with it returns at once where the bell rang since. So
    nothing that is queued between looking and waiting is missed. A ticket of another server, or of this one before it
    was started anew, is always out of date.
    """

    def __init__(self, listen: Callable[[float], object]) -> None:
        self._listen = listen
        # A signal may come while this very thread has the lock, and closes the bell.
        self._lock = threading.RLock()
        self._origin = uuid.uuid4().hex[:12]
        self._rung = 0
        self._waiting: set[tuple[Any, Any]] = set()
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    @property
    def ticket(self) -> str:
        """How often it rang until now; from the first ticket on the store is listened to."""
        with self._lock:
            if self._thread is None and not self._closed.is_set():
                self._thread = threading.Thread(target=self._attend, name="daskflow-bell", daemon=True)
                self._thread.start()
            return f"{self._origin}.{self._rung}"

    @property
    def waiting(self) -> int:
        """How many wait."""
        with self._lock:
            return len(self._waiting)

    @property
    def closed(self) -> bool:
        """Whether nobody waits any more."""
        return self._closed.is_set()

    def ring(self) -> None:
        """Let all who wait look for works."""
        with self._lock:
            self._rung += 1
            for loop, event in self._waiting:
                loop.call_soon_threadsafe(event.set)

    async def wait(self, ticket: str, timeout: float) -> None:
        """Return as soon as the bell rings, or rang since the ticket; at the latest after some time [s]."""
        import asyncio

        place = (asyncio.get_running_loop(), asyncio.Event())
        if ticket != self.ticket or self.closed:
            return
        with self._lock:
            self._waiting.add(place)
            late = ticket != f"{self._origin}.{self._rung}" or self._closed.is_set()
        try:
            if not late:
                await asyncio.wait_for(place[1].wait(), timeout)
        except TimeoutError:
            pass
        finally:
            with self._lock:
                self._waiting.discard(place)

    def close(self) -> None:
        """Let all go, and nobody wait any more."""
        self._closed.set()
        self.ring()

    def join(self) -> None:
        """Wait until the store is not listened to any more."""
        if self._thread is not None:
            self._thread.join()

    def _attend(self) -> None:
        last = time.monotonic()
        while not self._closed.is_set():
            began = time.monotonic()
            try:
                self._listen(_LISTEN)
            except DaskflowError:
                # Requests tell who asks what is wrong with the store.
                self._closed.wait(_PAUSE)
            now = time.monotonic()
            if now - began < _LISTEN or now - last > _ANYWAY:
                last = now
                self.ring()
