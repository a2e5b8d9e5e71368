"""What a service is: a batch job that people know by its name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from daskflow.errors import ArgumentsInvalid
from daskflow.model.mistakes import mistakes_in
from daskflow.model.quantities import Bytes, Seconds

NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.\-]{0,99}$"
"""Names are those of directories, and of batch jobs."""


class ServiceState(StrEnum):
    """How far a service has come."""

    pending = "pending"
    """The batch system has not started it."""
    running = "running"
    completed = "completed"
    """Its command ended with exit code 0."""
    failed = "failed"
    """Its command ended with another exit code, or something ended it: its walltime, its node, somebody else."""
    killed = "killed"
    """It was killed by its name."""

    @property
    def final(self) -> bool:
        """Whether it has ended."""
        return self not in (ServiceState.pending, ServiceState.running)


class ServiceOrder(BaseModel):
    """What is asked for when a service is spawned."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    command: str | tuple[str, ...] = Field(min_length=1)
    """A line for the shell, or a program with its arguments, which no shell sees."""
    cores: int = Field(default=1, ge=1)
    """Cores that are reserved on each node."""
    core_limit: int | None = Field(default=None, ge=1)
    """Cores that its processes can use at most, on Linux; None: those that the batch system lets them use."""
    memory: Bytes | None = Field(default=None, gt=0)
    """Memory that is reserved on each node [bytes]; None: its share of the pool's, by cores."""
    memory_limit: Bytes | None = Field(default=None, gt=0)
    """Memory over which it is killed [bytes]; None: what is reserved. More than `memory` is reserved instead of it,
    since batch systems kill what uses more than was reserved."""
    walltime: Seconds | None = Field(default=None, gt=0)
    """After this time it is killed [s]; None: the walltime of the pool."""
    gpus: int = Field(default=0, ge=0)
    """Graphics processors on each node."""
    nodes: int = Field(default=1, ge=1)
    """Nodes that it spans; its command runs on the first, and starts what runs on the others by `srun` or `mpirun`."""
    tasks: int | None = Field(default=None, ge=1)
    """Ranks of an MPI program, over all nodes; None: one for each core."""
    env: dict[str, str] = {}
    """Variables for its command."""
    image: str = ""
    """Container image in which the command runs; empty: in none."""
    binds: tuple[str, ...] = ()
    """What of the host a container shows: `/source`, `/source:/target` or `/source:/target:rw`."""
    pool: str | None = None
    """The pool whose queue it goes to; None: the first that holds it."""
    queue: str | None = None
    """Partition or queue, in place of the pool's."""
    workdir: str = ""
    """Where its command starts; empty: where it was spawned."""

    @model_validator(mode="after")
    def _binds_show_in_images(self) -> ServiceOrder:
        if self.binds and not self.image:
            raise ValueError("binds show directories in a container, but no image is named: image=...")
        return self

    @classmethod
    def of(cls, command: str | Iterable[str], options: Mapping[str, Any]) -> ServiceOrder:
        """The order that options make.

        Raises
        ------
        ArgumentsInvalid
            An option is unknown, or does not fit.
        """
        known = [name for name in cls.model_fields if name != "command"]
        for name in options:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(known)}."
                raise ArgumentsInvalid(f"A service has no option {name!r}. {hint}")
        given = command if isinstance(command, str) else tuple(map(str, command))
        try:
            return cls.model_validate({"command": given, **options})
        except ValidationError as error:
            first = mistakes_in(error, {"command": given, **options})[0]
            raise ArgumentsInvalid(f"The {first.where or 'order'!r} of a service does not fit: {first.text}.") from None


class ServiceRecord(BaseModel):
    """A service that was spawned, as it is written down."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, ser_json_inf_nan="constants")

    name: str = Field(pattern=NAME)
    token: str
    """Tells it from all services that had or will have its name."""
    order: ServiceOrder
    pool: str
    """The pool whose queue it went to."""
    memory: int
    """What it may use on each node [bytes]."""
    walltime: float
    """[s]"""
    created: float
    """Seconds since the epoch [s]."""
    index: int = 0
    """Its place among those that were spawned together."""


class ServiceStanding(NamedTuple):
    """How one service stands."""

    name: str
    state: ServiceState
    id: str = ""
    """Id of its batch job; empty: it has none yet."""
    reason: str = ""
    """Why it waits, or did not end well."""
    error: str = ""
    """Name of the error class where it did not end well: `OutOfMemory`, `WalltimeExceeded`, `CommandFailed` ..."""
    node: str = ""
    created: float = 0.0
    """Seconds since the epoch [s]."""
    started: float | None = None
    """Seconds since the epoch [s]."""
    ended: float | None = None
    """Seconds since the epoch [s]."""
    exit_code: int | None = None
    memory: int | None = None
    """Peak memory on its first node, once it has ended [bytes]."""
    cpu: float | None = None
    """CPU time on its first node, once it has ended [s]."""
    hopeless: bool = False
    """Whether it waits for what will never be, such as more time than its queue allows."""

    @property
    def living(self) -> bool:
        """Whether it waits or runs, so that its name is taken."""
        return not self.state.final


class Progress(NamedTuple):
    """How many of some services stand how."""

    completed: int = 0
    failed: int = 0
    """With those that were killed, and those that wait for what will never be."""
    running: int = 0
    pending: int = 0

    @classmethod
    def of(cls, standings: Iterable[ServiceStanding]) -> Progress:
        """Count services.

        Examples
        --------
        >>> Progress.of([ServiceStanding("a", ServiceState.completed), ServiceStanding("b", ServiceState.killed)])
        Progress(completed=1, failed=1, running=0, pending=0)
        """
        counts = dict.fromkeys(cls._fields, 0)
        for standing in standings:
            bad = standing.hopeless or standing.state is ServiceState.killed
            counts["failed" if bad else standing.state] += 1
        return cls(**counts)

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(self)

    @property
    def done(self) -> bool:
        """Whether nothing will change any more."""
        return self.running == self.pending == 0

    @property
    def percent(self) -> dict[str, int]:
        """The percentage of each; together they are 100, unless there is nothing.

        Examples
        --------
        >>> Progress(1, 1, 1, 0).percent
        {'completed': 34, 'failed': 33, 'running': 33, 'pending': 0}
        """
        if not self.total:
            return dict.fromkeys(self._fields, 0)
        shares = [100 * count // self.total for count in self]
        rests = sorted(range(len(self)), key=lambda place: -(100 * self[place] % self.total))
        for place in rests[: 100 - sum(shares)]:
            shares[place] += 1
        return dict(zip(self._fields, shares, strict=True))

    def __str__(self) -> str:
        return ", ".join(f"{name} {share} %" for name, share in self.percent.items()) + f" (of {self.total})"
