"""The open connections of one process to a server of PostgreSQL: each statement or transaction borrows one."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, ClassVar, TypeVar

from daskflow.errors import StoreError, StoreUnavailable
from daskflow.stores import schema
from daskflow.stores.dialect import Row
from daskflow.stores.link import Link
from daskflow.stores.postgres import PostgreSQL

KEPT = 4
"""So many connections stay open while nobody uses them."""
_Given = TypeVar("_Given")


class _Mine(threading.local):
    """What belongs to one thread."""

    held: Link | None = None
    """The connection of its transaction."""
    ordered: bool = False
    listener: Listener | None = None


class Pool:
    """Connections that threads borrow, opened when all others are in use: an `Access`.

    Parameters
    ----------
    dialect
        How to connect.
    readonly
        Refuse to write.

    Notes
    -----
    A connection that was lost while nobody used it is replaced without a word, and so is one that is lost while
    something is read or a transaction begins. What is lost in a transaction, or while a single statement writes, is
    `StoreUnavailable`: whoever called may try again. A thread that awaits announcements keeps one connection for that
    until it ends.
    """

    _abandoned: ClassVar[list[Pool]] = []

    def __init__(self, dialect: PostgreSQL, *, readonly: bool) -> None:
        self._dialect = dialect
        self._readonly = readonly
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._open: set[Link] = set()
        self._idle: list[Link] = []
        self._mine = _Mine()
        self._listeners: weakref.WeakSet[Listener] = weakref.WeakSet()
        self._is_ready = False

    @property
    def in_transaction(self) -> bool:
        """Whether the thread that asks is within a transaction."""
        return self._mine.held is not None

    def open(self) -> None:
        """Connect now; makes the tables, or brings them up to date."""
        self._give(self._take())

    def close(self) -> None:
        """Close all connections; one that another thread uses, when it gives it back."""
        if self._process != os.getpid():
            return
        with self._lock:
            idle, self._idle, self._is_ready = self._idle, [], False
            self._open.clear()
            listeners = list(self._listeners)
        for link in idle:
            link.close()
        for listener in listeners:
            listener.end()

    def abandon(self) -> None:
        """Leave the connections as they are for ever: in a forked child they are still the parent's.

        References
        ----------
        https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT
        """
        self._abandoned.append(self)

    @contextmanager
    def transaction(self, *, ordered: bool) -> Iterator[None]:
        """What the thread does within is one unit; within another transaction it is part of that."""
        mine = self._mine
        if mine.held is not None:
            if ordered and not mine.ordered:
                with self._dialect.guarded(writing=True):
                    self._dialect.order(mine.held)
                mine.ordered = True
            yield
            return
        link = self._begun(ordered)
        mine.held, mine.ordered = link, ordered
        try:
            yield
            self._commit(link)
        finally:
            mine.held = None
            self._give(link)

    def _begun(self, ordered: bool) -> Link:
        self._check_writing()

        def begin(link: Link) -> Link:
            self._dialect.begin(link, ordered=ordered)
            return link

        return self._twice(begin, writing=True, keep=True)

    def _commit(self, link: Link) -> None:
        # To a transaction of which a statement failed, COMMIT is another word for ROLLBACK, and no error.
        if link.failed:
            raise StoreError(
                f"Nothing of what was to be written to {self._dialect.place} together is there: a part of it failed."
            )
        with self._dialect.guarded(writing=True):
            link.execute("COMMIT")

    def rows(self, sql: str, parameters: Mapping[str, Any]) -> list[Row]:
        """What a query gives."""

        def ask(link: Link) -> list[Row]:
            return link.execute(sql, parameters).fetchall()

        if self._mine.held is None:
            return self._twice(ask, writing=False)
        with self._dialect.guarded(writing=False):
            return ask(self._mine.held)

    def change(self, sql: str, parameters: Mapping[str, Any]) -> list[Row]:
        """Run one statement that writes, and take what it returns."""
        self._check_writing()
        held = self._mine.held
        link = self._take() if held is None else held
        try:
            with self._dialect.guarded(writing=True):
                return link.execute(sql, parameters).fetchall()
        finally:
            if held is None:
                self._give(link)

    def write(self, sql: str, parameters: Mapping[str, Any]) -> None:
        """Run one statement in the transaction of the thread, or else in an ordered one of its own."""
        with self.transaction(ordered=self._mine.held is None):
            self.change(sql, parameters)

    def many(self, sql: str, rows: list[Row]) -> None:
        """Run one positional statement for each row, in a transaction as `write`."""
        stored = self._dialect.stored
        ready = [tuple(map(stored, row)) for row in rows]
        with self.transaction(ordered=self._mine.held is None), self._dialect.guarded(writing=True):
            assert self._mine.held is not None
            self._mine.held.executemany(sql, ready)

    def announce(self, channel: str) -> None:
        """Wake up who awaits an announcement as soon as the transaction is committed."""
        self.change("SELECT pg_notify(%(channel)s, '')", {"channel": self._dialect.channel(channel)})

    def await_announcement(self, channel: str, timeout: float) -> None:
        """Return after an announcement since the last call of this thread, or after some time [s]."""
        if self._mine.listener is None:
            self._mine.listener = Listener(self._connected, self._open, self._dialect)
            with self._lock:
                self._listeners.add(self._mine.listener)
        self._mine.listener.hear(self._dialect.channel(channel), timeout)

    def _check_writing(self) -> None:
        if self._readonly:
            raise StoreUnavailable(f"The journal {self._dialect.place} was opened for reading only.")

    def _twice(self, action: Callable[[Link], _Given], *, writing: bool, keep: bool = False) -> _Given:
        """Do what changes nothing, and do it again on another connection where one is lost meanwhile."""
        try:
            return self._once(action, writing=writing, keep=keep)
        except _Lost:
            return self._once(action, writing=writing, keep=keep)

    def _once(self, action: Callable[[Link], _Given], *, writing: bool, keep: bool) -> _Given:
        link = self._take()
        done = False
        try:
            with self._dialect.guarded(writing=writing):
                given = action(link)
            done = True
            return given
        except StoreUnavailable as error:
            if link.lost:
                raise _Lost(str(error)) from error
            raise
        finally:
            if not (keep and done):
                self._give(link)

    def _take(self) -> Link:
        while True:
            with self._lock:
                link = self._idle.pop() if self._idle else None
            if link is None:
                return self._connected()
            if link.is_quiet():
                return link
            self._drop(link)

    def _give(self, link: Link) -> None:
        if self._process != os.getpid():
            return
        if link.in_transaction and not link.lost:
            with suppress(StoreError), self._dialect.guarded(writing=True):
                link.execute("ROLLBACK")
        with self._lock:
            # What is not among the open ones was borrowed before all were closed.
            keep = link in self._open and len(self._idle) < KEPT and not link.lost and not link.in_transaction
            if keep:
                self._idle.append(link)
        if not keep:
            self._drop(link)

    def _connected(self) -> Link:
        link = self._dialect.connect(writing=not self._readonly)
        with self._lock:
            self._open.add(link)
        try:
            self._make_ready(link)
        except BaseException:
            self._drop(link)
            raise
        return link

    def _make_ready(self, link: Link) -> None:
        if not self._is_ready:
            with self._dialect.guarded(writing=not self._readonly):
                (schema.check if self._readonly else schema.bring_up)(link, self._dialect)
            self._is_ready = True

    def _drop(self, link: Link) -> None:
        self._open.discard(link)
        link.close()


class _Lost(StoreUnavailable):
    """The connection went away."""


class Listener:
    """What one thread hears of announcements.

    Parameters
    ----------
    connect
        Opens a connection.
    opened
        The connections that the process keeps; one that is closed is among them no more.
    dialect
        Tells what errors mean.
    """

    def __init__(self, connect: Callable[[], Link], opened: set[Link], dialect: PostgreSQL) -> None:
        self._connect = connect
        self._opened = opened
        self._dialect = dialect
        self._lock = threading.Lock()
        self._channels: set[str] = set()
        self._links: list[Link] = []
        # The thread holds the only reference: with it the connection goes.
        weakref.finalize(self, _hang_up, self._links, opened, os.getpid()).atexit = False

    def hear(self, channel: str, timeout: float) -> None:
        """Return after a notification on a channel since the last call, or after some time [s]; at first, at once."""
        with self._lock:
            if not self._links:
                self._links.append(self._connect())
                self._channels.clear()
            link = self._links[0]
            try:
                self._hear(link, channel, timeout)
            except StoreUnavailable:
                # Whatever was announced while it is away is not heard: so something may have been.
                if not link.lost:
                    raise
            finally:
                if link.lost:
                    _hang_up(self._links, self._opened)

    def _hear(self, link: Link, channel: str, timeout: float) -> None:
        with self._dialect.guarded(writing=False):
            if channel in self._channels:
                link.hear(channel, timeout)
            else:
                link.execute(f"LISTEN {channel}")
                self._channels.add(channel)

    def end(self) -> None:
        """Close the connection; a thread that waits goes on. Any thread may call it."""
        if self._lock.acquire(blocking=False):
            try:
                _hang_up(self._links, self._opened)
            finally:
                self._lock.release()
            return
        for link in list(self._links):
            link.wake()


def _hang_up(links: list[Link], opened: set[Link], process: int | None = None) -> None:
    # In a forked child the connection is the parent's, and closing it here would end it there.
    if process in (None, os.getpid()):
        while links:
            link = links.pop()
            opened.discard(link)
            link.close()
