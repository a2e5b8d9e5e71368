"""What a database must offer to hold a journal; what differs between SQLite and others stands behind it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

Row = tuple[Any, ...]
"""One row, its fields in the order of the query."""


class Cursor(Protocol):
    """What a statement gave."""

    def fetchall(self) -> list[Any]:
        """Take all rows."""


class Connection(Protocol):
    """The part of a driver's connection that is used here."""

    @property
    def in_transaction(self) -> bool:
        """Whether something is written but not committed."""

    def execute(self, sql: str, parameters: Mapping[str, Any] = ..., /) -> Cursor:
        """Run one statement."""

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> Cursor:
        """Run one statement for each row."""

    def close(self) -> None:
        """Give the connection back."""


class Dialect(Protocol):
    """One place where a store lies, and how to talk to it."""

    @property
    def place(self) -> str:
        """What errors call the store; holds no password."""

    def connect(self, *, writing: bool) -> Connection:
        """Open a connection that begins and ends no transaction by itself."""

    def has_tables(self, connection: Connection) -> bool:
        """Whether some migration was applied."""

    def render(self, sql: str) -> str:
        """Put this dialect's words for types and for lists of values (`{keys}`) into a statement."""

    def positional(self, sql: str) -> str:
        """Replace named parameters by positional ones, for rows."""

    def pack(self, values: list[Any]) -> Any:
        """Turn a list into the one parameter that `{name}` takes."""

    def guarded(self, *, writing: bool) -> AbstractContextManager[None]:
        """Turn what the driver raises into errors of daskflow."""
