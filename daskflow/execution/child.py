"""Calls a task in a process of its own, which can be killed when it takes too long."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from daskflow.errors import JobTimeout, NotSerialisable
from daskflow.execution.attempt import CURRENT_ATTEMPT
from daskflow.execution.capture import CURRENT_LOG
from daskflow.execution.failures import describe
from daskflow.execution.usage import MAXRSS_UNIT, Usage
from daskflow.graph.job import failure_cause
from daskflow.model.outcome import Failure

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_GRACE = 1.0
"""Between SIGTERM and SIGKILL [s]."""
_SIGNALS = {signal.SIGTERM, signal.SIGINT}

_forking = threading.Lock()
"""One fork at a time: else a child would hold the pipe of another one open, whose death nobody would see."""


class FailedInChild(Exception):
    """What a task raised in its child process."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.error = failure_cause(failure.pickled) or RuntimeError(failure.message)
        """The error itself, or what stands for it where it does not pickle."""


def call_in_child(task: Any, arguments: list[Any], timeout: float, usage: Usage | None = None) -> Any:
    """Call a task in a forked process, and kill its whole process group after `timeout`.

    Parameters
    ----------
    timeout
        How long the call may take [s].
    usage
        Gets what the child used.

    Raises
    ------
    JobTimeout
        The call took longer; nothing of it is alive any more.
    FailedInChild
        The task raised.
    ChildProcessError
        The child ended by itself, or was killed by somebody else.

    Notes
    -----
    The child is a fork: it has the arguments and the loaded modules at no cost, and starts in some milliseconds. What
    it prints goes to the log of the attempt, its reports come back with the result. Worker processes of dask are
    daemons, which `multiprocessing` forbids to have children; hence the bare `os.fork`.
    """
    from multiprocessing import Pipe

    log = CURRENT_LOG.get()
    if log is not None:
        log.share()
    with _forking:
        receiver, sender = Pipe(duplex=False)
        pid = _fork(lambda: _serve(sender, task, arguments))
        sender.close()
    child = _Child(pid)
    try:
        if not receiver.poll(timeout):
            raise JobTimeout(f"{_key()} took longer than its timeout of {timeout:g} s and was killed.")
        return _received(receiver, child)
    finally:
        receiver.close()
        child.kill()
        if log is not None:
            log.catch_up()
        if usage is not None:
            usage.add(child.cpu, child.memory)


def _received(receiver: Connection, child: _Child) -> Any:
    try:
        good, payload, reports = pickle.loads(receiver.recv_bytes())
    except (EOFError, OSError):
        child.await_end(_GRACE)
        raise ChildProcessError(f"the process of {_key()} ended without a result ({child.end})") from None
    attempt = CURRENT_ATTEMPT.get()
    if attempt is not None:
        attempt.reports.extend(reports)
    if good:
        return payload
    raise FailedInChild(payload)


def _fork(serve: Callable[[], NoReturn]) -> int:
    # Signals wait until the child has left the group of its parent and has handlers of its own: those that it
    # inherits would tell the parent that it was signalled itself.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        with warnings.catch_warnings():
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


def _settle_in(mask: Any) -> None:
    _lead_group(0)
    signal.set_wakeup_fd(-1)
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask - _SIGNALS)


def _lead_group(pid: int) -> None:
    # Parent and child both say it: whoever comes first, the group is there when the parent may want to kill it.
    with contextlib.suppress(OSError):  # the child is gone already, or has made a session of its own
        os.setpgid(pid, 0)


def _serve(sender: Connection, task: Any, arguments: list[Any]) -> NoReturn:
    code = 1
    attempt = CURRENT_ATTEMPT.get()
    if attempt is not None:
        attempt.reports = []  # only those that are made here go back
    try:
        try:
            message = _result(task.call(arguments))
        except BaseException as error:
            message = _message(False, describe(error))
        sys.stdout.flush()
        sender.send_bytes(message)
        sender.close()
        code = 0
    finally:
        # Threads of the parent's libraries do not exist in the fork, so nothing of theirs may be cleaned up here.
        os._exit(code)


def _result(value: Any) -> bytes:
    try:
        return _message(True, value)
    except Exception:
        import cloudpickle

        try:
            made: bytes = cloudpickle.dumps((True, value, _reports()), protocol=5)
        except Exception as error:
            raise NotSerialisable(f"A {type(value).__qualname__} does not pickle: {error}") from None
        return made


def _message(good: bool, payload: Any) -> bytes:
    return pickle.dumps((good, payload, _reports()), protocol=5)


def _reports() -> list[Any]:
    attempt = CURRENT_ATTEMPT.get()
    return attempt.reports if attempt is not None else []


class _Child:
    """A child process and its process group."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.end = "its end is not known"
        """How it ended, for people."""
        self.cpu = 0.0
        """CPU time that it used [s]."""
        self.memory = 0
        """Its peak memory [bytes]."""
        self._ended = False

    def kill(self) -> None:
        """Kill the whole group: gently first. Returns when the child is gone."""
        self._signal(signal.SIGTERM)
        if not self.await_end(_GRACE) or self._group_lives():
            self._signal(signal.SIGKILL)
        self._reap(0)

    def await_end(self, patience: float) -> bool:
        """Wait for the end of the child, at most for some time [s]; returns whether it ended."""
        deadline = time.monotonic() + patience
        pause = 0.0005
        while not self._reap(os.WNOHANG):
            if time.monotonic() > deadline:
                return False
            time.sleep(pause)
            pause = min(2 * pause, 0.05)
        return True

    def _reap(self, options: int) -> bool:
        if not self._ended:
            try:
                found, status, used = os.wait4(self.pid, options)
            except ChildProcessError:  # somebody else has waited for it
                self._ended = True
                return True
            if found:
                self._ended = True
                code = os.waitstatus_to_exitcode(status)
                self.end = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
                self.cpu, self.memory = used.ru_utime + used.ru_stime, used.ru_maxrss * MAXRSS_UNIT
        return self._ended

    def _signal(self, number: int) -> bool:
        try:
            os.killpg(self.pid, number)
        except PermissionError:  # a member runs as somebody else
            return True
        except ProcessLookupError:
            return False
        return True

    def _group_lives(self) -> bool:
        return self._signal(0)


def _key() -> str:
    attempt = CURRENT_ATTEMPT.get()
    return attempt.key if attempt is not None else "the job"
