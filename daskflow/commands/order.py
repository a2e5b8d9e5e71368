"""What a command job is made of, what it is given on its node, and what it leaves behind."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from daskflow.commands.processes import Launch, Watch, kill_group
from daskflow.commands.scratch import Scratch
from daskflow.model.command import Command, InputFile


class Order(NamedTuple):
    """What a command job is to do. It pickles."""

    commands: tuple[Command, ...]
    """One after the other; sidecars run beside them."""
    inputs: tuple[InputFile, ...] = ()
    """Files that are written before the first command starts."""
    parameters: Mapping[str, Any] = {}
    """Values for `{name}` in commands and files."""
    env: Mapping[str, str] = {}
    """Variables of the environment of all commands."""
    files: tuple[str, ...] = ()
    """Patterns of files to keep, relative to the working directory."""
    folders: tuple[str, ...] = ()
    """Patterns of directories to keep, relative to the working directory."""
    check: bool = True
    """Whether a command that fails makes the job fail, and no other one is started; one that cannot be started always
    does."""
    keep: bool = False
    """Whether the scratch directory stays."""
    cores: int | None = None
    """How many cores the job may use; None: not told."""
    memory: int | None = None
    """How much memory the job may use [bytes]; None: not told."""


def _stage_nothing(_: Scratch) -> None:
    """There is nothing to stage."""


def _path(path: Path, _: str) -> Any:
    return str(path)


def _as_it_is(launch: Launch, _: Scratch) -> Launch:
    return launch


def _for_ever() -> float:
    return math.inf


@dataclass(frozen=True, kw_only=True)
class Tools:
    """What an attempt at a command job is given on its node; it does not travel."""

    root: Path
    """Where scratch directories are made."""
    run: str = ""
    """Id of the run."""
    job: str = ""
    """Key of the job."""
    attempt: int = 1
    """Which attempt this is; counts from 1."""
    time_left: Callable[[], float] = _for_ever
    """How long the attempt may still take [s]."""
    stage: Callable[[Scratch], Callable[[], object] | None] = _stage_nothing
    """Brings artifacts into `scratch.work` before anything else. What it returns is called after the last command, and
    raises where a command has changed what it must not."""
    store: Callable[[Path, str], Any] = _path
    """Keeps an output, after a failure too; gets its path and its name. What it returns stands in `Done.outputs`. It is
    called by several threads."""
    take: Callable[[Path], Any] = Path.read_bytes
    """Makes `Done.stdout` and `Done.stderr` of the files."""
    wrap: Callable[[Launch, Scratch], Launch] = _as_it_is
    """Has a command started in another way: in a container."""
    watch: Watch = field(default_factory=Watch)
    """Waits for commands, and raises to stop them."""
    kill: Callable[[int], object] = kill_group
    """Kills a command and what descends from it, gently at first; gets the id of a process that was not waited for."""
    stdout: Path | None = None
    """Where standard output is appended to; None: a file beside the working directory."""
    stderr: Path | None = None
    """Where standard error is appended to; None: a file beside the working directory."""


class Ended(NamedTuple):
    """How a command ended."""

    text: str
    """The command, with its parameters."""
    code: int | None
    """Exit code; 128 and the number of the signal where one ended it, as shells say it; None: it did not start, or was
    killed with the job."""
    end: str = ""
    """How it ended, for people: `exit code 1`, `signal SIGSEGV`, `timeout of 5 s`."""
    wall: float = 0.0
    """How long it took, all tries together [s]."""
    cpu: float = 0.0
    """CPU time of all its processes and tries [s]."""
    memory: int = 0
    """Peak memory of its processes, as far as it was seen [bytes]; 0: it was too short to be looked at."""
    attempts: int = 1
    """How often it was started."""
    stdout: tuple[int, int] = (0, 0)
    """The part of standard output that was written meanwhile: first byte and the one after the last [bytes]."""
    stderr: tuple[int, int] = (0, 0)
    """The part of standard error that was written meanwhile [bytes]."""
    sidecar: bool = False
    """Whether it ran beside the others."""


class Done(NamedTuple):
    """What an attempt at a command job left."""

    commands: tuple[Ended, ...]
    """Those that were started, in the order of the job."""
    outputs: dict[str, Any]
    """What `Tools.store` made of each output, by its name relative to the working directory; sorted."""
    stdout: Any
    """What `Tools.take` made of standard output: its bytes."""
    stderr: Any
    """What `Tools.take` made of standard error: its bytes."""
    failure: Exception | None = None
    """Why the attempt failed."""
    scratch: Path | None = None
    """The scratch directory, where it was kept."""
