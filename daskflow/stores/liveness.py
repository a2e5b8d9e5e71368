"""Tells whether the driver of a run is still there."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from pathlib import Path

from daskflow.model.records import RunRecord

SILENCE = 60.0
"""A driver that has not said for this long that it lives may be gone [s]."""

_START_TICKS = 19
"""Place of the start time among the fields that `_status` gives."""


def this_host() -> str:
    """The name under which a driver on this machine is recorded."""
    return os.uname().nodename


def is_gone(record: RunRecord, now: float, uptime: Callable[[], float] = lambda: math.inf) -> bool:
    """Whether a run without a final state has lost its driver.

    Parameters
    ----------
    record
        The run as it is stored.
    now
        Seconds since the epoch [s].
    uptime
        How long the store has been up without a break [s]: nobody could say to it before that they live.

    Notes
    -----
    On the driver's own machine its process is looked for; from another one, a heartbeat older than
    `SILENCE` decides. A run whose driver never made itself known is not gone.
    """
    if record.state.final or not record.host:
        return False
    silent = now - _last_sign(record) > SILENCE and uptime() > SILENCE
    if record.host != this_host():
        return silent
    if not _lives(record.pid):
        return True
    # The number may belong to another process by now; only a silent run is suspected of that.
    return silent and _began(record.pid) > (record.started or record.created) + SILENCE


def may_be_cut_off(record: RunRecord, now: float, patience: float) -> bool:
    """Whether the driver of a run that reads as interrupted may live: far away, and for some time without the store.

    Parameters
    ----------
    record
        The run as it is stored, or as it reads.
    now
        Seconds since the epoch [s].
    patience
        For so long a driver waits for the store [s]; it then interrupts the run by itself.
    """
    silent = now - _last_sign(record) > SILENCE + patience
    return record.stopped is None and record.host not in ("", this_host()) and not silent


def _last_sign(record: RunRecord) -> float:
    return max(record.heartbeat or 0.0, record.started or 0.0, record.created)


def _lives(pid: int) -> bool:
    """Whether there is such a process, and it is not a zombie."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    fields = _status(pid)
    return not fields or fields[0] not in "ZX"


def _began(pid: int) -> float:
    """When a process began, in seconds since the epoch [s]; before all time where that is not known."""
    fields = _status(pid)
    try:
        booted = time.time() - float(Path("/proc/uptime").read_text().split()[0])
        return booted + int(fields[_START_TICKS]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return float("-inf")


def _status(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat from the state on; empty where there is none.

    References
    ----------
    https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return []
    # The second field is the program's name in brackets, which may itself hold blanks and brackets.
    return text.rpartition(")")[2].split()
