"""The open connections of one process to a file of SQLite: one writes, and each thread has one to read."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

from daskflow.errors import StoreUnavailable
from daskflow.stores import schema
from daskflow.stores.dialect import Connection, Dialect, Row
from daskflow.stores.queries import queries

_SHORTEST, _LONGEST = 0.004, 0.25
"""How long a thread that awaits an announcement sleeps before it looks again, at first and in the end [s]."""


class Connections:
    """One writer and a reader for each thread, opened when first asked for: an `Access`.

    Parameters
    ----------
    dialect
        How to connect.
    readonly
        Refuse to write.

    Notes
    -----
    Writing goes through one connection, one transaction at a time. Reading waits for nobody and sees what is
    committed; within a transaction the same thread reads what it wrote.
    """

    _abandoned: ClassVar[list[Connections]] = []

    def __init__(self, dialect: Dialect, *, readonly: bool) -> None:
        self._dialect = dialect
        self._readonly = readonly
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._turn = threading.RLock()
        self._owner: int | None = None
        self._writer: Connection | None = None
        self._readers: list[_Reader] = []
        self._local = threading.local()

    @property
    def in_transaction(self) -> bool:
        """Whether the thread that asks is within a transaction."""
        return self._owner == threading.get_ident()

    def open(self) -> None:
        """Connect now; makes the tables, or brings them up to date."""
        if self._readonly:
            self.reader()
        else:
            self.writer()

    @contextmanager
    def transaction(self, *, ordered: bool = True) -> Iterator[None]:
        """What the thread does within is one unit; all are ordered, for SQLite has one writer at a time."""
        with self._turn:
            if self._owner is not None:
                yield
                return
            connection = self.writer()
            with self._dialect.guarded(writing=True):
                self._dialect.begin(connection, ordered=ordered)
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

    def rows(self, sql: str, parameters: Mapping[str, Any]) -> list[Row]:
        """What a query gives."""
        with self._dialect.guarded(writing=False):
            if self._owner == threading.get_ident():
                return self.writer().execute(sql, parameters).fetchall()
            while True:
                reader = self._reader()
                with reader.turn:
                    if not reader.closed:
                        return reader.connection.execute(sql, parameters).fetchall()

    def change(self, sql: str, parameters: Mapping[str, Any]) -> list[Row]:
        """Run one statement that writes, and take what it returns."""
        with self.transaction(), self._dialect.guarded(writing=True):
            return self.writer().execute(sql, parameters).fetchall()

    def write(self, sql: str, parameters: Mapping[str, Any]) -> None:
        """Run one statement in the transaction of the thread, or else in one of its own."""
        self.change(sql, parameters)

    def many(self, sql: str, rows: list[Row]) -> None:
        """Run one positional statement for each row, in a transaction."""
        with self.transaction(), self._dialect.guarded(writing=True):
            connection = self.writer()
            connection.execute("SAVEPOINT many")
            try:
                connection.executemany(sql, rows)
            except UnicodeEncodeError:
                # A file name in a traceback or a log may hold bytes that are no UTF-8; one such row
                # must not cost the others.
                connection.execute("ROLLBACK TO many")
                connection.executemany(sql, [tuple(map(self._dialect.stored, row)) for row in rows])
            connection.execute("RELEASE many")

    def announce(self, channel: str) -> None:
        """Wake up who awaits an announcement as soon as the transaction is committed."""
        self.change(self._dialect.render(queries()["announce"]), {"name": _counter(channel)})

    def await_announcement(self, channel: str, timeout: float) -> None:
        """Return after an announcement since the last call of this thread, or after some time [s].

        Notes
        -----
        Announcements are counted in the store, so none is missed however late one looks: it is noticed a quarter of a
        second after its transaction at the latest.
        """
        heard: dict[str, str] = self._local.__dict__.setdefault("heard", {})
        known, until, pause = heard.get(channel), time.monotonic() + timeout, _SHORTEST
        while True:
            heard[channel] = now = self._announced(channel)
            left = until - time.monotonic()
            if now != known or left <= 0:
                return
            time.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST)

    def _announced(self, channel: str) -> str:
        found = self.rows(self._dialect.render(queries()["meta"]), {"name": _counter(channel)})
        return str(found[0][0]) if found else ""

    def writer(self) -> Connection:
        """The connection that writes; the first call makes the tables.

        Raises
        ------
        StoreTooNew, StoreUnavailable, StoreFull
        """
        if self._writer is None:
            with self._lock:
                if self._writer is None:
                    self._writer = self._open_writer()
        return self._writer

    def reader(self) -> Connection:
        """The connection on which this thread reads.

        Raises
        ------
        StoreTooNew, StoreUnavailable
        """
        return self._reader().connection

    def _reader(self) -> _Reader:
        reader: _Reader | None = getattr(self._local, "reader", None)
        if reader is None or reader.closed:
            reader = self._local.reader = self._open_reader()
        return reader

    def close(self) -> None:
        """Close all; what is asked for next is opened anew. Waits for a transaction of another thread."""
        if self._process != os.getpid():
            return
        with self._turn:  # SQLite crashes where a connection is closed that another thread uses
            with self._lock:
                readers, writer = self._readers, self._writer
                self._writer, self._readers, self._local = None, [], threading.local()
            for reader in readers:
                reader.close()
            # The writer goes last: the last connection to close tidies the log away, which readers cannot.
            if writer is not None:
                writer.close()

    def abandon(self) -> None:
        """Leave the connections as they are for ever: in a forked child they are still the parent's.

        References
        ----------
        https://www.sqlite.org/howtocorrupt.html, section 2.6
        """
        self._abandoned.append(self)

    def _open_writer(self) -> Connection:
        if self._readonly:
            raise StoreUnavailable(f"The journal {self._dialect.place} was opened for reading only.")
        connection = self._dialect.connect(writing=True)
        try:
            with self._dialect.guarded(writing=True):
                schema.bring_up(connection, self._dialect)
        except BaseException:
            connection.close()
            raise
        return connection

    def _open_reader(self) -> _Reader:
        if not self._readonly:
            self.writer()
        connection = self._dialect.connect(writing=False)
        try:
            with self._dialect.guarded(writing=False):
                schema.check(connection, self._dialect)
        except BaseException:
            connection.close()
            raise
        reader = _Reader(connection)
        self._keep(reader)
        return reader

    def _keep(self, reader: _Reader) -> None:
        """Hold a reader until its thread has ended, and close those whose has."""
        with self._lock:
            gone = [each for each in self._readers if not each.thread.is_alive()]
            self._readers = [each for each in self._readers if each not in gone]
            self._readers.append(reader)
        for ended in gone:
            ended.close()


class _Reader:
    """The connection on which one thread reads; any thread may close it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.thread = threading.current_thread()
        self.turn = threading.Lock()
        self.closed = False

    def close(self) -> None:
        # SQLite crashes where a connection is closed that another thread uses.
        with self.turn:
            self.closed = True
            self.connection.close()


def _counter(channel: str) -> str:
    return f"announced {channel}"
