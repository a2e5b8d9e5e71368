"""Which objects of the store a value refers to: said by what is pickled, heard by who writes the value."""

from __future__ import annotations

from contextvars import ContextVar

_HELD: ContextVar[set[str] | None] = ContextVar("daskflow_held", default=None)


class holding:  # noqa: N801, used like a function; a generator would take 1 µs more, a third of a small result
    """A block in which all that is pickled and holds objects adds their digests to the set that it gives."""

    __slots__ = ("_token",)

    def __enter__(self) -> set[str]:
        found: set[str] = set()
        self._token = _HELD.set(found)
        return found

    def __exit__(self, *error: object) -> None:
        _HELD.reset(self._token)


def is_held() -> bool:
    """Whether somebody asks what values hold."""
    return _HELD.get() is not None


def mention(digest: str) -> None:
    """What is being pickled holds an object."""
    found = _HELD.get()
    if found is not None:
        found.add(digest)
