"""Trees of processes: who descends from whom, how much memory they use, and how nothing of them is left alive."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from psutil import Process

_PATIENCE = 5.0
"""A process that SIGKILL does not end in this time hangs in the kernel [s]."""
_LOOK = 0.02
"""How often a dying tree is looked at [s]."""
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


class Resident(NamedTuple):
    """The memory that a process has."""

    own: int
    """What the kernel cannot drop: pages of its own, and of shared memory [bytes]."""
    files: int
    """Pages of mapped files, which it can [bytes]."""


class ProcessTree:
    """A process and all that descend from it, those with sessions of their own included.

    Parameters
    ----------
    pid
        Id of the root. It may be gone already.

    Notes
    -----
    A process whose parent has ended is known only if somebody looked before, or if the root adopts orphans (`adopt`).
    Ids that were given to other processes meanwhile are never mistaken.
    """

    def __init__(self, pid: int) -> None:
        from psutil import NoSuchProcess, Process

        self._known: dict[int, Process] = {}
        with contextlib.suppress(NoSuchProcess):
            self._known[pid] = Process(pid)
        self._root = self._known.get(pid)

    def look(self) -> list[Process]:
        """Those that are alive now, the root first; zombies are dead."""
        for process in [process for process in self._known.values() if _alive(process)]:
            for kin in _descendants(process):
                self._known.setdefault(kin.pid, kin)
            if process is self._root:
                break
        return [process for process in self._known.values() if _alive(process)]

    def residents(self) -> list[Resident]:
        """What memory each of those has that are alive now."""
        return [_resident(process) for process in self.look()]

    def memory(self, *, precise: bool = False) -> int:
        """Memory of its own that the tree uses, shared memory included: what the kernel cannot drop [bytes].

        Parameters
        ----------
        precise
            Count pages that processes share only once: slower by much.
        """
        if not precise:
            return sum([resident.own for resident in self.residents()])
        divided = apart = 0
        for process in self.look():
            alone, part = _parts(process)
            divided += part
            apart += _resident(process).own if process is self._root else alone
        # The first is too little where others than the tree have the same pages, as the process has that forked it;
        # the second where descendants share what the root has not.
        return max(divided, apart)

    def kill(self, grace: float) -> bool:
        """Kill everything: by SIGTERM first, and what is left after some time by SIGKILL.

        Parameters
        ----------
        grace
            Time between both [s]; 0: SIGKILL at once.

        Returns
        -------
        bool
            Whether all are gone. What hangs in the kernel, for instance on a dead file server, is not.
        """
        if grace:
            _signal(self.look(), signal.SIGTERM)
            if self.wait(grace):
                return True
        deadline = time.monotonic() + _PATIENCE
        while left := self.look():
            if time.monotonic() > deadline:
                return False
            _signal(left, signal.SIGKILL)
            time.sleep(_LOOK / 4)
        return True

    def wait(self, patience: float) -> bool:
        """Wait until all are gone, at most for some time [s]; returns whether they are."""
        # Not `psutil.wait_procs`: it would reap children whose exit code somebody else waits for.
        deadline = time.monotonic() + patience
        while self.look():
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOOK)
        return True


def own_memory(process: Process) -> int:
    """Memory of a process without mapped files and shared memory [bytes]."""
    from psutil import Error

    try:
        found = process.memory_info()
    except Error:  # it ended meanwhile, or runs as somebody else
        return 0
    return int(found.rss - getattr(found, "shared", 0))


def adopt() -> None:
    """Become the parent of descendants whose parents end, and end with the thread that forked this process.

    Linux only; elsewhere nothing happens.

    References
    ----------
    https://man7.org/linux/man-pages/man2/prctl.2.html
    """
    adopt_orphans()
    end_with_parent()


def adopt_orphans() -> None:
    """Become the parent of descendants whose parents end; Linux only."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end_with_parent() -> None:
    """End with the thread that forked this process; Linux only."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _prctl(option: int, argument: int) -> None:
    prctl = getattr(_LIBC, "prctl", None)
    if prctl is not None:
        prctl(option, *map(ctypes.c_ulong, (argument, 0, 0, 0)))


def has_children() -> bool:
    """Whether this process has children, dead ones that nobody waited for included."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def kill_descendants(since: float) -> None:
    """Kill the descendants of this process that were started since some time; Linux only.

    Parameters
    ----------
    since
        Seconds since the machine was started [s].
    """
    for process in ProcessTree(os.getpid()).look()[1:]:
        if start_of(process.pid) >= since - 1 / _TICKS:
            ProcessTree(process.pid).kill(0.0)


def start_of(pid: int) -> float:
    """When a process was started, on the clock `BOOTTIME` [s]; unlike psutil's, no change of the time of day moves it.

    0 where there is no such process, and outside of Linux.

    References
    ----------
    https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[19]) / _TICKS
    except OSError:
        return 0.0


BOOTTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""The clock that counts from the start of the machine."""
_TICKS = os.sysconf("SC_CLK_TCK")
_LIBC = ctypes.CDLL(None)
"""Loaded at import: a forked process can only call what was loaded before."""


def _descendants(process: Process) -> list[Process]:
    from psutil import Error

    try:
        found: list[Process] = process.children(recursive=True)
    except Error:
        return []
    return found


def _resident(process: Process) -> Resident:
    from psutil import Error

    found = _fields(process.pid, "status")
    if "RssAnon" in found:
        return Resident(found["RssAnon"] + found["RssShmem"], found["RssFile"])
    # Not Linux, or before 4.5.
    try:
        seen = process.memory_info()
    except Error:
        return Resident(0, 0)
    shared = int(getattr(seen, "shared", 0))
    return Resident(int(seen.rss) - shared, shared)


def _parts(process: Process) -> tuple[int, int]:
    """Of a process's own memory [bytes]: what it shares with no other; and all, where a page of n processes is 1/n.

    References
    ----------
    https://docs.kernel.org/filesystems/proc.html
    """
    from psutil import Error

    found = _fields(process.pid, "smaps_rollup")
    if "Pss_Anon" in found:
        part = found["Pss_Anon"] + found["Pss_Shmem"]
        # Pages of files are hardly ever dirty.
        return min(part, found["Private_Dirty"]), part
    own = _resident(process).own
    try:
        return min(own, process.memory_full_info().uss), 0
    except Error:  # what it shares is nobody's business
        return own, 0


def _fields(pid: int, name: str) -> dict[str, int]:
    """The quantities of memory that a file in /proc tells of a process [bytes]; none where it tells nothing."""
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            words = [line.split() for line in file]
    except OSError:
        return {}
    return {
        word[0].rstrip(b":").decode(): 1024 * int(word[1])
        for word in words
        if len(word) == 3 and word[2] == b"kB" and word[1].isdigit()
    }


def _alive(process: Process) -> bool:
    from psutil import STATUS_DEAD, STATUS_ZOMBIE, Error

    try:
        return process.is_running() and process.status() not in (STATUS_ZOMBIE, STATUS_DEAD)
    except Error:
        return False


def _signal(processes: list[Process], number: int) -> None:
    from psutil import Error

    for process in processes:
        try:
            process.send_signal(number)
        except Error:  # gone, or it runs as somebody else
            continue
