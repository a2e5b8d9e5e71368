"""Does things beside the commands of a job while they run: what is asked, and answered, in files beside its output."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

from daskflow.artifacts.artifact import Artifact
from daskflow.commands.processes import Launch, Process, Watch, kill_group
from daskflow.commands.scratch import Scratch
from daskflow.errors import CommandError, CommandFailed, DaskflowError, OutputMissing
from daskflow.execution.commanding.following import live_paths
from daskflow.graph.job import Job

Request: TypeAlias = Mapping[str, Any]
"""`argv`, a program and its arguments, or `path`, a file or directory of the scratch directory."""
_ASKED, _TAKEN, _ANSWERED = ".asked", ".taken", ".answered"
_LOOK = 1.0
"""Who attends looks so often whether somebody asks [s]."""
_NOTICE = 20.0
"""Who is not heard after this time never will be [s]."""
_LONG = 3600.0
"""No file takes longer to be kept [s]."""
_STEP = 0.1
_MOST = 1 << 20
"""So much of what a program says is given back [bytes]."""


def asked_folder(logs: str, key: str, attempt: int) -> Path:
    """Where an attempt is asked, below the logs of its run."""
    return live_paths(logs, key, attempt)[0].with_suffix(".asks")


class Attendant:
    """Answers what is asked of one attempt, on its node.

    Parameters
    ----------
    folder
        Where it is asked; None: nobody can.
    wrap
        Has commands started in containers.
    keep
        Keeps a file or directory under a name.

    Notes
    -----
    Whatever was begun is dead when `close` returns.
    """

    def __init__(
        self,
        folder: Path | None,
        wrap: Callable[[Launch, Scratch], Launch],
        keep: Callable[[Path, str], Artifact],
    ) -> None:
        self._folder = folder
        self._wrap = wrap
        self._keep = keep
        self._latest: tuple[Launch, Scratch] | None = None
        self._due = 0.0
        self._threads: list[threading.Thread] = []
        self._closing = threading.Event()

    def wrap(self, launch: Launch, scratch: Scratch) -> Launch:
        """Have a command started in its container; what is asked from now on is done in one like that."""
        found = self._wrap(launch, scratch)
        self._latest = launch, scratch
        return found

    def look(self) -> None:
        """Begin with what somebody has asked; may be called as often as one likes."""
        now = time.monotonic()
        if self._folder is None or self._latest is None or now < self._due or self._closing.is_set():
            return
        self._due = now + _LOOK
        with suppress(OSError):  # it is mostly not there, and never a reason for the job to fail
            for path in [self._folder / name for name in os.listdir(self._folder) if name.endswith(_ASKED)]:
                taken = path.with_suffix(_TAKEN)
                path.rename(taken)
                thread = threading.Thread(target=self._answer, args=(taken, *self._latest), daemon=True)
                self._threads.append(thread)
                thread.start()

    def until_the_end(self, check: Callable[[], object]) -> Callable[[], object]:
        """What is called after the last command, and ends the attendance first."""

        def closed() -> object:
            self.close()
            return check()

        return closed

    def close(self) -> None:
        """End whatever is being done."""
        self._closing.set()
        for thread in self._threads:
            thread.join()

    def _answer(self, path: Path, launch: Launch, scratch: Scratch) -> None:
        try:
            request = json.loads(path.read_text("utf-8"))
            done = self._snapshot if "path" in request else self._run
            answer = done(request, launch, scratch)
        except (DaskflowError, OSError, shutil.Error) as error:
            answer = {"error": str(error)}
        with suppress(OSError):  # who has asked waits no more
            write(path.with_suffix(_ANSWERED), answer)

    def _run(self, request: Request, launch: Launch, scratch: Scratch) -> dict[str, Any]:
        own = self._wrap(launch._replace(argv=list(request["argv"]), workdir=scratch.work), scratch)
        place = scratch.path / f"asked-{secrets.token_hex(4)}"
        place.mkdir()
        with open(place / "out", "w+b") as out, open(place / "err", "w+b") as err, open(os.devnull, "rb") as null:
            code = self._wait(
                Process(own, (null.fileno(), out.fileno(), err.fileno())), time.monotonic() + request["timeout"]
            )
            said = [os.pread(file.fileno(), _MOST, 0).decode(errors="replace") for file in (out, err)]
        shutil.rmtree(place, ignore_errors=True)
        return {"code": code, "stdout": said[0], "stderr": said[1]}

    def _wait(self, process: Process, deadline: float) -> int:
        while Watch().wait([process.pid], min(deadline, time.monotonic() + _STEP)) is None:
            late = time.monotonic() >= deadline
            if late or self._closing.is_set():
                process.kill(kill_group)
                raise CommandFailed("it took too long, and was killed" if late else "the job has ended meanwhile")
        return process.end()

    def _snapshot(self, request: Request, _: Launch, scratch: Scratch) -> dict[str, Any]:
        name = request["path"]
        whole = name in ("", ".")
        source = scratch.work if whole else scratch.inside(name)
        if not source.exists():
            raise OutputMissing(f"there is no {name!r} in the scratch directory")
        # A copy: what is written to meanwhile cannot be kept.
        copy = scratch.path / f"asked-{secrets.token_hex(4)}"
        try:
            if source.is_dir():
                shutil.copytree(source, copy, symlinks=True)
            else:
                shutil.copy2(source, copy)
            kept = self._keep(copy, "scratch" if whole else name)
        finally:
            shutil.rmtree(copy) if copy.is_dir() else copy.unlink(missing_ok=True)
        return {"digest": kept.digest, "size": kept.size, "kind": kept.kind}


def ask(job: Job, request: Request, *, notice: float = _NOTICE) -> dict[str, Any]:
    """Have something done beside the commands of a job that runs.

    Parameters
    ----------
    request
        `argv`: a program with its arguments, in a container as that of the command that runs now, and in the scratch
        directory, for `timeout` at most [s]; or `path`: a file or directory of the scratch directory, as it is now.
    notice
        So long it is waited until the node has seen the request [s].

    Returns
    -------
    dict
        `code`, `stdout` and `stderr`; or `digest`, `size` and `kind` of what was kept.

    Raises
    ------
    CommandError
        It could not be done; the message says why.
    """
    host: Any = job.host
    folder = asked_folder(str(host.project.logs / host.id), job.key, job.attempts + 1)
    asked = folder / f"{secrets.token_hex(8)}{_ASKED}"
    taken, answered = asked.with_suffix(_TAKEN), asked.with_suffix(_ANSWERED)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write(asked, request)
        start = time.monotonic()
        while not answered.exists():
            waited = time.monotonic() - start
            if job.state.final:
                raise CommandError("the job has ended")
            if waited > notice + request.get("timeout", _LONG):
                raise CommandError("its node has seen what is asked, and does not answer")
            if asked.exists() and waited > notice:
                raise CommandError(
                    "its node does not see what is asked: either none of its commands runs, or the node and the driver "
                    "do not share the directory of the store"
                )
            time.sleep(_STEP)
        answer: dict[str, Any] = json.loads(answered.read_text("utf-8"))
    except OSError as error:
        raise CommandError(f"nothing can be asked at {folder}: {error.strerror}") from error
    finally:
        for path in (asked, taken, answered):
            with suppress(OSError):
                path.unlink()
        with suppress(OSError):  # others ask as well
            folder.rmdir()
    if "error" in answer:
        raise CommandError(answer["error"])
    return answer


def write(path: Path, value: Any) -> None:
    """Write JSON so that who sees it sees all of it."""
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(value), "utf-8")
    beside.replace(path)
