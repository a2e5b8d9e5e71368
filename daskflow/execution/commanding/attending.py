"""Does things beside the commands of a job while they run: what is asked, and answered, in files beside its output."""

from __future__ import annotations

import errno
import os
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TypeAlias

from daskflow.artifacts.artifact import Artifact
from daskflow.artifacts.places.place import Progress
from daskflow.commands.processes import Launch, Process, Watch, kill_group
from daskflow.commands.scratch import Scratch, remove
from daskflow.errors import CommandError, CommandFailed, DaskflowError, OutputMissing
from daskflow.execution.commanding.asks import Asks
from daskflow.execution.commanding.copying import copy_now
from daskflow.graph.job import Job

Request: TypeAlias = Mapping[str, Any]
"""`argv`, a program and its arguments, or `path`, a file or directory of the scratch directory."""
_ASKED, _TAKEN, _ANSWERED = ".asked", ".taken", ".answered"
_LOOK = 1.0
"""Who attends looks so often whether somebody asks [s]."""
NOTICE = 90.0
"""Who is not heard after this time never will be [s]: NFS shows what is new in a directory after up to 60 s."""
_LONG = 3600.0
"""No file takes longer to be kept [s]."""
_GONE = {errno.ENOENT, errno.ESTALE}
_STEP, _LARGEST_STEP = 0.1, 0.5
_HANGING = 30.0
"""What is being kept and does not end in this time, as the store does not answer, is left to itself [s]."""
_ENDED = "the job has ended meanwhile"
_MOST = 1 << 20
"""So much of what a program says is given back [bytes]."""


class Attendant:
    """Answers what is asked of one attempt, on its node.

    Parameters
    ----------
    asks
        Where it is asked; None: nobody can.
    wrap
        Has commands started in containers.
    keep
        Keeps a file or directory under a name, and tells how it goes on.

    Notes
    -----
    Whatever was begun is dead when `close` returns: programs, and copies of files. Only what is on its way to a store
    that does not answer is waited for no longer than half a minute.
    """

    def __init__(
        self,
        asks: Asks | None,
        wrap: Callable[[Launch, Scratch], Launch],
        keep: Callable[[Path, str, Progress], Artifact],
    ) -> None:
        self._asks = asks
        self._wrap = wrap
        self._keep = keep
        self._latest: tuple[Launch, Scratch] | None = None
        self._due = 0.0
        self._threads: list[threading.Thread] = []
        self._closing = threading.Event()

    @property
    def attends(self) -> bool:
        """Whether somebody can ask."""
        return self._asks is not None

    def wrap(self, launch: Launch, scratch: Scratch) -> Launch:
        """Have a command started in its container; what is asked from now on is done in one like that."""
        found = self._wrap(launch, scratch)
        self._latest = launch, scratch
        return found

    def look(self) -> None:
        """Begin with what somebody has asked; may be called as often as one likes."""
        now = time.monotonic()
        if self._asks is None or self._latest is None or now < self._due or self._closing.is_set():
            return
        self._due = now + _LOOK
        with suppress(OSError):  # never a reason for the job to fail
            for token in [name.removesuffix(_ASKED) for name in self._asks.names() if name.endswith(_ASKED)]:
                self._asks.rename(token + _ASKED, token + _TAKEN)
                thread = threading.Thread(target=self._answer, args=(self._asks, token, *self._latest), daemon=True)
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
        deadline = time.monotonic() + _HANGING
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if self._asks is not None:
            self._asks.close()

    def _check(self, _: int = 0) -> None:
        """Give up what is being done where the job ends."""
        if self._closing.is_set():
            raise CommandFailed(_ENDED)

    def _answer(self, asks: Asks, token: str, launch: Launch, scratch: Scratch) -> None:
        try:
            request = asks.read(token + _TAKEN, token + _ASKED)
            done = self._snapshot if "path" in request else self._run
            answer = done(request, launch, scratch)
        except (DaskflowError, OSError) as error:
            answer = {"error": str(error)}
        with suppress(OSError):  # who has asked waits no more
            asks.write(token + _ANSWERED, answer)

    def _run(self, request: Request, launch: Launch, scratch: Scratch) -> dict[str, Any]:
        own = self._wrap(launch._replace(argv=list(request["argv"]), workdir=scratch.work), scratch)
        place = scratch.path
        with TemporaryFile(dir=place) as out, TemporaryFile(dir=place) as err, open(os.devnull, "rb") as null:
            code = self._wait(
                Process(own, (null.fileno(), out.fileno(), err.fileno())), time.monotonic() + request["timeout"]
            )
            said = [os.pread(file.fileno(), _MOST, 0).decode(errors="replace") for file in (out, err)]
        return {"code": code, "stdout": said[0], "stderr": said[1]}

    def _wait(self, process: Process, deadline: float) -> int:
        while Watch().wait([process.pid], min(deadline, time.monotonic() + _STEP)) is None:
            late = time.monotonic() >= deadline
            if late or self._closing.is_set():
                process.kill(kill_group)
                raise CommandFailed("it took too long, and was killed" if late else _ENDED)
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
            copy_now(source, copy, self._check)
            kept = self._keep(copy, "scratch" if whole else name, self._check)
        finally:
            remove(copy)
        return {"digest": kept.digest, "size": kept.size, "kind": kept.kind}


def patience(request: Request, notice: float = NOTICE) -> float:
    """So long an answer is waited for at most [s]: it is seen as late as what was asked."""
    return 2 * notice + float(request.get("timeout", _LONG))


def ask(job: Job, request: Request, *, notice: float = NOTICE) -> dict[str, Any]:
    """Have something done beside the commands of a job that runs, and was made with `attended`.

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
    SignatureWrong
        Somebody else has answered.
    """
    if not getattr(getattr(job.task, "function", None), "attended", False):
        raise CommandError("nothing can be asked of this job: make it with CommandJob(..., attended=True)")
    host: Any = job.host
    project = host.project
    asks = Asks(str(project.logs / host.id), host.id, job.key, job.attempts + 1, project.values.signer)
    token = secrets.token_hex(8)
    try:
        answer: dict[str, Any] = _Asked(job, asks, token).answer(request, notice)
    except OSError as error:
        raise CommandError(f"nothing can be asked at {asks.path}: {error.strerror}") from error
    finally:
        asks.remove(token + _ASKED, token + _TAKEN, token + _ANSWERED)
        if job.state.final:
            asks.close()
    if "error" in answer:
        raise CommandError(answer["error"])
    return answer


class _Asked:
    """One request, on the side of who asks."""

    def __init__(self, job: Job, asks: Asks, token: str) -> None:
        self._job = job
        self._asks = asks
        self._token = token
        self._written = False

    def answer(self, request: Request, notice: float) -> Any:
        """The answer, as soon as there is one."""
        start, step = time.monotonic(), _STEP
        while True:
            final = self._job.state.final
            names = self._names(request)
            if self._token + _ANSWERED in names:
                return self._asks.read(self._token + _ANSWERED)
            if final:
                raise CommandError("the job has ended")
            waited = time.monotonic() - start
            if waited > notice and (not self._written or self._token + _ASKED in names):
                raise CommandError(
                    "its node does not see what is asked: either none of its commands runs, or the node and the driver "
                    "do not share the directory of the store"
                )
            if waited > patience(request, notice):
                raise CommandError("its node has seen what is asked, and does not answer")
            time.sleep(step)
            step = min(1.2 * step, _LARGEST_STEP)

    def _names(self, request: Request) -> set[str]:
        """What lies where it is asked; the request is written as soon as the node has made the folder."""
        try:
            if not self._written:
                self._asks.write(self._token + _ASKED, request)
                self._written = True
            return self._asks.names()
        except OSError as error:
            if error.errno not in _GONE:
                raise
            if self._written and not self._job.state.final:
                raise CommandError("what ran when it was asked has ended meanwhile") from None
            return set()
