"""Says how pilots ended, and what becomes of the nodes that they were performing."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from daskflow.errors import BatchError, DaskflowError, WalltimeExceeded, WorkerLost
from daskflow.sites.batch.system import Certificate
from daskflow.sites.pilots.room import Room, Stay

_LOG = logging.getLogger(__name__)

PATIENCE = 20.0
"""A batch system that knows nothing of an end after this time is not asked any more [s]."""
_TOGETHER = 0.3
"""So long others are waited for that are lost at the same time: all are asked for by one call [s]."""
_FIRST_PAUSE = 1.0
_ENDED = 15.0
"""Who is lost so long before its end, or later, and of whom nothing is recorded, has come to its end [s]."""
_STRIKES = {"WalltimeExceeded": 3, "OutOfMemory": 3, "WorkerLost": 4}
"""A node is given up when so many pilots ended in such a way while they performed it; for other ends it can do
nothing."""


class Lost(NamedTuple):
    """A pilot that is gone, and what it was performing."""

    room: Room
    stays: Mapping[str, Stay]
    time: float
    """Seconds since the epoch [s]."""


class Verdict(NamedTuple):
    """What becomes of one node whose pilot is gone."""

    key: str
    error: str
    """Name of the error class."""
    text: str
    since: float
    """When it began [s since the epoch]."""
    time: float
    """When its pilot was lost [s since the epoch]."""
    room: Room
    again: bool
    """Whether it is performed again."""


class Undertaker:
    """Says how pilots ended.

    Parameters
    ----------
    certify
        Asks the batch system how jobs ended.
    log_tail
        The end of the log of a pilot, by its id.
    judged
        Gets the verdicts over the nodes of one pilot, with its certificate; called from a thread of the undertaker.

    Notes
    -----
    Safe for threads.
    """

    def __init__(
        self,
        certify: Callable[[Iterable[str]], Mapping[str, Certificate]],
        log_tail: Callable[[str], str],
        judged: Callable[[Room, Certificate, list[Verdict]], None],
    ) -> None:
        self._certify = certify
        self._log_tail = log_tail
        self._judged = judged
        self._strikes: Counter[tuple[str, str]] = Counter()
        self._changed = threading.Condition()
        self._lost: list[Lost] = []
        self._closed = False
        self._thread: threading.Thread | None = None

    def mourn(self, room: Room, stays: Mapping[str, Stay]) -> None:
        """A pilot is gone; returns at once."""
        with self._changed:
            self._lost.append(Lost(room, dict(stays), time.time()))
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="daskflow-undertaker", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def close(self) -> None:
        """Judge nothing more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _work(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._lost)
                self._changed.wait_for(lambda: self._closed, _TOGETHER)
                if self._closed:
                    return
                due = list(self._lost)
            found = self._ask([lost.room.id for lost in due])
            now = time.time()
            over = [lost for lost in due if lost.room.id in found or now > lost.time + PATIENCE]
            over = [lost for lost in over if self._judge(lost, found.get(lost.room.id) or _presumed(lost))]
            with self._changed:
                self._lost = [lost for lost in self._lost if lost not in over]
                pause = _FIRST_PAUSE if over else min(2 * pause, 5.0)
                if self._lost and not over:
                    self._changed.wait_for(lambda: self._closed, pause)

    def _ask(self, ids: list[str]) -> Mapping[str, Certificate]:
        try:
            return self._certify(ids)
        except BatchError:
            return {}
        except Exception:  # such as no process left for the query
            _LOG.exception("The batch system cannot be asked how pilots ended")
            return {}

    def _judge(self, lost: Lost, found: Certificate) -> bool:
        """Say what becomes of the nodes of a pilot; False: it was not heard, and is to be said again."""
        try:
            verdicts = self._verdicts(lost, found)
            self._judged(lost.room, found, verdicts)
        except Exception:
            _LOG.exception("What becomes of the nodes of the pilot %s is not heard", lost.room.id)
            return False
        self._strikes.update((verdict.key, verdict.error) for verdict in verdicts)
        return True

    def _verdicts(self, lost: Lost, found: Certificate) -> list[Verdict]:
        # A pilot that ended well has not: its worker went away while it was at work.
        name = found.error or "WorkerLost"
        tail = self._log_tail(lost.room.id) if name not in ("WalltimeExceeded", "Cancelled", "Preempted") else ""
        text = f"Its pilot was lost ({found.text})." + (f" The log of the pilot ended with:\n{tail}" if tail else "")
        verdicts = []
        for key, stay in lost.stays.items():
            again = self._strikes[key, name] + 1 < _STRIKES.get(name, 1 << 30)
            verdicts.append(Verdict(key, name, text, stay.since, lost.time, lost.room, again))
        return verdicts


def _presumed(lost: Lost) -> Certificate:
    """What is said of an end of which the batch system knows nothing."""
    ended = lost.time >= lost.room.ends - _ENDED
    error: type[DaskflowError] = WalltimeExceeded if ended else WorkerLost
    state = "gone at the end of its walltime" if ended else "gone; the batch system has no record of its end"
    return Certificate(lost.room.id, error.__name__, state, node=lost.room.node, stop=lost.time)
