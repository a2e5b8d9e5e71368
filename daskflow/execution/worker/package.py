"""What the driver sends to a worker: packages of assignments, opaque to everybody between."""

from __future__ import annotations

import pickle
from typing import Any, NamedTuple

from daskflow.artifacts.values import Values
from daskflow.execution.worker.retry import Retry
from daskflow.model.outcome import InputFile, Stored

Source = int | tuple[int, str] | str | Stored
"""Where the value for a slot comes from: a value passed along with the package, by its position; a member of a bundle
passed along, by position and key; an earlier assignment of the same package, by its key; or a stored value."""


class Attempts(NamedTuple):
    """How often an assignment may be tried, and what an attempt may use."""

    retries: int = 0
    retry: Retry | None = None
    """Which errors are worth another attempt; None: all."""
    pauses: tuple[float, ...] = ()
    """Pause before each further attempt [s]."""
    jitter: float = 0.0
    """Random fraction by which pauses are longer or shorter."""
    timeout: float | None = None
    """After this time an attempt is killed [s]."""
    memory: int | None = None
    """Over this memory an attempt is killed [bytes]."""
    isolated: bool = False
    """Whether attempts are made in a process of their own even without limits, so that they can be killed at once."""

    cores: int = 1
    """How many cores an attempt may use."""
    kept: bool = False
    """Whether the task itself sees to it that the limits are kept, and ends when its node is killed."""
    gpus: int = 0
    """How many graphics processors an attempt uses."""
    basis: str = ""
    """Where the limit of memory comes from, for messages."""
    whole: bool = False
    """Whether the process of its own also reads what the attempt gets, and stores what it gives."""

    @property
    def apart(self) -> bool:
        """Whether attempts are made in a process of their own."""
        if self.kept:
            return False
        return self.isolated or self.timeout is not None or self.memory is not None


ONCE = Attempts()


class Assignment(NamedTuple):
    """One job, as the worker gets it."""

    key: str
    task: int
    """Which of the package's tasks it is a call of."""
    arguments: list[Any]
    sources: tuple[Source, ...] = ()
    attempts: Attempts = ONCE
    priors: tuple[tuple[str, Stored], ...] = ()
    """Earlier results of the same code and other upstream jobs, by the digest of what these gave: for early cutoff."""
    first: int = 1
    """Number of the first attempt."""
    files: tuple[InputFile, ...] = ()
    """Files and directories that its key tells the content of."""
    failed: int = 0
    """How many attempts before these failed, of those that it may make."""


class Shipped(NamedTuple):
    """A task, as the worker gets it."""

    task: Any
    parts: dict[str, str]
    """The parts of its fingerprint that the worker imports by their names."""
    package: str = ""
    """Name and version of the package that it belongs to, where the worker imports the task itself."""
    places: tuple[str, ...] = ()
    """Where the code of the parts is, as `module:name`, where the task itself came along."""


class Bench(NamedTuple):
    """What a worker needs to perform the jobs of one run."""

    run: str
    values: Values
    logs: str
    """Directory of the log files; empty where nothing is kept."""
    boxes: str
    """Directory of the black boxes; empty where nothing is kept."""
    kit: Any = None
    """The signing key and the formats of the user, which take effect where they arrive; None: what is there serves."""


class Package(NamedTuple):
    """What one call of `perform` gets."""

    node: str
    """Key of the node that it is the package of."""
    bench: bytes
    tasks: tuple[bytes, ...]
    assignments: tuple[Assignment, ...]
    wanted: tuple[str, ...]
    """Keys whose values somebody outside of the package needs."""
    bundle: bool
    """Whether the value is a dictionary by key, or that of the only assignment."""


def pack(package: Package, plain: bool) -> bytes:
    """The bytes of a package; `plain` promises that no argument is an object of a class of the main module."""
    if plain:
        return pickle.dumps(package, protocol=5)
    import cloudpickle

    made: bytes = cloudpickle.dumps(package, protocol=5)
    return made
