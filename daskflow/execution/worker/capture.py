"""Captures what a job logs and prints, apart from what other jobs of the same process do.

Each thread of a worker writes one file, in which the logs of its jobs follow each other. Every line is written at
once, so that it is there even if the process is killed.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Any

from daskflow.model.outcome import LogSlice

HOST = socket.gethostname()

_LINE = 500
"""Of the last lines of a log so many bytes each are read [bytes]."""

_local = threading.local()


class Log:
    """The log of one attempt; makes no file as long as nothing is written."""

    __slots__ = ("_directory", "_file", "_start")

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._file: _ThreadFile | None = None
        self._start = 0

    @property
    def directory(self) -> str:
        """Where the logs of the run lie; empty where none are kept."""
        return self._directory

    def write(self, text: str) -> None:
        """Append text."""
        self.share()
        if self._file is not None:
            self._file.write(text)

    def share(self) -> None:
        """Open the file now, so that a forked process writes to it too."""
        if self._file is None and self._directory:
            self._file = _thread_file(self._directory)
            self._start = self._file.size

    def catch_up(self) -> None:
        """Take note of what a forked process has written."""
        if self._file is not None:
            self._file.catch_up()

    def tail(self, lines: int) -> str:
        """The last lines that were written; empty where nothing was."""
        where = self.slice()
        if where is None:
            return ""
        start = max(where.start, where.stop - lines * _LINE)
        return "\n".join(read_log(Path(self._directory), where.file, start, where.stop).splitlines()[-lines:])

    def slice(self) -> LogSlice | None:
        """Where the log lies; None when nothing was written."""
        if self._file is None or self._file.size == self._start:
            return None
        return LogSlice(self._file.name, self._start, self._file.size)


class _ThreadFile:
    """The log file of this thread, for one run."""

    _descriptor = -1

    def __init__(self, directory: str) -> None:
        Path(directory).mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.name = f"{HOST}-{os.getpid()}-{threading.get_native_id()}.log"
        self._descriptor = os.open(
            os.path.join(directory, self.name), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644
        )
        self.catch_up()

    def catch_up(self) -> None:
        self.size = os.fstat(self._descriptor).st_size

    def write(self, text: str) -> None:
        self.size += os.write(self._descriptor, text.encode(errors="backslashreplace"))

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)


def _thread_file(directory: str) -> _ThreadFile:
    found: _ThreadFile | None = getattr(_local, "file", None)
    if found is None or found.directory != directory:
        found = _local.file = _ThreadFile(directory)
    return found


CURRENT_LOG: ContextVar[Log | None] = ContextVar("daskflow_log", default=None)


class _Stream:
    """Stands in for sys.stdout or sys.stderr: what a job writes goes to its log, all else where it went before."""

    def __init__(self, original: IO[str]) -> None:
        self.original = original

    def write(self, text: str) -> int:
        log = CURRENT_LOG.get()
        if log is None:
            return self.original.write(text)
        log.write(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        self.write("".join(lines))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.original, name)


class _Handler(logging.Handler):
    """Writes log records of jobs to their logs."""

    def emit(self, record: logging.LogRecord) -> None:
        log = CURRENT_LOG.get()
        if log is not None:
            log.write(self.format(record) + "\n")
        elif len(logging.root.handlers) == 1 and logging.lastResort and record.levelno >= logging.lastResort.level:
            # With no other handler logging would have printed warnings; that this one is there must not hush them.
            logging.lastResort.handle(record)


_HANDLER = _Handler()
_HANDLER.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
_lock = threading.Lock()
_users = 0


def begin() -> None:
    """Capture from now on; every call needs its `end`."""
    global _users
    with _lock:
        _users += 1
        if _users == 1:
            sys.stdout, sys.stderr = _Stream(sys.stdout), _Stream(sys.stderr)
            logging.root.addHandler(_HANDLER)


def end() -> None:
    """Put everything back as it was, once the last user ends."""
    global _users
    with _lock:
        _users -= 1
        if _users == 0:
            logging.root.removeHandler(_HANDLER)
            for name in ("stdout", "stderr"):
                stream = getattr(sys, name)
                if isinstance(stream, _Stream):  # else somebody has replaced it meanwhile
                    setattr(sys, name, stream.original)


@contextmanager
def capturing() -> Iterator[None]:
    """Capture within a block."""
    begin()
    try:
        yield
    finally:
        end()


def read_log(directory: Path, file: str, start: int, stop: int) -> str:
    """The text of one log; empty when its file is gone."""
    try:
        with open(directory / file, "rb") as stream:
            stream.seek(start)
            return stream.read(stop - start).decode(errors="replace")
    except FileNotFoundError:
        return ""
