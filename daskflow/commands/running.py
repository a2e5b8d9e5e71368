"""Runs the commands of one job, one after the other, with what runs beside them."""

from __future__ import annotations

import errno
import math
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from daskflow.commands.environment import own_variables
from daskflow.commands.order import Ended, Order, Tools
from daskflow.commands.processes import Launch, Process
from daskflow.commands.scratch import Scratch
from daskflow.commands.templates import fill_command, shown
from daskflow.errors import CommandError, CommandFailed, CommandMissing, JobTimeout, PathRefused
from daskflow.model.command import Command

_SHELL = "/bin/sh"
_TAIL = 4096
"""So much of what a command that failed said is repeated [bytes]."""
_LINES = 20
_LONG = 200
"""So much of a command is repeated."""
_TIMEOUT = "timeout"
_FIRST = 0.003
"""After this time the memory of a command is looked at, then less and less often [s]."""
_SELDOM = 0.5
_NOT_FOUND = re.compile(
    r"^[^\n:]+: (?:(?:line )?\d+: )?([^\n]+): (not found|command not found|Permission denied)$", re.M
)
"""What shells say about a program that they cannot start."""


class _Step(NamedTuple):
    """A command of the job."""

    place: int
    command: Command
    """With its parameters."""
    text: str
    """What people see of it."""

    @property
    def short(self) -> str:
        """The text in messages."""
        return f"`{self.text}`" if len(self.text) <= _LONG else f"`{self.text[:_LONG]}...`"


class _Sidecar(NamedTuple):
    """A command that runs beside the others."""

    step: _Step
    process: Process
    start: float
    marks: tuple[int, int]


@dataclass
class _Try:
    """One try at a command, as in `Ended`."""

    code: int | None = None
    end: str = "it did not start"
    wall: float = 0.0
    cpu: float = 0.0
    memory: int = 0


class Running:
    """Runs the commands of one attempt.

    Parameters
    ----------
    order
        What is to be done.
    tools
        What the attempt is given.
    scratch
        Where it runs; it has its input files already.

    Notes
    -----
    Whatever a command leaves behind in its process group is killed when it ends; what is to run on beside the others is
    a sidecar. Whatever leaves this class by an exception, nothing is alive any more.
    """

    def __init__(self, order: Order, tools: Tools, scratch: Scratch) -> None:
        self._order = order
        self._tools = tools
        self._scratch = scratch
        self._ended: dict[int, Ended] = {}
        self._sidecars: list[_Sidecar] = []
        self.killed = False
        """Whether a command was killed, or ran beside others: something of it may have slipped away."""
        self._out = self._err = -1

    @property
    def ended(self) -> tuple[Ended, ...]:
        """How those that were started have ended, in the order of the job."""
        return tuple(self._ended[place] for place in sorted(self._ended))

    def run(self) -> None:
        """Run them all.

        Raises
        ------
        CommandError
            One has failed, which was not to be; or a sidecar has.
        JobTimeout
            The attempt took longer than it may.
        Exception
            Whatever the watch has raised.
        """
        given = self._order.parameters
        steps = [
            _Step(place, fill_command(command, given), shown(command, given))
            for place, command in enumerate(self._order.commands)
        ]
        with ExitStack() as stack:
            self._out = stack.enter_context(_appending(self._tools.stdout or self._scratch.stdout))
            self._err = stack.enter_context(_appending(self._tools.stderr or self._scratch.stderr))
            try:
                for step in steps:
                    if step.command.sidecar:
                        self._sidecars.append(self._beside(step))
                for step in steps:
                    if not step.command.sidecar:
                        self._one(step)
            finally:
                self._end_sidecars()

    def _one(self, step: _Step) -> None:
        """Run a command, again and again as far as it may."""
        marks, tries = self._marks(), list[_Try]()
        failure: CommandError | None = None
        try:
            for _ in range(step.command.retries + 1):
                before = self._marks()[1]
                tries.append(_Try())
                self._try(step, tries[-1])
                failure = self._failure(step, tries[-1], before)
                if failure is None:
                    break
        finally:
            self._ended[step.place] = _sum(step, tries, marks, self._marks())
        if failure is not None and (self._order.check or isinstance(failure, CommandMissing)):
            raise failure

    def _try(self, step: _Step, one: _Try) -> None:
        start = time.monotonic()
        process = self._start(step.command)
        one.end = "it was killed"
        try:
            self._wait(process, step, start, one)
        finally:
            one.wall, one.cpu, one.memory = time.monotonic() - start, process.cpu, process.memory

    def _start(self, command: Command) -> Process:
        launch = self._launch(command)
        with self._stdin(command) as stdin:
            return Process(launch, (stdin, self._out, self._err))

    def _launch(self, command: Command) -> Launch:
        own = own_variables(self._order, self._tools, self._scratch, command.env)
        argv = [_SHELL, "-c", command.line] if command.line is not None else list(command.argv)
        folder, env = self._scratch.folder(command.workdir), {**os.environ, **own}
        launch = Launch(argv, folder, env, own, image=command.image, mounts=command.mounts)
        return self._tools.wrap(launch, self._scratch)

    def _wait(self, process: Process, step: _Step, start: float, one: _Try) -> None:
        """Wait for the end of a process, and note its exit code and how it ended."""
        timeout = step.command.timeout
        limit = math.inf if timeout is None else start + timeout
        deadline = min(limit, start + self._tools.time_left())
        pause = _FIRST
        try:
            while True:
                beside = {sidecar.process.pid: sidecar for sidecar in self._sidecars}
                now = time.monotonic()
                ended = self._tools.watch.wait([process.pid, *beside], min(deadline, now + pause))
                if ended == process.pid:
                    one.code, one.end = _told(process.end())
                    return
                if ended is not None:
                    self._lost(beside[ended])
                    continue
                for each in (process, *[sidecar.process for sidecar in self._sidecars]):
                    each.look()
                pause = min(2 * pause, _SELDOM)
                if time.monotonic() >= deadline:
                    break
        except BaseException:
            self.killed = True
            one.code, _ = _told(process.kill(self._tools.kill))
            raise
        self.killed = True
        one.code, _ = _told(process.kill(self._tools.kill))
        if deadline < limit:
            raise JobTimeout(f"The job took longer than its timeout, and {step.short} was killed.")
        one.end = f"{_TIMEOUT} of {timeout:g} s"

    def _failure(self, step: _Step, one: _Try, since: int) -> CommandError | None:
        """Why a try counts as failed; None: it does not."""
        timeout = one.end.startswith(_TIMEOUT)
        if one.code == 0 and not timeout:
            return None
        said = self._tail(since)
        if step.command.line is not None and one.code in (126, 127) and (found := _NOT_FOUND.search(said)):
            return CommandMissing(
                f"{step.short}: {found.group(1)!r} cannot be started ({found.group(2)}). Look whether the "
                "program is installed on the site, and in the PATH of its workers."
            )
        ended = f"was killed after its {one.end}" if timeout else f"ended with {one.end}"
        last = "\n".join(said.splitlines()[-_LINES:])
        told = f"\nIts standard error ended with:\n{last}" if last else ""
        return CommandFailed(f"{step.short} {ended}.{told}")

    def _beside(self, step: _Step) -> _Sidecar:
        self.killed = True
        marks, start = self._marks(), time.monotonic()
        self._ended[step.place] = _sum(step, [_Try()], marks, marks)
        return _Sidecar(step, self._start(step.command), start, marks)

    def _lost(self, sidecar: _Sidecar) -> None:
        """A sidecar has ended before the others."""
        self._sidecars.remove(sidecar)
        one = self._record(sidecar, *_told(sidecar.process.end()))
        failure = self._failure(sidecar.step, one, sidecar.marks[1])
        if failure is not None and self._order.check:
            raise type(failure)(f"A sidecar ended before the commands that it runs beside: {failure}")

    def _end_sidecars(self) -> None:
        for sidecar in self._sidecars:
            sidecar.process.look()
            code, _ = _told(sidecar.process.kill(self._tools.kill))
            self._record(sidecar, code, "killed after the last command")
        self._sidecars.clear()

    def _record(self, sidecar: _Sidecar, code: int, end: str) -> _Try:
        process = sidecar.process
        one = _Try(code, end, time.monotonic() - sidecar.start, process.cpu, process.memory)
        self._ended[sidecar.step.place] = _sum(sidecar.step, [one], sidecar.marks, self._marks())
        return one

    def _marks(self) -> tuple[int, int]:
        """How long standard output and error are now [bytes]."""
        return os.fstat(self._out).st_size, os.fstat(self._err).st_size

    def _tail(self, since: int) -> str:
        """The end of what was said on standard error since some byte."""
        return os.pread(self._err, _TAIL, max(since, self._marks()[1] - _TAIL)).decode(errors="replace")

    @contextmanager
    def _stdin(self, command: Command) -> Iterator[int]:
        if command.stdin is None:
            descriptor = os.open(os.devnull, os.O_RDONLY)
        else:
            text = command.stdin
            descriptor = self._written(text.encode(errors="surrogateescape") if isinstance(text, str) else text)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _written(self, content: bytes) -> int:
        path = self._scratch.path / "stdin"
        with self._scratch.written():
            path.write_bytes(content)
            try:
                return os.open(path, os.O_RDONLY)
            finally:
                path.unlink()


def _sum(step: _Step, tries: list[_Try], before: tuple[int, int], after: tuple[int, int]) -> Ended:
    return Ended(
        step.text,
        tries[-1].code,
        tries[-1].end,
        sum(one.wall for one in tries),
        sum(one.cpu for one in tries),
        max(one.memory for one in tries),
        len(tries),
        (before[0], after[0]),
        (before[1], after[1]),
        step.command.sidecar,
    )


@contextmanager
def _appending(path: Path) -> Iterator[int]:
    try:
        # The directory may be one in which others write.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise PathRefused(
            f"{path} is a symbolic link, and output is written through none: somebody has put it there. Remove it, and "
            "let nobody else write in that directory."
        ) from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _told(code: int) -> tuple[int, str]:
    """An exit code as shells tell it, and in words; negative: a signal."""
    number = -code if code < 0 else code - 128
    name = ""
    with suppress(ValueError):
        name = signal.Signals(number).name if number > 0 else ""
    if code < 0:
        return 128 - code, f"signal {name or number}"
    return code, f"exit code {code} (signal {name})" if name else f"exit code {code}"
