"""Waiting in tests: for a condition, never for a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

_NEVER = threading.Event()


def until(condition: Callable[[], object], patience: float = 60.0) -> None:
    """Wait until a condition holds.

    Raises
    ------
    AssertionError
        It did not within `patience` [s].
    """
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        _NEVER.wait(0.005)


def alive(pid: int) -> bool:
    """Whether a process is there; a zombie is dead."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return text.rpartition(")")[2].split()[0] not in "ZX"
