"""What the driver sends to a worker: packages of assignments, opaque to everybody between."""

from __future__ import annotations

import pickle
from typing import Any, NamedTuple

from daskflow.artifacts.values import Values
from daskflow.model.outcome import Stored

Source = int | tuple[int, str] | str | Stored
"""Where the value for a slot comes from: a value passed along with the package, by its position; a member of a bundle
passed along, by position and key; an earlier assignment of the same package, by its key; or a stored value."""


class Attempts(NamedTuple):
    """How often an assignment may be tried."""

    retries: int
    retry_on: tuple[type[BaseException], ...]
    pauses: tuple[float, ...]
    """Pause before each further attempt [s]."""
    timeout: float | None
    """[s]"""


ONCE = Attempts(0, (Exception,), (), None)


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


class Shipped(NamedTuple):
    """A task, as the worker gets it."""

    task: Any
    parts: dict[str, str]
    """The parts of its fingerprint, where the worker imports the code; empty where the code came along."""


class Bench(NamedTuple):
    """What a worker needs to perform the jobs of one run."""

    run: str
    values: Values
    logs: str
    """Directory of the log files; empty where nothing is kept."""
    boxes: str
    """Directory of the black boxes; empty where nothing is kept."""


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
