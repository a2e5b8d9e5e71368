"""Lists that may be added to until the job that they belong to is planned."""

from __future__ import annotations

from collections.abc import Iterable, MutableSequence
from typing import Any

from daskflow.errors import UsageError


class Growing(MutableSequence[Any]):
    """A list of a command job, closed when the job is planned."""

    def __init__(self, name: str, items: Iterable[Any] = ()) -> None:
        self._name = name
        self._items = list(items)
        self._closed = ""

    def close(self, why: str) -> None:
        """Take nothing more."""
        self._closed = why

    def __getitem__(self, index: Any) -> Any:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __setitem__(self, index: Any, value: Any) -> None:
        self._check()
        self._items[index] = value

    def __delitem__(self, index: Any) -> None:
        self._check()
        del self._items[index]

    def insert(self, index: int, value: Any) -> None:
        """Put an item before another."""
        self._check()
        self._items.insert(index, value)

    def __eq__(self, other: object) -> bool:
        return self._items == (other._items if isinstance(other, Growing) else other)

    __hash__ = None  # type: ignore[assignment]  # a list has none either

    def __repr__(self) -> str:
        return repr(self._items)

    def _check(self) -> None:
        if self._closed:
            raise UsageError(f"{self._name} of a command job cannot be changed any more: {self._closed}.")
