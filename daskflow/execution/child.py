"""Calls a task in a process of its own, which can be killed when it takes too long."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
from multiprocessing.connection import Connection
from typing import Any

from daskflow.errors import JobTimeout
from daskflow.execution.attempt import CURRENT_ATTEMPT

_GRACE = 1.0
"""Between SIGTERM and SIGKILL [s]."""


def call_in_child(task: Any, arguments: list[Any], timeout: float) -> Any:
    """Call a task in a forked process, and kill its whole process group after `timeout`.

    Raises
    ------
    JobTimeout
        The call took longer; nothing of it is alive any more.

    Notes
    -----
    The child is a fork: it has the arguments and the loaded modules at no cost, and starts in some milliseconds. What
    it prints goes to the log of the attempt, its reports come back with the result.
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(sender, task, arguments), daemon=False)
    process.start()
    sender.close()
    try:
        if not receiver.poll(timeout):
            raise JobTimeout(f"{_key()} took longer than its timeout of {timeout:g} s and was killed.")
        return _received(receiver, process)
    finally:
        receiver.close()
        _kill_group(process)
        process.close()


def _received(receiver: Connection, process: Any) -> Any:
    try:
        good, payload, reports = pickle.loads(receiver.recv_bytes())
    except EOFError:
        process.join(_GRACE)
        code = process.exitcode
        what = f"signal {signal.Signals(-code).name}" if code and code < 0 else f"exit code {code}"
        raise ChildProcessError(f"the process of {_key()} ended without a result ({what})") from None
    attempt = CURRENT_ATTEMPT.get()
    if attempt is not None:
        attempt.reports.extend(reports)
    if good:
        return payload
    raise payload


def _child(sender: Connection, task: Any, arguments: list[Any]) -> None:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        message = _message(True, task.call(arguments))
    except BaseException as error:
        message = _message(False, error)
    sys.stdout.flush()
    sender.send_bytes(message)
    sender.close()
    # Threads of the parent's libraries do not exist in the fork, so nothing of theirs may be cleaned up here.
    os._exit(0)


def _message(good: bool, payload: Any) -> bytes:
    attempt = CURRENT_ATTEMPT.get()
    reports = attempt.reports if attempt is not None else []
    try:
        return pickle.dumps((good, payload, reports), protocol=5)
    except Exception as error:
        import cloudpickle

        try:
            made: bytes = cloudpickle.dumps((good, payload, reports), protocol=5)
        except Exception:
            return pickle.dumps((False, TypeError(f"{type(payload).__qualname__} does not pickle: {error}"), reports))
        return made


def _kill_group(process: Any) -> None:
    for number, patience in ((signal.SIGTERM, _GRACE), (signal.SIGKILL, None)):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        process.join(patience)
        if process.exitcode is not None and number == signal.SIGTERM and not _group_alive(process.pid):
            break
    process.join()


def _group_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _key() -> str:
    attempt = CURRENT_ATTEMPT.get()
    return attempt.key if attempt is not None else "the job"
