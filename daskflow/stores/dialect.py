"""What a database must offer to hold a journal; what differs between SQLite and PostgreSQL stands behind it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

PATIENCE = 30.0
"""How long to wait for the lock of another process [s]."""

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
        """Whether a transaction has begun and has not ended."""

    def execute(self, sql: str, parameters: Mapping[str, Any] = ..., /) -> Cursor:
        """Run one statement."""

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> Cursor:
        """Run one statement for each row."""

    def close(self) -> None:
        """Give the connection back."""


class Dialect(Protocol):
    """One place where a store lies, and how to talk to it."""

    @property
    def kind(self) -> str:
        """`sqlite` or `postgresql`."""

    @property
    def place(self) -> str:
        """What errors call the store; holds no password."""

    @property
    def url(self) -> str:
        """How the store is opened again; holds no password either."""

    @property
    def shared(self) -> bool:
        """Whether `place` means the same store on other machines."""

    def connect(self, *, writing: bool) -> Connection:
        """Open a connection that begins and ends no transaction by itself."""

    def begin(self, connection: Connection, *, ordered: bool) -> None:
        """Begin a transaction; an ordered one waits until no other ordered one goes on."""

    def has_tables(self, connection: Connection) -> bool:
        """Whether some migration was applied."""

    def prepare(self, connection: Connection) -> None:
        """Make what tables lie in, before the first migration and in its transaction."""

    def render(self, sql: str) -> str:
        """Put this dialect's words for types, parameters and lists of texts (`{keys}`) into a statement."""

    def positional(self, sql: str) -> str:
        """Replace the parameters of a rendered statement by positional ones, for rows."""

    def pack(self, values: list[Any]) -> Any:
        """Turn a list of texts into the one parameter that `{name}` takes."""

    def stored(self, value: Any) -> Any:
        """A value as it can be written: what this database does not hold in texts is shown by its number."""

    def guarded(self, *, writing: bool) -> AbstractContextManager[None]:
        """Turn what the driver raises into errors of daskflow."""


class Access(Protocol):
    """How the threads of one process come to connections, and what they do on them.

    Notes
    -----
    Any thread may call any method. The statements are rendered.
    """

    @property
    def in_transaction(self) -> bool:
        """Whether the thread that asks is within a transaction."""

    def open(self) -> None:
        """Connect now; makes the tables, or brings them up to date."""

    def close(self) -> None:
        """Close all connections; what is asked for next opens them anew."""

    def abandon(self) -> None:
        """Leave the connections as they are for ever: in a forked child they are still the parent's."""

    def transaction(self, *, ordered: bool) -> AbstractContextManager[None]:
        """What the thread does within is one unit; within another transaction it is part of that."""

    def rows(self, sql: str, parameters: Mapping[str, Any]) -> list[Row]:
        """What a query gives."""

    def change(self, sql: str, parameters: Mapping[str, Any]) -> list[Row]:
        """Run one statement that writes, and take what it returns."""

    def write(self, sql: str, parameters: Mapping[str, Any]) -> None:
        """Run one statement in the transaction of the thread, or else in an ordered one of its own."""

    def many(self, sql: str, rows: list[Row]) -> None:
        """Run one positional statement for each row, in a transaction as `write`."""

    def announce(self, channel: str) -> None:
        """Wake up who awaits an announcement as soon as the transaction is committed."""

    def await_announcement(self, channel: str, timeout: float) -> None:
        """Return after an announcement since the last call of this thread, or after some time [s]."""


def printable(value: Any) -> Any:
    """A value whose text can be written as UTF-8: bytes that cannot are shown by their number."""
    if not isinstance(value, str) or value.isascii():
        return value
    return value.encode("utf-8", "backslashreplace").decode("utf-8")
