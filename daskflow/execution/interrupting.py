"""What Ctrl-C does to a program that executes a run: the first one stops the run, another one ends the program."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interruptible() -> Iterator[None]:
    """Within the block the first Ctrl-C raises `KeyboardInterrupt`, and the next one ends the process.

    Notes
    -----
    A second `KeyboardInterrupt` would meet the code that stops the run, at any line, also where it holds a lock. In a
    notebook or at a prompt, where people press Ctrl-C again and want to go on, nothing is changed; nor where the
    program handles the signal itself.
    """
    if not _ours():
        yield
        return
    signal.signal(signal.SIGINT, _stop)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) in (_stop, signal.SIG_DFL):
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _ours() -> bool:
    """Whether this is the main thread of a program that leaves Ctrl-C to Python."""
    if threading.current_thread() is not threading.main_thread():
        return False
    if hasattr(sys, "ps1") or not hasattr(sys.modules["__main__"], "__file__"):
        return False
    return signal.getsignal(signal.SIGINT) is signal.default_int_handler


def _stop(signum: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    raise KeyboardInterrupt
