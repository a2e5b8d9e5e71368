"""Tells subscribers what happens, while it happens."""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from daskflow.model.records import EventRecord

LIMIT = 10_000
"""So many events wait for slow subscribers at most."""
DROPPED = "events.dropped"
"""Kind of the event that says how many others were dropped, because the subscribers were too slow."""

_log = logging.getLogger("daskflow")


class EventHub:
    """Hands events to those who subscribed.

    Parameters
    ----------
    limit
        So many events wait at most; after that the oldest is dropped for each new one.

    Notes
    -----
    Safe for threads. The callbacks are called one after the other in one thread of the hub, in the order of the
    events; a callback that takes long delays the other callbacks, but never a run. The thread starts with the first
    subscriber and does not keep the interpreter alive. A subscriber may hear of an event some milliseconds before the
    journal has it.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._subscribers: tuple[_Subscriber, ...] = ()
        self._changed = threading.Condition()
        self._waiting: deque[tuple[EventRecord, tuple[_Subscriber, ...]]] = deque()
        self._dropped = 0
        self._busy = False
        self._thread: threading.Thread | None = None

    def subscribe(
        self, pattern: str | Sequence[str], callback: Callable[[EventRecord], object], *, run: str | None = None
    ) -> Callable[[], None]:
        """Have a function called for each event from now on.

        Parameters
        ----------
        pattern
            What the dotted kind must match, as in a shell: `qa.*`; of several, any.
        callback
            Gets the event. What it raises is logged, and it is called again for the next one.
        run
            Id of the only run whose events count; None: those of all runs.

        Returns
        -------
        Callable
            Ends the subscription: afterwards no further call begins.
        """
        if not callable(callback):
            raise TypeError(f"A subscriber is a function that takes one event; {callback!r} cannot be called.")
        patterns = (pattern,) if isinstance(pattern, str) else tuple(pattern)
        made = _Subscriber(patterns, callback, run)
        with self._changed:
            self._subscribers = (*self._subscribers, made)
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="daskflow-events", daemon=True)
                self._thread.start()
        return lambda: self._unsubscribe(made)

    def _unsubscribe(self, gone: _Subscriber) -> None:
        with self._changed:
            self._subscribers = tuple([one for one in self._subscribers if one is not gone])

    def publish(self, event: EventRecord) -> None:
        """Tell of an event; returns at once and raises nothing."""
        # What nobody wants takes no room: a thousand skipped jobs do not push out what somebody waits for.
        wanting = tuple([one for one in self._subscribers if one.wants(event)])
        if not wanting:
            return
        with self._changed:
            if len(self._waiting) >= self._limit:
                self._waiting.popleft()
                self._dropped += 1
            self._waiting.append((event, wanting))
            self._changed.notify_all()

    def tell(self, run: str, kind: str, time: float, key: str, data: str) -> None:
        """Publish what was written to the journal as a row; costs nothing when nobody has subscribed.

        Parameters
        ----------
        data
            JSON text, as in the row.
        """
        if self._subscribers:
            self.publish(EventRecord(run=run, kind=kind, time=time, key=key, data=json.loads(data)))

    def close(self, timeout: float | None = None) -> None:
        """Wait until the callbacks were called for what has been published, then end all subscriptions.

        Parameters
        ----------
        timeout
            Wait no longer [s]; what is left is not told.
        """
        with self._changed:
            if threading.current_thread() is not self._thread:
                self._changed.wait_for(lambda: not self._waiting and not self._busy, timeout)
            self._subscribers = ()
            self._waiting.clear()
            self._thread, self._busy, self._dropped = None, False, 0
            self._changed.notify_all()

    def _serve(self) -> None:
        own = threading.current_thread()
        while True:
            with self._changed:
                if self._thread is not own:  # closed, perhaps while a callback took too long
                    return
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting or self._thread is not own)
                if self._thread is not own:
                    return
                event, wanting = self._waiting.popleft()
                dropped, self._dropped = self._dropped, 0
                self._busy = True
            if dropped:
                self._confess(dropped, event)
            self._deliver(event, wanting)

    def _confess(self, dropped: int, next_one: EventRecord) -> None:
        _log.warning("The subscribers of events are too slow: %d events were dropped.", dropped)
        notice = EventRecord(run="", kind=DROPPED, time=next_one.time, data={"count": dropped})
        self._deliver(notice, tuple([one for one in self._subscribers if one.wants(notice)]))

    def _deliver(self, event: EventRecord, wanting: tuple[_Subscriber, ...]) -> None:
        for subscriber in wanting:
            if subscriber not in self._subscribers:  # it unsubscribed meanwhile
                continue
            try:
                subscriber.callback(event)
            except (Exception, SystemExit):  # the callback is the user's: it may raise whatever it likes
                _log.exception("A subscriber of %s raised at %s.", ", ".join(subscriber.patterns), event.kind)


class _Subscriber:
    """One subscription."""

    __slots__ = ("callback", "patterns", "run")

    def __init__(self, patterns: tuple[str, ...], callback: Callable[[EventRecord], object], run: str | None) -> None:
        self.patterns = patterns
        self.callback = callback
        self.run = run

    def wants(self, event: EventRecord) -> bool:
        return self.run in (None, event.run) and any(fnmatchcase(event.kind, pattern) for pattern in self.patterns)
