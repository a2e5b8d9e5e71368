"""One connection to PostgreSQL: its statements are prepared once, and asked for without more steps than they need."""

from __future__ import annotations

import os
import re
import select
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from daskflow.stores.dialect import Cursor

if TYPE_CHECKING:
    import psycopg
    from psycopg.pq.abc import PGresult

_OFTEN = 2
"""A statement is prepared when it was asked for more often than this."""
_MOST = 200
"""The server keeps so many statements of a connection prepared, and no more."""
_PARAMETER = re.compile(r"%\((\w+)\)s|%%")


class Link:
    """One connection.

    Parameters
    ----------
    raw
        That of the driver.

    Notes
    -----
    One thread may use it at a time, but for `wake`. Statements go by the driver's interface to libpq: a cursor takes
    as long in Python as the server takes for a small statement.

    References
    ----------
    https://www.psycopg.org/psycopg3/docs/api/pq.html
    https://www.postgresql.org/docs/current/libpq-async.html
    """

    def __init__(self, raw: psycopg.Connection[Any]) -> None:
        from psycopg.adapt import PyFormat, Transformer
        from psycopg.pq import ExecStatus, TransactionStatus

        self._raw = raw
        self._libpq = raw.pgconn
        self._heard: set[str] = set()
        self._values = Transformer(raw)
        self._any_format = PyFormat.AUTO
        self._is_error = ExecStatus.FATAL_ERROR
        self._out_of_transaction = (TransactionStatus.IDLE, TransactionStatus.UNKNOWN)
        self._in_error = TransactionStatus.INERROR
        self._asked: dict[tuple[str, tuple[int, ...]], int] = {}
        self._prepared: dict[tuple[str, tuple[int, ...]], bytes] = {}
        self._reading = select.poll()
        self._reading.register(self._libpq.socket, select.POLLIN)
        raw.add_notify_handler(lambda notice: self._heard.add(notice.channel))

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction has begun and has not ended."""
        return self._libpq.transaction_status not in self._out_of_transaction

    @property
    def failed(self) -> bool:
        """Whether a statement of the transaction failed, so that nothing of it will be written."""
        return self._libpq.transaction_status == self._in_error

    @property
    def lost(self) -> bool:
        """Whether nothing more can be done with it."""
        return bool(self._raw.closed)

    def execute(self, sql: str, parameters: Mapping[str, Any] | None = None, /) -> Cursor:
        """Run one statement; without parameters several may stand there, and a `%` is one."""
        try:
            if parameters is None:
                self._libpq.send_query(sql.encode())
            else:
                self._send(sql, parameters)
            return _Answer(self._values, self._answers())
        except self._raw.Error:
            raise
        except BaseException:
            # Its answer is still to come: it would be taken for that of the next statement.
            self.close()
            raise

    def _send(self, sql: str, parameters: Mapping[str, Any]) -> None:
        text, names = _numbered(sql)
        values = self._values
        given = values.dump_sequence([parameters[name] for name in names], [self._any_format] * len(names))
        key = (sql, values.types or ())
        name = self._prepared.get(key)
        if name is None:
            count = self._asked[key] = self._asked.get(key, 0) + 1
            if count <= _OFTEN or len(self._prepared) >= _MOST:
                self._libpq.send_query_params(text, given, values.types, values.formats)
                return
            name = b"daskflow_%d" % len(self._prepared)
            self._libpq.send_prepare(name, text, values.types)
            self._answers()
            self._prepared[key] = name
        self._libpq.send_query_prepared(name, given, values.formats)

    def _answers(self) -> PGresult | None:
        """Wait for all that a statement gives; the last of it."""
        from psycopg.errors import error_from_result

        libpq, last, error = self._libpq, None, None
        if libpq.flush():
            self._send_rest()
        while True:
            while libpq.is_busy():
                self._reading.poll()
                libpq.consume_input()
            answer = libpq.get_result()
            if answer is None:
                break
            if answer.status == self._is_error:
                error = error or error_from_result(answer)
            last = answer
        if error is not None:
            raise error
        return last

    def _send_rest(self) -> None:
        """Send what did not fit into the buffers of the system; the server may want to be heard meanwhile."""
        both = select.poll()
        both.register(self._libpq.socket, select.POLLIN | select.POLLOUT)
        while self._libpq.flush():
            if any(event & ~select.POLLOUT for _, event in both.poll()):
                self._libpq.consume_input()

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> Cursor:
        """Run one statement for each row, without waiting for each."""
        cursor = self._raw.cursor()
        cursor.executemany(sql.encode(), parameters)
        return _Answer(self._values, None)

    def close(self) -> None:
        """Give the connection back."""
        self._raw.close()

    def is_quiet(self) -> bool:
        """Whether it can be used: a server that ends a connection says so, unasked."""
        return not self.lost and not self._reading.poll(0)

    def hear(self, channel: str, timeout: float) -> None:
        """Return when a channel on which this connection listens is notified, or after some time [s]."""
        until = time.monotonic() + timeout
        while channel not in self._heard and (left := until - time.monotonic()) > 0:
            if self._reading.poll(left * 1000):
                self._take_in()
        self._heard.discard(channel)

    def wake(self) -> None:
        """Let the thread that waits for something go on: the connection is lost then. Any thread may call it."""
        import psycopg

        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self._raw.fileno())) as copy:
            copy.shutdown(socket.SHUT_RDWR)

    def _take_in(self) -> None:
        self._libpq.consume_input()
        while (notice := self._libpq.notifies()) is not None:
            self._heard.add(notice.relname.decode())


class _Answer:
    """What a statement gave; nothing, where it gives no rows."""

    def __init__(self, values: Any, answer: PGresult | None) -> None:
        self._values = values
        self._answer = answer

    def fetchall(self) -> list[Any]:
        """Take all rows."""
        answer = self._answer
        if answer is None or not answer.ntuples:
            return []
        self._values.set_pgresult(answer)
        rows: list[Any] = self._values.load_rows(0, answer.ntuples, tuple)
        return rows


@lru_cache(maxsize=1024)
def _numbered(sql: str) -> tuple[bytes, tuple[str, ...]]:
    """A statement with numbers instead of names for its parameters, and the names in that order."""
    names: dict[str, int] = {}

    def numbered(found: re.Match[str]) -> str:
        return f"${names.setdefault(found[1], len(names) + 1)}" if found[1] else "%"

    return _PARAMETER.sub(numbered, sql).encode(), tuple(names)
