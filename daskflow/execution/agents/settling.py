"""Tells the store what became of the works that an agent has had in hand, as often as it takes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple

from daskflow.errors import DaskflowError, TokenRefused, WorkLocked, WorkLost
from daskflow.execution.agents.holding import Held
from daskflow.execution.agents.outage import Outage
from daskflow.model.work import Work, WorkStatus
from daskflow.stores.buckets import Buckets
from daskflow.stores.buckets.absence import until

NOT_WRITTEN, NOT_GIVEN_BACK = "not written", "not given back"
"""Ends of works of which the store never heard."""
_TROUBLE = "trouble"
_SOON = 1.0
"""Who is to stop tells of what cannot be written for so long [s]."""


class Told(NamedTuple):
    """Something that an agent tells of itself."""

    kind: str
    """`begun`, `success`, `failure`, `refused`, `lost`, `given back`, `not written`, `not given back`, or `trouble`."""
    text: str
    """For people."""
    work: Work | None = None


class Settler:
    """Writes what came out of works, or gives them back; tries as long as the store is away.

    Parameters
    ----------
    buckets
        Where they come from.
    outage
        Tells when the store is away, and when it is back.
    tell
        Gets what happens.

    Notes
    -----
    Safe for threads. Once it is given up, what is tried at that time is tried for the last time.
    """

    def __init__(self, buckets: Buckets, outage: Outage, tell: Callable[[Told], object]) -> None:
        self.tally: dict[str, int] = {}
        """How many works ended how."""
        self.given_up = threading.Event()
        """Set when nothing is to be tried again."""
        self._buckets = buckets
        self._outage = outage
        self._tell = tell
        self._lock = threading.Lock()
        self._unwritten: set[Held] = set()
        self._limit = ""

    def count(self, kind: str) -> None:
        """Count a work that ended so."""
        with self._lock:
            self.tally[kind] = self.tally.get(kind, 0) + 1

    def hasten(self, limit: str) -> None:
        """From now on tell of works that have ended and cannot be written, once of each; the agent is to stop.

        Parameters
        ----------
        limit
            For how long it is tried, for people.
        """
        self._limit = limit
        self._remind_soon()

    def write(self, held: Held) -> bool:
        """Write what came out of a work; whether the store took it."""
        with self._lock:
            self._unwritten.add(held)
        if self._limit:
            self._remind_soon()
        try:
            return self._settle(held, self._buckets.update, NOT_WRITTEN)
        finally:
            with self._lock:
                self._unwritten.discard(held)

    def give_back(self, held: Held) -> bool:
        """Give back a work whose attempt was killed; whether the store took it."""
        return self._settle(held, self._buckets.give_back, NOT_GIVEN_BACK)

    def delete(self, held: Held) -> None:
        """Delete a work that is written."""
        self._settle(held, self._buckets.delete, _TROUBLE)

    def _remind_soon(self) -> None:
        timer = threading.Timer(_SOON, self._remind)
        timer.daemon = True
        timer.start()

    def _remind(self) -> None:
        with self._lock:
            found, self._unwritten = self._unwritten, set()
        for held in found:
            if not self.given_up.is_set():
                text = f"{ending(held.work)}, which could not be written yet. That is tried {self._limit}"
                self._tell(Told(_TROUBLE, text, held.work))

    def _settle(self, held: Held, act: Callable[[Work], object], failing: str) -> bool:
        """Tell the store about a work, as often as it takes; whether the store took it.

        Parameters
        ----------
        failing
            What became of the work if it did not.
        """
        work, refused = held.work, False
        while True:
            try:
                with until(self.given_up), held.lock:
                    act(work)
                    held.done = True
                self._outage.end()
                return True
            except (WorkLost, WorkLocked) as error:
                held.done = True
                self._end(work, failing if failing == _TROUBLE else "lost", f"{_gone(work, failing)}: {error}")
                return False
            except DaskflowError as error:
                if error.transient:
                    if not self.given_up.is_set() and not self._outage.wait(error, self.given_up):
                        continue
                elif not refused and not isinstance(error, TokenRefused):
                    refused = True
                    _fail(work, f"What came out of the work cannot be written: {error}")
                    continue
                held.done = True
                self._end(work, failing, f"{_failing(work, failing)}: {error}{_fate(work, failing)}")
                if isinstance(error, TokenRefused):
                    raise
                return False

    def _end(self, work: Work, kind: str, text: str) -> None:
        if kind != _TROUBLE:
            self.count(kind)
        self._tell(Told(kind, text, work))


def named(work: Work) -> str:
    """What a work is called when something of it is told."""
    return f"{work.pipeline} {work.id} attempt {work.attempt}"


def ending(work: Work) -> str:
    """How an attempt ended."""
    return f"{named(work)}: {work.status} after {(work.stop or 0.0) - (work.start or 0.0):.1f} s"


def _gone(work: Work, kind: str) -> str:
    """What became of the end of a work that the store does not take from us any more."""
    if kind == NOT_WRITTEN:
        return f"{ending(work)}, which is not kept"
    return _failing(work, kind) if kind == _TROUBLE else f"{work.pipeline} {work.id} was killed"


def _failing(work: Work, kind: str) -> str:
    if kind == NOT_WRITTEN:
        return f"{ending(work)}, which could not be written and is lost"
    if kind == NOT_GIVEN_BACK:
        return f"{named(work)} was killed, and could not be given back"
    return f"{named(work)} is written, but could not be deleted"


def _fate(work: Work, kind: str) -> str:
    """What becomes of a work whose end the store does not know."""
    if kind == _TROUBLE:
        return ""
    files = [*(work.products or ()), *(work.plots or ())]
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    stays = f" Its files stay: {files[0]}{more}." if files else ""
    if work.attempt - work.given_back < work.retries:
        return f"{stays} The work is performed again when its lease is over."
    return f"{stays} That was its last attempt: the work fails when its lease is over."


def _fail(work: Work, why: str) -> None:
    work.results = work.products = work.plots = None
    work.status, work.error, work.final = WorkStatus.failure, why, True
