"""Forks this process so that the child can go on: with its own signals, and no import of another thread half done."""

from __future__ import annotations

import _imp
import contextlib
import gc
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from daskflow.sites.processes import adopt

_SIGNALS = {signal.SIGTERM, signal.SIGINT}
_PATIENCE = 120.0
"""An import that takes longer is not waited for [s]."""
_LOOK = 0.002
"""How often it is looked whether imports have ended [s]."""


def fork(serve: Callable[[], NoReturn]) -> int:
    """Fork; the child leads a group of its own and adopts what descends from it.

    Parameters
    ----------
    serve
        Executed by the child.

    Returns
    -------
    int
        Id of the child.

    Notes
    -----
    Of the threads only this one goes on in the child. What others hold there is held for ever: Python sees to its own
    locks but for those of modules, which are waited for here. Locks within libraries are not known to anybody.
    """
    # Signals wait until the child has left the group of its parent and has handlers of its own: those that it
    # inherits would tell the parent that it was signalled itself.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        with _no_import(), warnings.catch_warnings():
            # Python 3.12 warns of locks that threads of the parent hold; whoever waits for one meets the timeout.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            _settle_in(before)
            serve()
        _lead_group(pid)
        return pid
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _no_import() -> Iterator[None]:
    """Within the block no other thread imports."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        # With this lock no import can begin.
        _imp.acquire_lock()
        if not _importing() or time.monotonic() > deadline:
            break
        _imp.release_lock()
        time.sleep(_LOOK)
    try:
        yield
    finally:
        _imp.release_lock()


def _importing() -> bool:
    """Whether another thread imports: each module has a lock as long as somebody does."""
    locks: dict[str, Callable[[], Any]] = getattr(sys.modules["_frozen_importlib"], "_module_locks", {})
    held = [lock for reference in list(locks.values()) if (lock := reference()) is not None]
    return any(lock.owner != threading.get_ident() for lock in held)


def _settle_in(mask: Any) -> None:
    # What is garbage in the parent is the parent's to collect: here its finalizers would end what they do not own, and
    # the memory it held, which counts as shared, would be taken up again without being noticed.
    gc.freeze()
    _lead_group(0)
    adopt()
    signal.set_wakeup_fd(-1)
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask - _SIGNALS)


def _lead_group(pid: int) -> None:
    # Parent and child both say it: whoever comes first, the group is there when the parent may want to kill it.
    with contextlib.suppress(OSError):  # the child is gone already, or has made a session of its own
        os.setpgid(pid, 0)
