"""In which order works are shown."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from functools import total_ordering
from operator import itemgetter
from typing import Any

from daskflow.errors import WorkInvalid
from daskflow.model.jsons import Json, as_text
from daskflow.stores.buckets.paths import found, steps
from daskflow.stores.buckets.shelf import Payload

_KEY = itemgetter(0)
Sort = Sequence[tuple[str, int]]
"""Paths, with 1 for the smallest first and -1 for the largest."""


class Ordering:
    """Puts works in order: what is not there first, then numbers, texts, dictionaries, lists and truth values.

    Of a list the element counts that comes first.

    Parameters
    ----------
    sort
        The first path counts most.

    Raises
    ------
    WorkInvalid
    """

    def __init__(self, sort: Sort) -> None:
        for each in sort:
            if not isinstance(each, tuple | list) or len(each) != 2 or type(each[1]) is not int or abs(each[1]) != 1:
                raise WorkInvalid(f"{each!r:.100} is no order. Write {{'results.dm': -1}} for the largest first.")
        self._keys = [(steps(path), way) for path, way in sort]

    def first(
        self, works: Iterable[Payload], most: int, shown: Callable[[Payload], Payload] = lambda work: work
    ) -> list[Payload]:
        """What is shown of so many works that come first, -1: all; of equals those that were given first."""
        pairs = ((self.key(work), shown(work)) for work in works)
        best = sorted(pairs, key=_KEY) if most < 0 else heapq.nsmallest(most, pairs, key=_KEY)
        return [each for _, each in best]

    def key(self, work: dict[str, Any]) -> list[Any]:
        """By what a work is compared with others."""
        keys: list[Any] = []
        for path, way in self._keys:
            ranks = [_rank(leaf) for value in found(work, path) for leaf in (_leaves(value))] or [(0, 0)]
            keys.append(min(ranks) if way > 0 else _Down(max(ranks)))
        return keys


def _leaves(value: Json) -> list[Json]:
    return value if isinstance(value, list) and value else [value]


def _rank(value: Json) -> tuple[int, Any]:
    if value is None:
        return 0, 0
    if isinstance(value, bool):
        return 5, value
    if isinstance(value, int | float):
        return 1, value
    if isinstance(value, str):
        return 2, value
    return (3 if isinstance(value, dict) else 4), as_text(value)


@total_ordering
class _Down:
    """Comes first where its value comes last."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Down) and bool(self.value == other.value)

    def __lt__(self, other: _Down) -> bool:
        return bool(other.value < self.value)

    __hash__ = None  # type: ignore[assignment]
