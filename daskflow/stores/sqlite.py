"""SQLite as a place for the journal: opening, locking mode, and what its errors mean."""

from __future__ import annotations

import errno
import json
import os
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from daskflow.errors import StoreError, StoreFull, StoreMissing, StoreUnavailable
from daskflow.stores.dialect import PATIENCE, Connection, printable
from daskflow.stores.filesystem import on_network

_CACHE = -16_000
"""Pages that a connection keeps at most, in SQLite's own manner of saying kibibytes."""

_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_DAMAGED = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)
_CLOSED = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH)
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


_WORDS = {
    "SERIAL": "INTEGER",
    "JSON": "TEXT",
    # Seconds since the epoch, to a millisecond.
    "CLOCK": "((julianday('now') - 2440587.5) * 86400.0)",
}


class SQLite:
    """A journal in one SQLite file.

    Parameters
    ----------
    path
        The file; it and its directory are made when first written to.
    readonly
        Never make or change anything.

    Notes
    -----
    On a local disk the write-ahead log lets readers go on while a run writes, and a killed process
    loses nothing that was committed; a power cut may lose the last moments but damages nothing. On a
    network filesystem the log's shared memory would not be shared, so the rollback journal is used,
    with a full sync at each commit.
    """

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        self.path = path.absolute()
        self.readonly = readonly

    @property
    def kind(self) -> str:
        """`sqlite`."""
        return "sqlite"

    @property
    def place(self) -> str:
        """The path."""
        return str(self.path)

    @property
    def url(self) -> str:
        """`sqlite:////path`."""
        return f"sqlite:///{self.path}"

    @property
    def shared(self) -> bool:
        """Whether the file lies on a network filesystem."""
        return on_network(self.path)

    def connect(self, *, writing: bool) -> Connection:
        """Open a connection; several threads may use it in turn."""
        with self.guarded(writing=writing):
            if not writing:
                return self._reader()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = self._open(self.path.as_uri() + "?mode=rwc")
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
            return connection

    def begin(self, connection: Connection, *, ordered: bool) -> None:
        """Begin a transaction that will write; SQLite has one at a time, so all are ordered."""
        connection.execute("BEGIN IMMEDIATE")

    def has_tables(self, connection: Connection) -> bool:
        """Whether the table of migrations is there."""
        return bool(connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'schema_version'").fetchall())

    def prepare(self, connection: Connection) -> None:
        """Nothing: the file is there."""

    def render(self, sql: str) -> str:
        """Lists are JSON arrays: one parameter whatever their length, and one query plan."""
        sql = re.sub(r"\{(\w+)\}", r"(SELECT value FROM json_each(:\1))", sql)
        sql = sql.replace("FOR UPDATE SKIP LOCKED", "")
        return re.sub(r"\b(SERIAL|JSON|CLOCK)\b", lambda found: _WORDS[found[1]], sql)

    def positional(self, sql: str) -> str:
        """The parameters in order of appearance."""
        return re.sub(r":\w+", "?", sql)

    def pack(self, values: list[Any]) -> str:
        """A JSON array."""
        return json.dumps(values)

    def stored(self, value: Any) -> Any:
        """Any text but one that is no UTF-8 is held as it is."""
        return printable(value)

    @contextmanager
    def guarded(self, *, writing: bool) -> Iterator[None]:
        """Turn errors of SQLite and of the file system into errors of daskflow.

        Raises
        ------
        StoreFull
            No room is left, or the disk refuses to write.
        StoreUnavailable
            The file cannot be opened or read, is locked, or is no database.
        StoreError
            Anything else that SQLite complains of.
        """
        try:
            yield
        except sqlite3.Error as error:
            raise self._explained(error, writing) from error
        except OSError as error:
            raise self._refused(error) from error

    def _open(self, uri: str) -> sqlite3.Connection:
        return sqlite3.connect(uri, uri=True, timeout=PATIENCE, isolation_level=None, check_same_thread=False)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        mode = self._choose_mode(connection, "TRUNCATE" if on_network(self.path) else "WAL")
        connection.execute(f"PRAGMA synchronous={'NORMAL' if mode == 'wal' else 'FULL'}")
        connection.execute("PRAGMA secure_delete=OFF")
        connection.execute(f"PRAGMA cache_size={_CACHE}")
        # After one large batch the log would stay as large as that for ever.
        connection.execute("PRAGMA journal_size_limit=67108864")

    def _choose_mode(self, connection: sqlite3.Connection, mode: str) -> str:
        """Set the journal mode; returns the one that the file system allowed."""
        # Two processes that switch a fresh file at the same moment do not wait for each other by
        # themselves: SQLite answers "locked" at once where waiting might be a deadlock.
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return str(connection.execute(f"PRAGMA journal_mode={mode}").fetchone()[0])
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in _BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def _reader(self) -> sqlite3.Connection:
        if not self.path.exists():
            raise StoreMissing(
                f"There is no journal {self.path}. Run a flow here first, or point `store` to another place."
            )
        last: sqlite3.Error | None = None
        for uri in self._ways_to_read():
            connection = self._open(uri)
            try:
                connection.execute("PRAGMA query_only=ON")
                connection.execute(f"PRAGMA cache_size={_CACHE}")
                connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchall()
            except sqlite3.Error as error:
                connection.close()
                last = error
            else:
                return connection
        assert last is not None
        raise last

    def _ways_to_read(self) -> Iterator[str]:
        uri = self.path.as_uri()
        # One who may write can also bring a file in order whose writer was killed.
        if os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK):
            yield uri + "?mode=rw"
        yield uri + "?mode=ro"
        log = self.path.with_name(self.path.name + "-wal")
        # In a directory that only can be read nobody can make the log's index; without a log none is needed.
        with suppress(OSError):
            if not os.access(self.path.parent, os.W_OK) and not (log.exists() and log.stat().st_size):
                yield uri + "?mode=ro&immutable=1"

    def _explained(self, error: sqlite3.Error, writing: bool) -> StoreError:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and writing):
            return StoreFull(
                f"The journal {self.path} cannot be written: {error}. "
                "Free some space, then resume the run: what was recorded is good."
            )
        if code in _BUSY:
            return StoreUnavailable(
                f"Another process has kept the journal {self.path} locked for {PATIENCE:.0f} s. "
                "Try again when it is done."
            )
        if code in _DAMAGED:
            return StoreUnavailable(
                f"{self.path} is no journal, or it is damaged: {error}. "
                "Move it away, or point `store` to another place."
            )
        if code in _CLOSED or code == sqlite3.SQLITE_IOERR:
            return StoreUnavailable(
                f"The journal {self.path} cannot be opened: {error}. "
                "Check that it and its directory exist and may be written."
            )
        return StoreError(f"The journal {self.path} refused: {error}.")

    def _refused(self, error: OSError) -> StoreError:
        if error.errno in _NO_ROOM:
            return StoreFull(f"No room for the journal {self.path}: {error.strerror}. Free some space.")
        return StoreUnavailable(
            f"The journal {self.path} cannot be opened: {error.strerror} ({error.filename}). "
            "Check that its directory exists and may be written, or point `store` to another place."
        )
