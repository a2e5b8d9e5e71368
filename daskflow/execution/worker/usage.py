"""Measures what attempts use: CPU time and peak memory."""

from __future__ import annotations

import os
import resource
import sys
import threading
import time

MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""In what `resource` counts memory [bytes]."""

_lock = threading.Lock()
_active = 0


def _begin_anew() -> None:
    """In a forked process nothing is performed yet, and nobody will open the lock that another thread held."""
    global _lock, _active
    _lock, _active = threading.Lock(), 0


os.register_at_fork(after_in_child=_begin_anew)


class Usage:
    """CPU time and peak memory of the attempts of one package.

    Parameters
    ----------
    beyond
        Memory that was there before, in a process that was forked [bytes]; it does not count.

    Notes
    -----
    As long as one package is performed in the process, CPU time is that of the whole process, threads of numerical
    libraries included; else that of the calling thread. Peak memory is that of the attempt's
    own processes where it had some, else that of this process. The latter is read once for many short attempts, since
    reading it takes as long as they do.

    References
    ----------
    https://man7.org/linux/man-pages/man5/proc_pid_clear_refs.5.html: writing 5 resets the peak resident set size.
    """

    def __init__(self, *, beyond: int = 0) -> None:
        self._beyond = beyond
        self._memory = 0
        self._read = 0.0
        self._cpu = 0.0
        self._clock = time.thread_time
        self._children: tuple[float, int] | None = None

    def begin(self) -> None:
        """An attempt begins."""
        global _active
        with _lock:
            _active += 1
            alone = _active == 1
        self._children = None
        self._clock = time.process_time if alone else time.thread_time
        if alone and time.monotonic() - self._read > 0.05:
            _reset_peak()
        self._cpu = self._clock()

    def add(self, cpu: float, memory: int) -> None:
        """Count in what a child process of the attempt used: CPU time [s] and peak memory [bytes]."""
        before = self._children or (0.0, 0)
        self._children = (before[0] + cpu, max(before[1], memory))

    def end(self) -> tuple[float, int]:
        """An attempt ended: its CPU time [s] and peak memory [bytes]: of its child processes, or of this one."""
        global _active
        cpu = self._clock() - self._cpu
        with _lock:
            _active -= 1
        if self._children is not None:
            return cpu + self._children[0], self._children[1]
        now = time.monotonic()
        if now - self._read > 0.05:
            self._memory, self._read = max(0, peak_memory() - self._beyond), now
        return cpu, self._memory


def _reset_peak() -> None:
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:  # not Linux, or not allowed: the peak is that of the process's whole life
        pass


def peak_memory() -> int:
    """Peak resident memory of this process since the latest reset [bytes]."""
    try:
        with open("/proc/self/status") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT
