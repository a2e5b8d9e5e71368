"""Sees that commands do not outlive the worker that started them."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from daskflow.commands import strays


class Guard:
    """Tells a program beside this process which scratch directories are in use.

    Notes
    -----
    The program reads from a pipe whose other end only this process has: however it dies, the kernel closes it, and the
    program kills what is left. One program serves all commands of a process; it is started with the first of them, and
    again if it was killed itself. Not the parent's death signal of Linux: that reaches the shell of a line, but none of
    what the shell has started.
    """

    def __init__(self) -> None:
        self._pipe = self._program = -1
        self._reset()

    @contextmanager
    def guarding(self, scratch: Path) -> Iterator[None]:
        """Guard the commands of a scratch directory within a block."""
        path = os.fsencode(scratch)
        with self._lock:
            self._used.add(path)
            self._tell(b"+" + path)
        try:
            yield
        finally:
            with self._lock:
                self._used.discard(path)
                self._tell(b"-" + path)

    def close(self) -> None:
        """Let go of the program, which ends; what is guarded now is dead then."""
        with self._lock:
            if self._pipe >= 0:
                os.close(self._pipe)
                os.waitpid(self._program, 0)
            self._pipe = -1

    def forget(self) -> None:
        """Begin anew in a forked process; the program serves the other one."""
        if self._pipe >= 0:
            os.close(self._pipe)
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._used: set[bytes] = set()
        self._pipe = -1

    def _tell(self, text: bytes) -> None:
        try:
            if self._pipe >= 0:
                os.write(self._pipe, text + b"\0")
                return
        except BlockingIOError:  # the program was stopped
            return
        except BrokenPipeError:
            os.close(self._pipe)
            self._pipe = -1
            with suppress(ChildProcessError):
                os.waitpid(self._program, 0)
        # Where nothing more can be started the commands are unguarded, if they can be started themselves.
        with suppress(OSError):
            self._start()

    def _start(self) -> None:
        reader, self._pipe = os.pipe()
        os.set_blocking(self._pipe, False)
        null = [(os.POSIX_SPAWN_OPEN, descriptor, os.devnull, os.O_WRONLY, 0) for descriptor in (1, 2)]
        try:
            self._program = os.posix_spawn(
                sys.executable,
                [sys.executable, "-I", "-S", strays.__file__],
                os.environ,
                file_actions=[(os.POSIX_SPAWN_DUP2, reader, 0), *null],
                setpgroup=0,
            )
        except OSError:
            os.close(self._pipe)
            self._pipe = -1
            raise
        finally:
            os.close(reader)
        for path in self._used:
            os.write(self._pipe, b"+" + path + b"\0")


GUARD = Guard()
"""That of this process."""
os.register_at_fork(after_in_child=GUARD.forget)
