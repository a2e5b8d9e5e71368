"""The open connections of one process to one store."""

from __future__ import annotations

import os
import threading
from typing import ClassVar

from daskflow.errors import StoreUnavailable
from daskflow.stores import schema
from daskflow.stores.dialect import Connection, Dialect


class Connections:
    """One writer and a reader for each thread, opened when first asked for.

    Parameters
    ----------
    dialect
        How to connect.
    readonly
        Refuse to write.

    Notes
    -----
    Any thread may ask for any; whoever uses the writer must hold the lock of the `Database`.
    """

    _abandoned: ClassVar[list[Connections]] = []

    def __init__(self, dialect: Dialect, *, readonly: bool) -> None:
        self._dialect = dialect
        self._readonly = readonly
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._writer: Connection | None = None
        self._readers: list[tuple[threading.Thread, Connection]] = []
        self._local = threading.local()

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
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._open_reader()
            self._local.connection = connection
        return connection

    def close(self) -> None:
        """Close all; what is asked for next is opened anew."""
        if self._process != os.getpid():
            return
        with self._lock:
            connections = [connection for _, connection in self._readers]
            # The writer goes last: the last connection to close tidies the log away, which readers cannot.
            connections += [self._writer] if self._writer is not None else []
            self._writer, self._readers, self._local = None, [], threading.local()
        for connection in connections:
            connection.close()

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

    def _open_reader(self) -> Connection:
        if not self._readonly:
            self.writer()
        connection = self._dialect.connect(writing=False)
        try:
            with self._dialect.guarded(writing=False):
                schema.check(connection, self._dialect)
        except BaseException:
            connection.close()
            raise
        self._keep(connection)
        return connection

    def _keep(self, connection: Connection) -> None:
        """Hold a reader until its thread has ended, and close those whose has."""
        with self._lock:
            gone = [mine for thread, mine in self._readers if not thread.is_alive()]
            self._readers = [pair for pair in self._readers if pair[0].is_alive()]
            self._readers.append((threading.current_thread(), connection))
        for ended in gone:
            ended.close()
