"""What is done beside the tasks of a job while they run: asked through the ledger, done by the process of the job."""

from __future__ import annotations

import secrets
import shlex
import threading
import time
from typing import Any

from daskflow import CommandJob
from daskflow.compat.prominence import starting
from daskflow.compat.prominence.building import homed
from daskflow.compat.prominence.errors import ExecError, ProminenceError, SnapshotCreateError
from daskflow.compat.prominence.ledger import Entry, Output
from daskflow.errors import DaskflowError
from daskflow.execution.commanding.attending import NOTICE, Request, ask, patience

TIMEOUT = 120.0
"""After this time a command is killed that runs beside a job [s]."""
_SOON, _LATER = 0.1, 1.0
"""Between two looks whether the answer is there [s]."""


def execute(entry: Entry, command: str) -> str:
    """What a command writes to standard output, in the scratch directory of a job that runs.

    Raises
    ------
    ExecError
        The job does not run, or the command fails; with its exit code and what it said.
    """
    try:
        argv = shlex.split(command)
    except ValueError as error:
        raise ExecError(f"{command!r:.200} is no command: {error}.") from None
    if not argv:
        raise ExecError("There is no command: give a program with its arguments.")
    answer = _asked(entry, {"argv": homed(argv), "timeout": TIMEOUT}, ExecError, f"{command!r:.200} cannot be run")
    if answer["code"]:
        raise ExecError(f"{command!r:.200} ended with exit code {answer['code']}. {answer['stderr'][-2000:]}".strip())
    return str(answer["stdout"])


def snapshot(entry: Entry, path: str) -> Output:
    """A file or directory of the scratch directory of a job that runs, as it is now.

    Raises
    ------
    SnapshotCreateError
        The job does not run, or has no such file.
    """
    answer = _asked(entry, {"path": path}, SnapshotCreateError, f"No snapshot of {path!r:.200} can be made")
    found = Output(answer["digest"], answer["size"], answer["kind"])
    entry.write("snapshot", {"path": path, "output": found})
    return found


def _asked(entry: Entry, request: Request, error: type[ProminenceError], what: str) -> dict[str, Any]:
    status = starting.look(entry)["status"]
    if status != "running":
        raise error(f"{what}: the job {entry.id} is {status or 'not created'}, and has to run.")
    token = secrets.token_hex(8)
    try:
        entry.note("asked", token, request)
        answer = _answer(entry, token, request)
    finally:
        for kind in ("asked", "answered"):
            entry.drop(kind, token)
    if answer is None:
        raise error(f"{what}: the job {entry.id} has ended meanwhile.")
    if "error" in answer:
        raise error(f"{what}: {answer['error'].rstrip('.')}.")
    return answer


def _answer(entry: Entry, token: str, request: Request) -> dict[str, Any] | None:
    """What the process of a job says; None: the job has ended."""
    pause, start, taken = _SOON, time.monotonic(), False
    while (found := entry.noted("answered", token)) is None:
        waited = time.monotonic() - start
        if starting.look(entry)["status"] != "running":
            # It may have been answered just before.
            found = entry.noted("answered", token)
            break
        if waited > NOTICE and not taken:
            taken = entry.noted("asked", token) is None
            if not taken:
                return {"error": f"the process of the job does not see within {NOTICE:g} s what is asked"}
        if waited > NOTICE + patience(request):
            return {"error": "the process of the job has seen what is asked, and does not answer"}
        time.sleep(pause)
        pause = min(1.5 * pause, _LATER)
    return None if found is None else dict(found)


def attend(entry: Entry, handle: CommandJob, token: str) -> threading.Thread:
    """Have done what is asked of a job, by a thread; it ends soon after the job."""
    thread = threading.Thread(target=_do, args=(entry, handle, token), daemon=True)
    thread.start()
    return thread


def _do(entry: Entry, handle: CommandJob, token: str) -> None:
    try:
        try:
            request = entry.noted("asked", token)
            if request is None:  # who has asked waits no more
                return
            # By that they know that it was seen; nobody does it again.
            entry.drop("asked", token)
            answer = ask(handle.as_job(), request)
        except (DaskflowError, OSError) as error:
            answer = {"error": str(error)}
        entry.note("answered", token, answer)
    except DaskflowError as error:
        # Who has asked is told by the same store, and waits until it is there again, or for too long.
        print(f"A request to the job {entry.id} was not answered: {error}", flush=True)
