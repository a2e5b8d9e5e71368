"""How often somebody may ask."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

_BURST = 2.0
"""So much may be asked at once as is allowed in this time [s]."""
_MOST = 10_000
"""So many are remembered; who asked longest ago is forgotten first."""


class Rates:
    """Counts requests by who makes them; thread-safe.

    Parameters
    ----------
    rate
        How many one may make in the mean [1/s].
    clock
        Gives the time [s].

    Examples
    --------
    >>> rates = Rates(0.5, clock=lambda: 0.0)
    >>> rates.pause("ada"), rates.pause("ada")
    (0.0, 2.0)
    """

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._room = max(rate * _BURST, 1.0)
        self._clock = clock
        self._lock = threading.Lock()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def spent(self, who: str) -> float:
        """As `pause`, of a request that is not counted."""
        now = self._clock()
        with self._lock:
            left, then = self._left.get(who, (self._room, now))
        left = min(self._room, left + (now - then) * self._rate)
        return 0.0 if left >= 1 else (1 - left) / self._rate

    def pause(self, who: str) -> float:
        """How long to wait before this request may be made [s]; 0 where it may be made now, and is counted."""
        now = self._clock()
        with self._lock:
            left, then = self._left.pop(who, (self._room, now))
            left = min(self._room, left + (now - then) * self._rate)
            allowed = left >= 1
            self._left[who] = (left - 1 if allowed else left, now)
            if len(self._left) > _MOST:
                self._left.popitem(last=False)
        return 0.0 if allowed else (1 - left) / self._rate
