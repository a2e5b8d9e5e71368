"""A forked process that makes one attempt, and can be killed with all that it started."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from daskflow.errors import NotSerialisable
from daskflow.execution.worker.attempt import CURRENT_ATTEMPT
from daskflow.execution.worker.failures import describe
from daskflow.execution.worker.footprint import cpu_of
from daskflow.execution.worker.forking import fork
from daskflow.execution.worker.saving import HandedOver
from daskflow.execution.worker.usage import MAXRSS_UNIT
from daskflow.graph.sequel import sequel_of
from daskflow.model.outcome import ReportItem
from daskflow.sites.channel import CURRENT_CHANNEL
from daskflow.sites.processes import ProcessTree, has_children

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

GRACE = 1.0
"""Between SIGTERM and SIGKILL [s]."""

_forking = threading.Lock()
"""One fork at a time: else a child would hold the pipe of another one open, whose death nobody would see."""


def _unlock() -> None:
    # The parent holds it while it forks; an attempt at a work may itself make attempts at a job.
    global _forking
    _forking = threading.Lock()


os.register_at_fork(after_in_child=_unlock)


class Message(NamedTuple):
    """What a child sends."""

    good: bool | None
    """Whether the attempt succeeded; None: it goes on, and tells something."""
    payload: Any
    """The value, the failure, or a record for the listener of the run."""
    reports: tuple[ReportItem, ...] = ()
    kin: bool = False
    """Whether processes that the attempt started are there yet; the child waits to be killed with them."""
    state: bool = False
    """Whether a state of the job is saved."""


class Child:
    """A child process with its process group, and all that descends from it.

    Notes
    -----
    The child is a fork: it has the arguments and the loaded modules at no cost, and starts in some milliseconds. Worker
    processes of dask are daemons, which `multiprocessing` forbids to have children; hence the bare `os.fork`.
    """

    def __init__(self, task: Any, arguments: list[Any]) -> None:
        from multiprocessing import Pipe

        with _forking:
            self.receiver, sender = Pipe(duplex=False)
            self.pid = fork(lambda: _serve(sender, task, arguments))
            sender.close()
        self.end = "its end is not known"
        """How it ended, for people."""
        self.code: int | None = None
        """Its exit code, or the number of the signal that ended it, negative; None as long as that is not known."""
        self.cpu = 0.0
        """CPU time that it used [s]."""
        self.memory = 0
        """Its peak memory [bytes]."""
        self._ended = False

    def take(self, message: bytes) -> Message:
        """Read a message."""
        return Message(*pickle.loads(message))

    def finish(self) -> None:
        """End it after its result came, when it left no processes behind."""
        if not self.await_end(GRACE) or self._group_lives():
            self._signal(signal.SIGKILL)
        self._reap(0)

    def kill(self) -> None:
        """Kill it and all that descends from it: gently first. Returns when they are gone.

        A process that hangs in the kernel, for instance on a dead file server, is left to it.
        """
        tree = ProcessTree(self.pid)
        spent = cpu_of(tree)
        gone = tree.kill(GRACE)
        self._signal(signal.SIGKILL)  # who left the tree is in the group yet
        self._reap(0 if gone else os.WNOHANG)
        # Those that were killed were not waited for by their parents, which would have counted them.
        self.cpu = max(self.cpu, spent)

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
                self.code = code = os.waitstatus_to_exitcode(status)
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


def _serve(sender: Connection, task: Any, arguments: list[Any]) -> NoReturn:
    code = 1
    attempt = CURRENT_ATTEMPT.get()
    if attempt is not None:
        attempt.begin_apart()
        os.environ.update(attempt.variables)
    _compute_here()
    send = _sender(sender)
    if CURRENT_CHANNEL.get() is not None:
        CURRENT_CHANNEL.set(lambda record: send(pickle.dumps((None, record), protocol=5)))
    try:
        try:
            message = _result(task.call(arguments))
        except HandedOver as end:
            message = _message(False, end)
        except BaseException as error:
            message = _message(False, describe(error))
        if attempt is not None:
            attempt.close()
        send(message)
        sender.close()
        if has_children():
            _linger()
        code = 0
    finally:
        # Threads of the parent's libraries do not exist in the fork, so nothing of theirs may be cleaned up here.
        os._exit(code)


def _compute_here() -> None:
    # What a task computes by dask would by default be sent through the worker, whose threads do not exist in the fork:
    # also after some other task asked for a client, which makes itself the default of the whole worker.
    dask = sys.modules.get("dask")
    if dask is not None and not _local(dask.config.get("scheduler", None)):
        dask.config.set(scheduler="threads")
    threaded: Any = sys.modules.get("dask.threaded")
    if threaded is not None:
        # Nor do those of a pool that the worker has.
        threaded.default_pool = None
        threaded.pools.clear()


def _local(scheduler: Any) -> bool:
    """Whether a scheduler of dask, as its configuration has it, computes without a cluster."""
    return callable(scheduler) or (isinstance(scheduler, str) and "distributed" not in scheduler)


def _sender(sender: Connection) -> Callable[[bytes], None]:
    lock = threading.Lock()

    def send(message: bytes) -> None:
        with lock:
            sender.send_bytes(message)

    return send


def _linger() -> NoReturn:
    # As long as this process is there, all that it started is known to descend from it.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    while True:
        signal.pause()


def _result(value: Any) -> bytes:
    try:
        return _message(True, value)
    except Exception:
        import cloudpickle

        try:
            left = sequel_of(value)
            value = value if left is None else left
            made: bytes = cloudpickle.dumps((True, value, *_rest()), protocol=5)
        except Exception as error:
            raise NotSerialisable(f"A {type(value).__qualname__} does not pickle: {error}") from None
        return made


def _message(good: bool, payload: Any) -> bytes:
    return pickle.dumps((good, payload, *_rest()), protocol=5)


def _rest() -> tuple[tuple[ReportItem, ...], bool, bool]:
    """The rest of a message."""
    attempt = CURRENT_ATTEMPT.get()
    kin = has_children()
    return ((), kin, False) if attempt is None else (tuple(attempt.reports), kin, attempt.has_state)
