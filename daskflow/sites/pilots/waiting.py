"""What waits for a pilot, in groups of equal needs, the most urgent first."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Sequence
from typing import Any

from daskflow.model.needs import Needs


class _Group:
    """Nodes of equal needs; those that were taken out stay in the heap until they come up."""

    __slots__ = ("heap", "keys", "numbers")

    def __init__(self) -> None:
        self.heap: list[tuple[Any, int, Any]] = []
        self.keys: dict[Any, tuple[Any, int]] = {}
        """The priority of each key, and its number."""
        # Of equal priorities the number decides: keys are texts and tuples, which do not compare with each other.
        self.numbers = itertools.count()

    def add(self, key: Any, priority: Any) -> None:
        known = self.keys.get(key)
        if known is None or known[0] != priority:
            number = next(self.numbers)
            self.keys[key] = (priority, number)
            heapq.heappush(self.heap, (priority, number, key))

    def first(self) -> tuple[Any, Any]:
        """Priority and key of the most urgent one; of equally urgent ones that which came first."""
        while True:
            priority, number, key = self.heap[0]
            if self.keys.get(key) == (priority, number):
                return priority, key
            heapq.heappop(self.heap)


class Waiting:
    """What waits for a pilot.

    Notes
    -----
    The scheduler's thread alone changes it; any thread may ask.
    """

    def __init__(self) -> None:
        self._groups: dict[Needs, _Group] = {}
        self._needs: dict[Any, Needs] = {}
        self._lock = threading.Lock()

    def add(self, key: Any, needs: Needs, priority: Any) -> None:
        """A node waits; where it did already, it has these needs from now on."""
        with self._lock:
            if self._needs.get(key, needs) != needs:
                self._remove(key)
            self._needs[key] = needs
            self._groups.setdefault(needs, _Group()).add(key, priority)

    def remove(self, key: Any) -> None:
        """A node waits no more, if it did."""
        with self._lock:
            self._remove(key)

    def _remove(self, key: Any) -> None:
        needs = self._needs.pop(key, None)
        if needs is not None:
            group = self._groups[needs]
            del group.keys[key]
            if not group.keys:
                del self._groups[needs]

    def groups(self) -> list[Needs]:
        """The needs that are waiting, those of the most urgent node first."""
        with self._lock:
            return sorted(self._groups, key=lambda needs: self._groups[needs].first()[0])

    def first(self, needs: Needs) -> Any:
        """The most urgent of a group; None where it is empty."""
        with self._lock:
            group = self._groups.get(needs)
            return group.first()[1] if group is not None else None

    def keys(self, needs: Needs) -> list[Any]:
        """All of a group."""
        with self._lock:
            group = self._groups.get(needs)
            return list(group.keys) if group is not None else []

    def counts(self) -> Sequence[tuple[Needs, int]]:
        """How many of each needs are waiting, those of the most urgent node first."""
        with self._lock:
            order = sorted(self._groups, key=lambda needs: self._groups[needs].first()[0])
            return [(needs, len(self._groups[needs].keys)) for needs in order]
