"""Starts the processes of commands, waits for them, and sees that nothing of them is left alive."""

from __future__ import annotations

import errno
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from daskflow.errors import CommandFailed, CommandMissing

_GRACE = 1.0
"""Between SIGTERM and SIGKILL [s]."""
_PATIENCE = 5.0
"""A process that SIGKILL does not end in this time hangs in the kernel [s]."""
_ABSENT = {errno.ENOENT, errno.EACCES, errno.ENOTDIR, errno.ELOOP, errno.ENOEXEC, errno.ENAMETOOLONG}
_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""In what `resource` counts memory [bytes]."""
_ERROR = 1.05
"""The kernel counts the memory of two processes that share it alike up to this factor."""


class Launch(NamedTuple):
    """How a process is started."""

    argv: list[str]
    """Program and arguments."""
    workdir: Path
    """Where it runs."""
    env: dict[str, str]
    """All its variables."""
    own: dict[str, str]
    """Those of `env` that are not simply the worker's: what a container has to be told."""
    stop: Callable[[], object] | None = None
    """Called when it was killed: stops what does not descend from its process, such as a container's."""
    image: str | None = None
    """Image of its container, where the command itself names one; empty: none."""
    mounts: Mapping[str, str] = {}
    """What of the scratch directory its container shows elsewhere too: paths there, by paths in the container."""


class Watch:
    """Waits for processes; others can look on.

    Parameters
    ----------
    look
        Called now and then with the ids of the processes that are waited for; raises to stop them.
    every
        How often it is called [s]; None: only when the bell rings.
    bell
        A descriptor that can be read from when it is to be called at once.
    """

    def __init__(
        self,
        look: Callable[[Sequence[int]], object] | None = None,
        *,
        every: float | None = None,
        bell: int | None = None,
    ) -> None:
        self._look = look
        self._every = every
        self._bell = bell

    def wait(self, pids: Sequence[int], deadline: float) -> int | None:
        """Wait for the first of some processes to end; it stays a zombie, whose exit code is to be asked for.

        Parameters
        ----------
        deadline
            Until when, on the clock of `time.monotonic` [s]; may be infinite.

        Returns
        -------
        int or None
            Id of the process; None: none of them has ended in time.
        """
        with _ends(pids) as ends:
            bells = [] if self._bell is None else [self._bell]
            while True:
                if self._look is not None:
                    self._look(pids)
                now = time.monotonic()
                due = deadline if self._every is None or self._look is None else min(deadline, now + self._every)
                ready = _poll([*ends, *bells], due - now) if ends else []
                ended = (
                    [ends[descriptor] for descriptor in ready if descriptor in ends] if ends else _ask(pids, due - now)
                )
                if ended or time.monotonic() >= deadline:
                    return ended[0] if ended else None
                # It goes on ringing.
                bells = [bell for bell in bells if bell not in ready]


class Process:
    """A process that was started for a command, with the group that it leads.

    Parameters
    ----------
    launch
        How it is started.
    streams
        Descriptors of its standard input, output and error.

    Raises
    ------
    CommandMissing
        There is no such program.
    CommandFailed
        It cannot be started.
    """

    def __init__(self, launch: Launch, streams: tuple[int, int, int]) -> None:
        self.memory = 0
        """Peak memory as far as it was seen [bytes]."""
        self.cpu = 0.0
        """CPU time, when it has ended [s]."""
        self._launch = launch
        self._start(launch, streams)

    def look(self) -> None:
        """See how much memory it uses, with what descends from it."""
        self.memory = max(self.memory, _memory(self.pid))

    def end(self) -> int:
        """Ask for its exit code after it ended, and kill what it left behind; negative: the signal that ended it."""
        # Its id stays taken until it was waited for: no other group can bear it.
        with suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)
        return self._reap(0)

    def kill(self, kill: Callable[[int], object]) -> int:
        """Kill it with all that descends from it; its exit code, 0 where it hangs in the kernel."""
        try:
            kill(self.pid)
        finally:
            with suppress(OSError):
                os.killpg(self.pid, signal.SIGKILL)
            gone = Watch().wait([self.pid], time.monotonic() + _PATIENCE) is not None
            code = self._reap(0 if gone else os.WNOHANG)
            if self._launch.stop is not None:
                self._launch.stop()
        return code

    def _start(self, launch: Launch, streams: tuple[int, int, int]) -> None:
        stdin, stdout, stderr = streams
        try:
            self._popen = subprocess.Popen(
                launch.argv,
                cwd=launch.workdir,
                env=launch.env,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                process_group=0,
            )
        except (OSError, ValueError) as error:
            raise _not_started(launch, error) from None
        # The kernel counts the memory of this process as that of the new one, which shared it until it executed.
        self._shared = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_UNIT * _ERROR
        self.pid = self._popen.pid
        """Its id, and that of its group."""

    def _reap(self, options: int) -> int:
        pid, status, used = os.wait4(self.pid, options)
        code = os.waitstatus_to_exitcode(status) if pid else 0
        # Else it would be asked for again, and warned of.
        self._popen.returncode = code
        self.cpu = used.ru_utime + used.ru_stime
        peak = used.ru_maxrss * _MAXRSS_UNIT
        if peak > self._shared:
            self.memory = max(self.memory, peak)
        return code


def kill_group(pid: int) -> None:
    """Kill the group that a process leads: by SIGTERM first, and what is left after a second by SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGCONT):
        with suppress(OSError):
            os.killpg(pid, number)
    Watch().wait([pid], time.monotonic() + _GRACE)
    with suppress(OSError):
        os.killpg(pid, signal.SIGKILL)


def _not_started(launch: Launch, error: OSError | ValueError) -> CommandMissing | CommandFailed:
    program = launch.argv[0]
    if not launch.workdir.is_dir():
        return CommandFailed(f"{program!r} cannot be started: its working directory {launch.workdir} is gone.")
    if isinstance(error, OSError) and error.errno in _ABSENT:
        return CommandMissing(
            f"{program!r} cannot be started: {error.strerror}. Look whether the program is installed on the site, and "
            "in the PATH of its workers."
        )
    if isinstance(error, OSError) and error.errno == errno.E2BIG:
        return CommandFailed(
            f"{program!r} cannot be started: its arguments and variables are too long. Write them into an input file."
        )
    return CommandFailed(f"{program!r} cannot be started: {getattr(error, 'strerror', None) or error}.")


@contextmanager
def _ends(pids: Sequence[int]) -> Iterator[dict[int, int]]:
    """Descriptors that can be read from when processes have ended; none on systems that have no such thing."""
    found: dict[int, int] = {}
    try:
        with suppress(AttributeError, OSError):
            for pid in pids:
                found[os.pidfd_open(pid)] = pid
        yield found if len(found) == len(pids) else {}
    finally:
        for descriptor in found:
            os.close(descriptor)


def _poll(descriptors: Sequence[int], seconds: float) -> list[int]:
    """Those that can be read from, after some time at most [s]."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    # Longer than a day is as good as for ever, and no overflow.
    return [descriptor for descriptor, _ in poll.poll(max(0, 1e3 * min(seconds, 86400.0)))]


def _ask(pids: Sequence[int], seconds: float) -> list[int]:
    """Those that have ended, after some time at most [s], where no descriptor tells of it."""
    deadline = time.monotonic() + min(seconds, _GRACE)
    while True:
        ended = [pid for pid in pids if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None]
        if ended or time.monotonic() >= deadline:
            return ended
        time.sleep(0.002)


def _memory(pid: int) -> int:
    """Peak of the largest, or sum of all that descend from a process, whichever is more [bytes]; Linux only."""
    peak = total = 0
    todo = [pid]
    while todo:
        found = todo.pop()
        with suppress(OSError, ValueError):
            with open(f"/proc/{found}/status", "rb") as file:
                fields = dict(line.split(b":", 1) for line in file if line.startswith(b"Vm"))
            if b"VmHWM" in fields:
                peak = max(peak, int(fields[b"VmHWM"].split()[0]))
                total += int(fields[b"VmRSS"].split()[0])
            for thread in os.listdir(f"/proc/{found}/task"):
                with open(f"/proc/{found}/task/{thread}/children", "rb") as file:
                    todo.extend(map(int, file.read().split()))
    return 1024 * max(peak, total)
