"""Values that nobody can change, with their text for keys made once: thousands of jobs of a sweep share them."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Fixed(Generic[T]):
    """A value with the text by which it stands in keys."""

    __slots__ = ("text", "value")

    def __init__(self, value: T, text: str) -> None:
        self.value = value
        self.text = text

    def key_text(self) -> str:
        """How it stands in keys."""
        return self.text

    def __deepcopy__(self, memo: Any) -> Fixed[T]:
        return self

    def __reduce__(self) -> Any:
        return Fixed, (self.value, "")

    def __repr__(self) -> str:
        return self.text
