"""The one way to the tables: named statements, one writer, a reader for each thread."""

from __future__ import annotations

import functools
import os
import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from daskflow.errors import SettingsInvalid
from daskflow.stores.connections import Connections
from daskflow.stores.dialect import Connection, Dialect, Row
from daskflow.stores.queries import queries
from daskflow.stores.sqlite import SQLite


class Database:
    """A store by its URL; opened when first used.

    Parameters
    ----------
    url
        A path, or `sqlite:///path` (relative) or `sqlite:////path` (absolute).
    readonly
        Make and change nothing; works while a run writes.

    Raises
    ------
    SettingsInvalid
        The URL names something else.

    Notes
    -----
    Any number of threads may use one object: writing goes through one connection, one transaction at
    a time; reading has a connection for each thread, sees what is committed and waits for nobody.
    Within `transaction` the same thread reads what it wrote. It pickles as its URL; a forked child
    opens its own connections.
    """

    def __init__(self, url: str | Path, *, readonly: bool = False) -> None:
        self._dialect: Dialect = SQLite(_path_of(url), readonly=readonly)
        self.url = f"sqlite:///{self._dialect.place}"
        self.readonly = readonly
        self._statements: dict[str, str] = {}
        self._reset()

    def _reset(self) -> None:
        self._connections = Connections(self._dialect, readonly=self.readonly)
        self._lock = threading.RLock()
        self._owner: int | None = None
        self._process = os.getpid()
        # Connections that are not closed would warn, and keep the log file after the last process.
        self._finalizer = weakref.finalize(self, self._connections.close)

    def __reduce__(self) -> Any:
        return functools.partial(type(self), readonly=self.readonly), (self.url,)

    def __repr__(self) -> str:
        return f"Database({self.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def place(self) -> str:
        """What errors and people call this store."""
        return self._dialect.place

    def open(self) -> None:
        """Open the store now, make its tables and see that it can be used.

        Raises
        ------
        StoreTooNew, StoreUnavailable, StoreFull
        """
        if self.readonly:
            self._connected().reader()
        else:
            self._connected().writer()

    def close(self) -> None:
        """Close all connections; the next use opens them again. Waits for a transaction of another thread."""
        with self._lock:  # SQLite crashes where a connection is closed that another thread uses
            self._connections.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what is written within one unit: all of it is there afterwards, or nothing.

        Raises
        ------
        StoreFull, StoreUnavailable, StoreError

        Notes
        -----
        Other threads and processes that write wait. Within another transaction of the same thread it
        is part of that one.
        """
        connections = self._connected()
        with self._lock:
            if self._owner is not None:
                yield
                return
            connection = connections.writer()
            with self._dialect.guarded(writing=True):
                connection.execute("BEGIN IMMEDIATE")
            self._owner = threading.get_ident()
            try:
                yield
                with self._dialect.guarded(writing=True):
                    connection.execute("COMMIT")
            except BaseException:
                # After "disk full" SQLite has rolled back by itself.
                if connection.in_transaction:
                    with self._dialect.guarded(writing=True):
                        connection.execute("ROLLBACK")
                raise
            finally:
                self._owner = None

    def rows(self, name: str, /, **parameters: Any) -> list[Row]:
        """All rows that the query `name` gives; a list is given for a `{name}` in its text.

        Raises
        ------
        StoreUnavailable, StoreError
        """
        with self._dialect.guarded(writing=False):
            return self._reader().execute(self._sql(name), self._packed(parameters)).fetchall()

    def write(self, name: str, /, **parameters: Any) -> None:
        """Run the statement `name` in a transaction."""
        with self.transaction(), self._dialect.guarded(writing=True):
            self._connections.writer().execute(self._sql(name), self._packed(parameters))

    def change(self, name: str, /, **parameters: Any) -> list[Row]:
        """Run the statement `name`, which writes, and take the rows that it returns; in a transaction.

        Raises
        ------
        StoreFull, StoreUnavailable, StoreError
        """
        with self.transaction(), self._dialect.guarded(writing=True):
            return self._connections.writer().execute(self._sql(name), self._packed(parameters)).fetchall()

    def announce(self, channel: str) -> None:
        """Wake up who awaits an announcement, here or in any process, when this transaction is committed."""

    def await_announcement(self, channel: str, timeout: float) -> None:
        """Return as soon as something may have been announced, at the latest after some time [s]."""
        time.sleep(min(timeout, 0.05))

    def many(self, name: str, rows: Iterable[Row]) -> None:
        """Run the statement `name` for each row, its fields in order of the statement, in a transaction."""
        rows = rows if isinstance(rows, list) else list(rows)
        if not rows:
            return
        sql = self._dialect.positional(self._sql(name))
        with self.transaction(), self._dialect.guarded(writing=True):
            connection = self._connections.writer()
            connection.execute("SAVEPOINT many")
            try:
                connection.executemany(sql, rows)
            except UnicodeEncodeError:
                # A file name in a traceback or a log may hold bytes that are no UTF-8; one such row
                # must not cost the others.
                connection.execute("ROLLBACK TO many")
                connection.executemany(sql, [tuple(map(printable, row)) for row in rows])
            connection.execute("RELEASE many")

    def _sql(self, name: str) -> str:
        sql = self._statements.get(name)
        if sql is None:
            sql = self._statements[name] = self._dialect.render(queries()[name])
        return sql

    def _connected(self) -> Connections:
        if self._process != os.getpid():
            self._connections.abandon()
            self._finalizer.detach()
            self._reset()
        return self._connections

    def _reader(self) -> Connection:
        connections = self._connected()
        if self._owner == threading.get_ident():
            return connections.writer()
        return connections.reader()

    def _packed(self, parameters: dict[str, Any]) -> dict[str, Any]:
        return {
            name: self._dialect.pack(value) if isinstance(value, list) else printable(value)
            for name, value in parameters.items()
        }


def printable(value: Any) -> Any:
    """A value whose text can be written as UTF-8: bytes that cannot are shown by their number."""
    if not isinstance(value, str) or value.isascii():
        return value
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


def _path_of(url: str | Path) -> Path:
    text = str(url)
    scheme, separator, rest = text.partition("://")
    if not separator:
        return Path(text)
    if scheme != "sqlite" or not rest.startswith("/") or rest == "/":
        raise SettingsInvalid(
            f"A store of the kind {scheme}:// is not known. Give a path, or sqlite:///path to a file."
        )
    return Path(rest[1:])
