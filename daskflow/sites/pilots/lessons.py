"""What is learned of how long nodes take, from those that were performed here."""

from __future__ import annotations

import math
from collections import defaultdict, deque

from daskflow.model.needs import Needs

_REMEMBERED = 200
"""So many durations of each kind count."""
_ENOUGH = 5
"""From so many on what was seen here says more than what was learned elsewhere."""
_AIR = 1.1
"""What is expected is longer than what was seen by this factor."""
MORE = 1.5
"""What did not end in a time is expected to take longer by this factor."""


class Lessons:
    """How long nodes of each kind take.

    Notes
    -----
    Not safe for threads.
    """

    def __init__(self) -> None:
        self._durations: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_REMEMBERED))
        self._at_least: dict[str, float] = {}

    def learn(self, kind: str, seconds: float) -> None:
        """A node of a kind took so long [s]."""
        if kind:
            self._durations[kind].append(seconds)

    def cut_short(self, kind: str, seconds: float) -> None:
        """A node of a kind was not done after this time, when its pilot ended [s]."""
        self._at_least[kind] = max(seconds, self._at_least.get(kind, 0.0))

    def expected(self, needs: Needs) -> float | None:
        """How long a node with these needs takes at most, as far as anybody knows [s]: about the 95th percentile.

        Never less than the time without which it gets nowhere.
        """
        found = needs.seconds if needs.declared else self._seen(needs)
        return max(found or 0.0, needs.at_least) if needs.at_least else found

    def _seen(self, needs: Needs) -> float | None:
        seen = self._durations.get(needs.kind, ())
        found = needs.seconds
        if seen:
            # Of the few that have been seen the longest counts.
            usual = sorted(seen)[math.ceil(0.95 * len(seen)) - 1] * _AIR
            found = usual if found is None or len(seen) >= _ENOUGH else max(found, usual)
        floor = self._at_least.get(needs.kind)
        if floor is None or len(seen) >= _ENOUGH:  # one that hangs says nothing of all the others
            return found
        return max(found or 0.0, floor * MORE)
