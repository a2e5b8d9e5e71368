"""Grips: by which what this process performs can be stopped from another thread.

A node that is performed is in one of three places: in the user's code in this thread, where an exception can be raised
from outside; in a child process, which can be killed; or in daskflow itself, which looks now and then whether it was
killed. Whoever holds the grip need not know which.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from daskflow.sites.channel import CURRENT_CHANNEL, Channel
from daskflow.sites.processes import BOOTTIME, kill_descendants

PATIENCE = 3.0
"""A node is dead in this time after it was killed, or cannot be killed from here [s]."""
_IN_THREAD = 1.0
"""Code in a thread that does not end in this time does not listen: it is compiled, or waits for something [s]."""
_AGAIN = 0.25
"""Code that catches what kills it is killed again after this time [s]."""
_REMEMBERED = 10000
"""So many killed nodes are remembered, in case that they begin only now."""

_lock = threading.Lock()
_grips: dict[str, Grip] = {}
_doomed: dict[str, None] = {}


def _unlock() -> None:
    # A thread that does not exist in the fork may have held it.
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_unlock)


class Killed(BaseException):
    """What is performed here was killed. No `Exception`: the user's code is not to take it for one of its own."""


class Grip:
    """The grip of one node, or one bundle, that a thread performs.

    Parameters
    ----------
    key
        Key of the node.

    Notes
    -----
    Made and used by the performing thread; `kill` is called by others.
    """

    __slots__ = ("_alarm", "_exposed", "_killed", "_thread", "done", "key", "started")

    def __init__(self, key: str) -> None:
        self.key = key
        self.done = threading.Event()
        """Set when nothing of it is alive any more."""
        self.started = time.clock_gettime(BOOTTIME)
        """Seconds since the machine was started [s]."""
        self._killed = threading.Event()
        self._thread = threading.get_ident()
        self._exposed = False
        self._alarm: Callable[[], object] | None = None

    @property
    def killed(self) -> bool:
        """Whether somebody killed it."""
        return self._killed.is_set()

    @property
    def own(self) -> bool:
        """Whether the thread that asks is the one that performs."""
        return self._thread == threading.get_ident()

    @property
    def exposed(self) -> bool:
        """Whether the user's code is at work in the thread now."""
        return self._exposed

    def check(self) -> None:
        """Go no further when it was killed.

        Raises
        ------
        Killed
            It was.
        """
        if self._killed.is_set():
            raise Killed(self.key)

    def pause(self, seconds: float) -> None:
        """Sleep [s].

        Raises
        ------
        Killed
            It was killed meanwhile.
        """
        self._killed.wait(seconds)
        self.check()

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call the user's code in this thread.

        Raises
        ------
        Killed
            It was killed meanwhile; raised at whatever line the code was.
        """
        try:
            with _lock:
                self.check()
                self._exposed = True
            try:
                value = function(*arguments)
            finally:
                self._cover()
        except Killed:
            # It may have come between the end of the code and that of `_cover`; the next one comes much later.
            self._cover()
            raise
        self.check()
        return value

    def _cover(self) -> None:
        while True:
            try:
                with _lock:
                    self._exposed = False
                    _raise_in(self._thread, None)
            except Killed:
                continue
            return

    @contextmanager
    def alarm(self, ring: Callable[[], object]) -> Iterator[None]:
        """Have a function called when it is killed within a block; called from the killer's thread, returns at once.

        Raises
        ------
        Killed
            It was killed already.
        """
        with _lock:
            self.check()
            self._alarm = ring
        try:
            yield
        finally:
            with _lock:
                self._alarm = None

    def kill(self) -> None:
        """Stop it, as far as it can be stopped from here; returns at once."""
        with _lock:
            self._killed.set()
            if self._exposed:
                _raise_in(self._thread, Killed)
            if self._alarm is not None:
                self._alarm()


CURRENT_GRIP: ContextVar[Grip | None] = ContextVar("daskflow_grip", default=None)
"""Set by a site around what it performs."""


@contextmanager
def gripping(key: str, channel: Channel, *, sweep: bool = False) -> Iterator[Grip]:
    """What a site sets up around what it performs: the grip, and the channel of the run.

    Parameters
    ----------
    sweep
        Whether this process is the site's own: then what a killed node has started is killed too, unless others are
        performed beside it, whose it might be.
    """
    grip = Grip(key)
    with _lock:
        _grips[key] = grip
        if key in _doomed:
            grip._killed.set()
    tokens = CURRENT_GRIP.set(grip), CURRENT_CHANNEL.set(channel)
    try:
        yield grip
    finally:
        CURRENT_GRIP.reset(tokens[0])
        CURRENT_CHANNEL.reset(tokens[1])
        with _lock:
            if _grips.get(key) is grip:
                del _grips[key]
            alone = not _grips
        if sweep and alone and grip.killed:
            kill_descendants(grip.started)
        grip.done.set()


def kill_here(keys: Collection[str]) -> set[str]:
    """Kill nodes that this process performs; those that it begins later end as they begin.

    Returns
    -------
    set
        Those that are alive all the same, after at most `PATIENCE`.
    """
    grips = condemn(keys)
    start = time.monotonic()
    while left := [grip for grip in grips if not grip.done.is_set()]:
        for grip in left:
            grip.kill()
        passed = time.monotonic() - start
        waiting = [grip for grip in left if not grip.own and passed < (_IN_THREAD if grip.exposed else PATIENCE)]
        if not waiting:
            break
        waiting[0].done.wait(_AGAIN)
    return {grip.key for grip in left}


def condemn(keys: Collection[str]) -> list[Grip]:
    """Remember that nodes are killed, so that they end as they begin; the grips of those that are performed now."""
    with _lock:
        _doomed.update(dict.fromkeys(keys))
        for old in list(_doomed)[: max(0, len(_doomed) - _REMEMBERED)]:
            del _doomed[old]
        return [_grips[key] for key in keys if key in _grips]


def pardon(keys: Collection[str]) -> None:
    """Nodes that were condemned may begin after all."""
    with _lock:
        for key in keys:
            _doomed.pop(key, None)


def doomed(key: str) -> bool:
    """Whether this process heard that a node is killed, perhaps before it began."""
    return key in _doomed


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    """Raise an error in a thread at its next line of Python; None takes back one that was not raised yet."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error) if error else None)
