"""Asks a batch system how jobs stand: one query for all that anybody in this process wants to know."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from daskflow.errors import BatchError, BatchSilent
from daskflow.sites.batch.system import BatchSystem, Phase, Standing

_LOG = logging.getLogger(__name__)
_SETTLE = 2.0
"""The first query after a while waits so long: more jobs may follow, and the batch system has looked at them [s]."""

_CLOSING = 5.0
"""A query that takes longer is not waited for [s]."""


class Follower(Protocol):
    """Whom a watch tells; called from its thread, returns at once."""

    def standing(self, standing: Standing) -> None:
        """How a job stands; told at each query."""

    def vanished(self, id: str) -> None:
        """The batch system knows nothing of a job any more; told once."""

    def silent(self, error: Exception) -> None:
        """The batch system does not answer; told once, until it answers again."""


class Watch:
    """Follows jobs of one batch system.

    Parameters
    ----------
    every
        The system is not asked more often [s].

    Notes
    -----
    All methods may be called from any thread. A job has one follower. A job that ended, or vanished, is told of once
    more and then not followed any longer. Nothing is asked while nothing is followed.
    """

    def __init__(self, system: BatchSystem, every: float = 30.0) -> None:
        self.system = system
        self.every = every
        self._followers: dict[str, Follower] = {}
        self._seen: set[str] = set()
        self._missed: set[str] = set()
        self._told: list[Follower] = []
        """Who knows that the system does not answer."""
        self._asked = float("-inf")
        """When it was asked last, on the monotonic clock [s]."""
        self._wanted: float | None = None
        """When it is to be asked, if that is not too early after the last time."""
        self._change = threading.Condition()
        self._query = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    def follow(self, ids: Iterable[str], follower: Follower) -> None:
        """Tell somebody of jobs from now on."""
        with self._change:
            self._followers |= dict.fromkeys(ids, follower)
            if not self._followers or self._closed:
                return
            if self._wanted is None:
                # Set once and not moved by those who follow next: else a steady stream of them puts it off for ever.
                self._wanted = time.monotonic() + min(_SETTLE, self.every)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="daskflow-batch-watch", daemon=True)
                self._thread.start()
            self._change.notify_all()

    def unfollow(self, ids: Iterable[str]) -> None:
        """Tell nobody of these jobs any more."""
        with self._change:
            for id in list(ids):
                self._forget(id)

    def followed(self) -> Collection[str]:
        """The jobs that are followed now."""
        with self._change:
            return list(self._followers)

    def ask_soon(self) -> None:
        """Ask as soon as the time since the last query allows it."""
        with self._change:
            self._wanted = time.monotonic()
            self._change.notify_all()

    def slower(self, every: float) -> None:
        """Ask not more often than that [s]; faster it never gets."""
        with self._change:
            self.every = max(self.every, every)

    def close(self) -> None:
        """Ask and tell nothing any more."""
        with self._change:
            self._closed = True
            self._followers.clear()
            self._change.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(_CLOSING)

    def poll(self) -> None:
        """Ask now for all that is followed, and tell; for its thread, and for tests."""
        with self._query:
            with self._change:
                ids = list(self._followers)
                self._asked, self._wanted = time.monotonic(), None
            if not ids:
                return
            try:
                standings = self.system.standings(ids)
            except BatchError as error:
                self._tell_silent(error)
                return
            except Exception as error:
                _LOG.exception("The answer of %s cannot be read", self.system.name)
                self._tell_silent(BatchSilent(f"The answer of {self.system.name} cannot be read: {error!r}."))
                return
            self._told.clear()
            for id in ids:
                self._tell(id, standings.get(id))

    def _run(self) -> None:
        while True:
            with self._change:
                while not self._closed and (left := self._left()) > 0:
                    self._change.wait(None if left == float("inf") else left)
                if self._closed:
                    return
            self.poll()

    def _left(self) -> float:
        """How long not to ask [s]."""
        if not self._followers:
            return float("inf")
        wanted = float("-inf") if self._wanted is None else self._wanted
        return max(self._asked + self.every, wanted) - time.monotonic()

    def _tell(self, id: str, standing: Standing | None) -> None:
        with self._change:
            follower = self._followers.get(id)
            if follower is None:
                return
            if standing is None:
                # A job that was submitted just now may not be in the lists yet.
                lost = id in self._seen or id in self._missed
                self._missed.add(id)
            else:
                lost = False
                self._seen.add(id)
                self._missed.discard(id)
            if lost or (standing is not None and standing.phase is Phase.ended):
                self._forget(id)
        with _guarded():
            if standing is not None:
                follower.standing(standing)
            elif lost:
                follower.vanished(id)

    def _tell_silent(self, error: Exception) -> None:
        with self._change:
            followers = {id(follower): follower for follower in self._followers.values()}
        for follower in followers.values():
            if not any(follower is known for known in self._told):
                self._told.append(follower)
                with _guarded():
                    follower.silent(error)

    def _forget(self, id: str) -> None:
        self._followers.pop(id, None)
        self._seen.discard(id)
        self._missed.discard(id)


@contextmanager
def _guarded() -> Iterator[None]:
    """A follower that fails is not the end of the watch for the others."""
    try:
        yield
    except Exception:
        _LOG.exception("A follower of batch jobs failed")


_WATCHES: dict[BatchSystem, Watch] = {}
_LOCK = threading.Lock()


def watch_of(system: BatchSystem, every: float = 30.0) -> Watch:
    """The watch of this process for a batch system; equal systems share one.

    Parameters
    ----------
    every
        The system is not asked more often [s]; of several the longest counts.
    """
    with _LOCK:
        if system not in _WATCHES:
            _WATCHES[system] = Watch(system, every)
        watch = _WATCHES[system]
    watch.slower(every)
    return watch


def forget(system: BatchSystem | None = None) -> None:
    """Close the watch of a batch system, or all of them: the next who wants one gets a new one."""
    with _LOCK:
        closing = [known for known in _WATCHES if system is None or known == system]
        watches = [_WATCHES.pop(known) for known in closing]
    for watch in watches:
        watch.close()
