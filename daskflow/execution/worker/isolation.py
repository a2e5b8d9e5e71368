"""Makes attempts in processes of their own, which are killed when they take too long, use too much, or have to end."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

from daskflow.errors import JobTimeout, OutOfMemory
from daskflow.execution.worker.attempt import CURRENT_ATTEMPT
from daskflow.execution.worker.capture import CURRENT_LOG
from daskflow.execution.worker.child import GRACE, Child, Message
from daskflow.execution.worker.limits import MemoryLimit, attempt_key, bell, took_too_long
from daskflow.execution.worker.package import Attempts
from daskflow.execution.worker.saving import HandedOver
from daskflow.execution.worker.usage import Usage
from daskflow.model.outcome import Failure
from daskflow.sites.allocation import here
from daskflow.sites.channel import CURRENT_CHANNEL
from daskflow.sites.grip import CURRENT_GRIP, Grip
from daskflow.sites.processes import ProcessTree

TAIL = "\nIts log ended with:\n"
"""Begins the part of a message that repeats the log."""
_LINES = 20
_OF_THE_SYSTEM = (-signal.SIGTERM, -signal.SIGKILL)
_LAST_WORD = 2.0
"""A process whose child was ended by such a signal waits so long whether it meets the same end [s]."""


class FailedInChild(Exception):
    """What a task raised in its child process."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.error = failure.error or RuntimeError(failure.message)
        """The error itself, or what stands for it where it does not pickle."""


def call_apart(task: Any, arguments: list[Any], limits: Attempts, usage: Usage | None = None) -> Any:
    """Call a task in a process of its own, and kill that with all its descendants when a limit is passed.

    Parameters
    ----------
    usage
        Gets what the process used.

    Raises
    ------
    JobTimeout
        The call took longer than it may; nothing of it is alive any more.
    OutOfMemory
        The process and its descendants used more memory than they may, or the system killed them when they used
        nearly as much; nothing of them is alive any more.
    FailedInChild
        The task raised.
    HandedOver
        The task has saved its state, and goes on elsewhere.
    ChildProcessError
        The process ended by itself, or was killed by somebody else.
    Killed
        The node was killed; nothing of it is alive any more.

    Notes
    -----
    What the task prints goes to the log of the attempt, its reports come back with the result, what it emits at once.
    Processes that it leaves behind are killed.
    """
    log = CURRENT_LOG.get()
    if log is not None:
        log.share()
    try:
        message = _exchange(task, arguments, limits, usage)
    except (JobTimeout, OutOfMemory) as error:
        tail = log.tail(_LINES) if log is not None else ""
        raise type(error)(f"{error}{TAIL}{tail}" if tail else str(error)) from None
    attempt = CURRENT_ATTEMPT.get()
    if attempt is not None:
        attempt.reports.extend(message.reports)
        if message.state:
            attempt.note_state()
    if message.good:
        return message.payload
    if isinstance(message.payload, HandedOver):
        raise message.payload
    raise FailedInChild(message.payload)


def _exchange(task: Any, arguments: list[Any], limits: Attempts, usage: Usage | None) -> Message:
    log = CURRENT_LOG.get()
    grip = CURRENT_GRIP.get() or Grip("")
    grip.check()
    memory = MemoryLimit(limits.memory, forked=True, basis=limits.basis)
    child = Child(task, arguments)
    last: Message | None = None
    try:
        with bell(grip) as ringing:
            last = _Conversation(child, grip, limits.timeout, memory).last(ringing)
        return last
    finally:
        child.receiver.close()
        if last is not None and not last.kin:
            child.finish()
        else:
            child.kill()
        if log is not None:
            log.catch_up()
        if usage is not None:
            usage.add(child.cpu, memory.own(child.memory))


class _Conversation:
    """Hears what a child says, and looks whether it keeps to its limits."""

    def __init__(self, child: Child, grip: Grip, timeout: float | None, memory: MemoryLimit) -> None:
        self._child = child
        self._grip = grip
        self._timeout = timeout
        self._memory = memory
        self._deadline = math.inf if timeout is None else time.monotonic() + timeout

    def last(self, ringing: int) -> Message:
        """The message that ends the attempt; what comes before is sent on."""
        from multiprocessing.connection import wait

        receiver = self._child.receiver
        tree = ProcessTree(self._child.pid) if self._memory.limit is not None else None
        with _end_of(self._child.pid) as end:
            while True:
                ready = wait([receiver, ringing, *end], self._pause())
                self._grip.check()
                if receiver in ready or set(end) & set(ready):
                    message = self._heard()
                    if message.good is not None:
                        return message
                    _pass_on(message.payload)
                if time.monotonic() > self._deadline:
                    raise took_too_long(self._timeout)
                if tree is not None:
                    self._memory.look(tree)

    def _pause(self) -> float | None:
        pause = min(self._deadline - time.monotonic(), self._memory.pause)
        return None if pause == math.inf else max(0.0, pause)

    def _heard(self) -> Message:
        try:
            # Once it ended nothing more is waited for, though a process that it left behind may hold the pipe open.
            if self._child.receiver.poll():
                return self._child.take(self._child.receiver.recv_bytes())
        except (EOFError, OSError):
            pass
        ended = self._child.await_end(GRACE)
        if ended and self._child.code in _OF_THE_SYSTEM and here() is not None:
            # A batch system ends all processes of its job at once. If it was that, this process has its own end before
            # the time is over, and nobody takes it for the fault of the job.
            self._grip.pause(_LAST_WORD)
        if ended and self._child.code == -signal.SIGKILL:
            suspect = self._memory.suspect(self._child.memory)
            if suspect is not None:
                raise suspect
        raise ChildProcessError(f"the process of {attempt_key()} ended without a result ({self._child.end})")


@contextlib.contextmanager
def _end_of(pid: int) -> Iterator[list[int]]:
    """What can be read from when a process has ended; nothing on systems that have no such thing."""
    try:
        found = [os.pidfd_open(pid)]
    except (AttributeError, OSError):
        found = []
    try:
        yield found
    finally:
        for descriptor in found:
            os.close(descriptor)


def _pass_on(record: bytes) -> None:
    channel = CURRENT_CHANNEL.get()
    if channel is not None:
        channel(record)
