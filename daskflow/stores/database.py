"""The one way to the tables: named statements, in transactions, on whatever database holds the store."""

from __future__ import annotations

import functools
import os
import weakref
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Self

from daskflow.errors import SettingsInvalid
from daskflow.stores.connections import Connections
from daskflow.stores.dialect import Access, Dialect, Row
from daskflow.stores.queries import statement
from daskflow.stores.sqlite import SQLite

_AS_THEY_ARE = (int, float, type(None))
"""Values that each database takes."""
_SERVERS = ("postgresql", "postgres")
"""What URLs of PostgreSQL begin with."""


class Database:
    """A store by its URL; opened when first used.

    Parameters
    ----------
    url
        A path, or `sqlite:///path` (relative) or `sqlite:////path` (absolute), or
        `postgresql://user@host/database?schema=name`.
    readonly
        Make and change nothing; works while a run writes.

    Raises
    ------
    SettingsInvalid
        The URL names something else.
    ExtraMissing
        What talks to PostgreSQL is not installed.

    Notes
    -----
    Any number of threads may use one object. Reading sees what is committed and waits for nobody; within `transaction`
    the same thread reads what it wrote. To SQLite one thread of a process writes at a time, to PostgreSQL each on a
    connection of its own. It pickles as its URL; a forked child opens its own connections.
    """

    def __init__(self, url: str | Path, *, readonly: bool = False) -> None:
        self._given = url
        self._dialect = _dialect_of(url, readonly=readonly)
        self.url = self._dialect.url
        """Opens the same store again; without a password."""
        self.readonly = readonly
        self._statements: dict[str, str] = {}
        self._reset()

    def _reset(self) -> None:
        self._access = _access_to(self._dialect, readonly=self.readonly)
        self._process = os.getpid()
        # Connections that are not closed would warn, and keep the log file after the last process.
        self._finalizer = weakref.finalize(self, self._access.close)

    def __reduce__(self) -> Any:
        given = self.url if self.kind == "sqlite" else self._given
        return functools.partial(type(self), readonly=self.readonly), (given,)

    def __repr__(self) -> str:
        return f"Database({self.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def kind(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._dialect.kind

    @property
    def place(self) -> str:
        """What errors and people call this store."""
        return self._dialect.place

    @property
    def shared(self) -> bool:
        """Whether `place` means the same store on other machines."""
        return self._dialect.shared

    @property
    def in_transaction(self) -> bool:
        """Whether what this thread does now is part of a transaction."""
        return self._connected().in_transaction

    def open(self) -> None:
        """Open the store now, make its tables and see that it can be used.

        Raises
        ------
        StoreTooNew, StoreUnavailable, StoreFull
        """
        self._connected().open()

    def close(self) -> None:
        """Close all connections; the next use opens them again. Waits for a transaction of another thread."""
        self._access.close()

    def transaction(self, *, ordered: bool = True) -> AbstractContextManager[None]:
        """Make what is written within one unit: all of it is there afterwards, or nothing.

        Parameters
        ----------
        ordered
            Whether other ordered transactions wait, in all processes: what is read within stays as it is until the end.
            Without, those of PostgreSQL go on side by side, and only a statement that writes is safe from others. In
            SQLite all are ordered.

        Raises
        ------
        StoreFull, StoreError
        StoreUnavailable
            The store is away, or others did not let us write for half a minute; nothing was written.

        Notes
        -----
        Within another transaction of the same thread it is part of that one. After a statement that failed nothing more
        can be done within, and nothing of it is written. What is ordered is seen by others in its order: who has seen
        the event with an ordinal has seen all before it.
        """
        return self._connected().transaction(ordered=ordered)

    def rows(self, name: str, /, **parameters: Any) -> list[Row]:
        """All rows that the query `name` gives; a list of texts is given for a `{name}` in its text.

        Raises
        ------
        StoreUnavailable, StoreError
        """
        return self._connected().rows(self._sql(name), self._packed(parameters))

    def write(self, name: str, /, **parameters: Any) -> None:
        """Run the statement `name` in the transaction of the thread, or else in an ordered one of its own."""
        self._connected().write(self._sql(name), self._packed(parameters))

    def change(self, name: str, /, **parameters: Any) -> list[Row]:
        """Run the statement `name`, which writes, and take the rows that it returns.

        It is one unit by itself, that waits for no ordered transaction; within a transaction it is part of that.

        Raises
        ------
        StoreFull, StoreUnavailable, StoreError
        """
        return self._connected().change(self._sql(name), self._packed(parameters))

    def many(self, name: str, rows: Iterable[Row]) -> None:
        """Run the statement `name` for each row, its fields in order of the statement; in a transaction as `write`."""
        rows = rows if isinstance(rows, list) else list(rows)
        if rows:
            self._connected().many(self._dialect.positional(self._sql(name)), rows)

    def announce(self, channel: str) -> None:
        """Wake up who awaits an announcement, here or in any process, when this transaction is committed."""
        self._connected().announce(channel)

    def await_announcement(self, channel: str, timeout: float) -> None:
        """Return as soon as something may have been announced, at the latest after some time [s].

        Raises
        ------
        StoreUnavailable

        Notes
        -----
        The first call of a thread returns at once. Who looks at the tables after each call, and then calls again in the
        same thread, misses no announcement, whenever it came: of one that was committed after a call began to return
        the next call knows. SQLite is asked every few milliseconds at first, then four times in a second; PostgreSQL
        tells by itself, on a connection that the thread keeps.
        """
        self._connected().await_announcement(channel, timeout)

    def _sql(self, name: str) -> str:
        sql = self._statements.get(name)
        if sql is None:
            sql = self._statements[name] = self._dialect.render(statement(name))
        return sql

    def _connected(self) -> Access:
        if self._process != os.getpid():
            self._access.abandon()
            self._finalizer.detach()
            self._reset()
        return self._access

    def _packed(self, parameters: dict[str, Any]) -> dict[str, Any]:
        stored, pack = self._dialect.stored, self._dialect.pack
        return {
            name: value if type(value) in _AS_THEY_ARE else pack(value) if isinstance(value, list) else stored(value)
            for name, value in parameters.items()
        }


def _dialect_of(url: str | Path, *, readonly: bool) -> Dialect:
    text = str(url)
    scheme, separator, rest = text.partition("://")
    if not separator:
        return SQLite(Path(text), readonly=readonly)
    if scheme in _SERVERS:
        from daskflow.stores.postgres import PostgreSQL  # noqa: PLC0415, most stores are files

        return PostgreSQL(text, readonly=readonly)
    if scheme != "sqlite" or not rest.startswith("/") or rest == "/":
        raise SettingsInvalid(
            f"A store of the kind {scheme}:// is not known. Give a path, sqlite:///path to a file, or "
            "postgresql://user@host/database."
        )
    return SQLite(Path(rest[1:]), readonly=readonly)


def _access_to(dialect: Dialect, *, readonly: bool) -> Access:
    if isinstance(dialect, SQLite):
        return Connections(dialect, readonly=readonly)
    from daskflow.stores.pool import Pool  # noqa: PLC0415, most stores are files
    from daskflow.stores.postgres import PostgreSQL  # noqa: PLC0415, most stores are files

    assert isinstance(dialect, PostgreSQL)
    return Pool(dialect, readonly=readonly)
