"""The engine's own thread: it does what others hand in, one thing after the other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

_LONGEST = 3600.0
"""No clock is waited for longer than this at once [s]."""


class Chief(Protocol):
    """Whom a clerk works for."""

    def settle(self) -> None:
        """Do what follows from what was handed in; called after it, and when patience is over."""

    def patience(self) -> float | None:
        """How long nothing has to be looked at, where nothing is handed in [s]; None: for ever."""

    def fail(self, error: Exception) -> None:
        """Something went wrong that nobody expected."""


class Clerk:
    """Does what any thread hands in, in a thread of its own.

    Parameters
    ----------
    name
        Name of the thread.
    lock
        Guards what is handed in; who waits for it hears of each piece.
    chief
        Whom it works for.
    """

    def __init__(self, name: str, lock: threading.Condition, chief: Chief) -> None:
        self._lock = lock
        self._chief = chief
        self._inbox: list[Callable[[], None]] = []
        self._stopping = False
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def here(self) -> bool:
        """Whether the thread that asks is its own."""
        return threading.current_thread() is self._thread

    def post(self, action: Callable[[], None]) -> None:
        """Hand something in; returns at once."""
        with self._lock:
            self._inbox.append(action)
            self._lock.notify_all()

    def stop(self, timeout: float | None = None) -> None:
        """End when all is done that was handed in; returns then, or after some time [s]."""
        with self._lock:
            self._stopping = True
            self._lock.notify_all()
        if not self.here:
            self._thread.join(timeout)

    def _serve(self) -> None:
        while True:
            try:
                with self._lock:
                    self._lock.wait_for(lambda: self._inbox or self._stopping, self._timeout())
                    actions, self._inbox = self._inbox, []
                    if not actions and self._stopping:
                        return
                for action in actions:
                    action()
                self._chief.settle()
            except BaseException as error:  # whatever it is, those who wait must hear of it
                self._chief.fail(error if isinstance(error, Exception) else RuntimeError(f"{error!r} was raised."))

    def _timeout(self) -> float | None:
        patience = self._chief.patience()
        return None if patience is None else min(patience, _LONGEST)
