"""Holds the works that an agent has in hand: renews their leases, and kills what it may no longer perform."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum

from daskflow.errors import DaskflowError, WorkLost
from daskflow.model.work import Work
from daskflow.sites.grip import CURRENT_GRIP, Grip
from daskflow.sites.processes import BOOTTIME
from daskflow.stores.buckets import Buckets
from daskflow.stores.buckets.absence import until

_PARTS = 3
"""A lease is renewed so often while it lasts."""
_MARGIN = 0.85
"""Where nothing could be heard of the store for so much of a lease, nobody else has the work yet, and it is killed."""

_log = logging.getLogger("daskflow")


class Why(StrEnum):
    """Why an attempt was killed."""

    lost = "lost"
    """Somebody else has the work now, or it was deleted."""
    silent = "silent"
    """Its lease could not be renewed."""
    stopped = "stopped"
    """The agent is to stop."""


def now() -> float:
    """Time that also passes while the machine sleeps [s]."""
    return time.clock_gettime(BOOTTIME)


class Held:
    """A work in hand."""

    def __init__(self, work: Work, since: float) -> None:
        self.work = work
        self.grip = Grip(work.id or "")
        self.why: Why | None = None
        """Why it was killed; None: it was not."""
        self.heard = since
        """When the store was asked that heard of it last [s]."""
        self.tried = since
        """When the store was asked last [s]."""
        self.lock = threading.Lock()
        """Held by who asks the store for something about it."""
        self.done = False
        """Whether it is in nobody's hands any more."""

    def kill(self, why: Why) -> None:
        """Kill the attempt; nothing happens where it was killed before."""
        if self.why is None:
            self.why = why
            self.grip.kill()


class Holder:
    """Renews the leases of all works that an agent has in hand.

    Parameters
    ----------
    buckets
        Where they come from.
    lease
        [s]

    Notes
    -----
    One thread asks the store, another one looks at the clock: a store that does not answer delays no killing. They
    start with the first work and end with `close`.
    """

    def __init__(self, buckets: Buckets, lease: float) -> None:
        self._buckets = buckets
        self._lease = lease
        self._held: set[Held] = set()
        self._changed = threading.Condition()
        self._closed = False
        self._hurried = threading.Event()
        """Set when nobody is to wait for a store that is away."""
        self._missed = False
        """Whether the latest lease was not renewed."""
        self._threads: list[threading.Thread] = []

    @contextmanager
    def holding(self, work: Work, since: float) -> Iterator[Held]:
        """Hold a work within a block.

        Parameters
        ----------
        since
            A moment before it was withdrawn, as `now` gives it [s].
        """
        held = Held(work, since)
        token = CURRENT_GRIP.set(held.grip)
        with self._changed:
            self._held.add(held)
            self._begin()
            self._changed.notify_all()
        try:
            yield held
        finally:
            CURRENT_GRIP.reset(token)
            with self._changed:
                self._held.discard(held)
                self._changed.notify_all()

    def __len__(self) -> int:
        """How many works are in hand."""
        return len(self._held)

    def check(self, held: Held) -> None:
        """Go no further with a work that somebody else may have by now.

        Raises
        ------
        Killed
            It was killed; or it should have been, and this process was stopped at that time.
        """
        if now() >= self._end(held):
            held.kill(Why.silent)
        held.grip.check()

    def _end(self, held: Held) -> float:
        """When it is to be killed if nothing is heard until then [s]."""
        return held.heard + _MARGIN * self._lease

    def kill(self, why: Why) -> None:
        """Kill all attempts; no lease is renewed any more."""
        self._hurried.set()
        with self._changed:
            found = list(self._held)
        for held in found:
            held.kill(why)

    def close(self) -> None:
        """End the threads."""
        self._hurried.set()
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(self._lease)

    def _begin(self) -> None:
        if not self._threads:
            for serve in (self._renew, self._watch):
                thread = threading.Thread(target=serve, name=f"daskflow-work{serve.__name__}", daemon=True)
                self._threads.append(thread)
                thread.start()

    def _next(self, due: Callable[[Held], float]) -> list[Held] | None:
        """Those that are due, as soon as one is; None when it is over."""
        with self._changed:
            while not self._closed:
                found = [held for held in self._held if held.why is None and not held.done]
                ready = [held for held in found if due(held) <= now()]
                if ready:
                    return ready
                first = min((due(held) for held in found), default=None)
                self._changed.wait(None if first is None else max(0.0, first - now()))
            return None

    def _renew(self) -> None:
        while (ready := self._next(lambda held: held.tried + self._lease / _PARTS)) is not None:
            for held in ready:
                # Who writes this work may wait for long; the others are not to wait with it.
                if not held.lock.acquire(blocking=False):
                    held.tried = now() - self._lease / _PARTS / 2
                    continue
                try:
                    if not held.done:
                        self._ask(held)
                finally:
                    held.lock.release()

    def _ask(self, held: Held) -> None:
        held.tried = now()
        try:
            with until(self._hurried):
                self._buckets.heartbeat(held.work, self._lease)
        except WorkLost:
            held.kill(Why.lost)
        except DaskflowError as error:
            # Once for all that is in hand, and for as long as that lasts.
            if not self._missed and not self._hurried.is_set():
                _log.warning("The lease of the work %s was not renewed: %s", held.work.id, error)
            self._missed = True
        except Exception:  # whatever it is: the lease ends, and the watch sees to that
            _log.exception("The lease of the work %s was not renewed.", held.work.id)
        else:
            held.heard = held.tried
            if self._missed:
                _log.warning("Leases are renewed again.")
            self._missed = False

    def _watch(self) -> None:
        while (ready := self._next(self._end)) is not None:
            for held in ready:
                held.kill(Why.silent)
