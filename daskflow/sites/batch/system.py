"""What a batch system is for daskflow: the contract that each one keeps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from daskflow.sites.pools import Queue


class Phase(StrEnum):
    """Where a batch job stands, whatever its system calls it."""

    pending = "pending"
    running = "running"
    ended = "ended"
    """It will never run any more: completed, failed, cancelled."""


class Ask(NamedTuple):
    """What a batch job asks for."""

    name: str
    cores: int
    """On each node."""
    memory: int
    """On each node [bytes]."""
    walltime: float
    """[s]"""
    log: str
    """Path of the file that gets its output and errors; of an array `%s` in it stands for what tells its jobs apart."""
    gpus: int = 0
    """On each node."""
    nodes: int = 1
    tasks: int | None = None
    """Ranks of an MPI program over all nodes; None: one for each core."""
    count: int = 1  # type: ignore[assignment]  # nobody counts the fields of this tuple
    """So many equal jobs, by one submission where the system has arrays."""
    queue: Queue = Queue()
    avoid: tuple[str, ...] = ()
    """Nodes on which it must not run, where the system can be told."""
    warn: float | None = None
    """So long before its walltime the batch system sends SIGUSR1 to the script, where it can [s]."""
    requeue: bool = False
    """Whether the job may be put into the queue again, under its id."""


_INDEX = re.compile(r"\d+[_.\[](\d+)")


def log_of(ask: Ask, id: str) -> str:
    """Path of the log of one job of a submission: `%s` in it is its index within the array, or its id if it has none.

    Examples
    --------
    >>> log_of(Ask("a", 1, 1, 1.0, "/logs/a-%s.log", count=8), "123_7")
    '/logs/a-7.log'
    """
    found = _INDEX.match(id)
    return ask.log.replace("%s", "0" if ask.count == 1 else found.group(1) if found else id)


def slots_of(ask: Ask) -> int:
    """The cores of a job over all its nodes, for systems that count nothing else; not less than its ranks.

    Examples
    --------
    >>> slots_of(Ask("a", 16, 1, 1.0, "log", nodes=2, tasks=4))
    32
    """
    return max(ask.nodes * ask.cores, ask.tasks or 0)


class Standing(NamedTuple):
    """How one batch job stands."""

    id: str
    phase: Phase
    state: str
    """The system's own word: `PENDING`, `Eqw`."""
    reason: str = ""
    """Why it waits, or did not start: `Resources`, `PartitionTimeLimit`."""
    node: str = ""
    """Node or nodes, as the system writes them."""
    name: str = ""
    start: float | None = None
    """Seconds since the epoch [s]."""
    end: float | None = None
    """When its time is over, or it ended; seconds since the epoch [s]."""
    hopeless: bool = False
    """Whether it waits for what will never be, such as more time than its queue allows."""


class Certificate(NamedTuple):
    """How one batch job ended, by the batch system's own record."""

    id: str
    error: str
    """Name of the error class: `WalltimeExceeded`, `OutOfMemory`, `NodeFailure`, `Preempted`, `Cancelled`,
    `WorkerLost` (it failed otherwise); empty: it ended well."""
    state: str
    """The system's own word: `TIMEOUT`."""
    exit_code: int | None = None
    signal: int | None = None
    node: str = ""
    start: float | None = None
    stop: float | None = None
    """Seconds since the epoch [s]."""
    memory: int | None = None
    """Peak memory, where the system tells it [bytes]."""
    reason: str = ""

    @property
    def text(self) -> str:
        """The record in a line, for messages."""
        parts = [f"batch job {self.id}: {self.state}"]
        parts += [f"exit code {self.exit_code}"] if self.exit_code else []
        parts += [f"signal {self.signal}"] if self.signal else []
        parts += [f"on {self.node}"] if self.node else []
        parts += [self.reason] if self.reason and self.reason != "None" else []
        return ", ".join(parts)


class Limits(NamedTuple):
    """One queue of a batch system, as the system itself tells it."""

    queue: str
    walltime: float | None = None
    """Longest walltime [s]; None: no limit."""
    nodes: int | None = None
    cores: int | None = None
    """Of its largest node."""
    memory: int | None = None
    """Of its largest node [bytes]."""
    gpus: int | None = None
    up: bool = True
    default: bool = False


class BatchSystem(Protocol):
    """A batch system: what it is told, and what it is asked.

    Notes
    -----
    All methods may be called from any thread, block, and raise `BatchError`s: `BatchMissing` where its commands are not
    installed, `BatchSilent` where it does not answer (transient), `BatchRefused` where it says no. Nothing else calls
    programs of a batch system.
    """

    name: str
    """The kind of site: `slurm`."""
    own_id: str
    """Shell text that gives a job its own id, as `submit` gave it: `${SLURM_JOB_ID}`."""
    own_node: str
    """Shell text that gives a job the name of its first node, as the system knows it."""
    launch: str
    """How an MPI program is started within a job: `srun`, `mpirun`."""

    def script(self, ask: Ask, body: Sequence[str]) -> str:
        """The job script: its head, and lines of shell."""

    def submit(self, script: str, ask: Ask) -> list[str]:
        """Submit `ask.count` jobs by one call where that is possible; their ids."""

    def standings(self, ids: Iterable[str]) -> Mapping[str, Standing]:
        """How jobs stand, by one call for all; those are missing of which the system knows nothing (any more)."""

    def certificates(self, ids: Iterable[str]) -> Mapping[str, Certificate]:
        """How jobs ended, as far as the system's record tells it already; by one call where that is possible."""

    def cancel(self, ids: Iterable[str]) -> None:
        """Cancel jobs, by one call; those that ended already are no error."""

    def limits(self) -> Sequence[Limits]:
        """The queues; nothing where the system does not tell."""


class Examined(BatchSystem, Protocol):
    """A batch system that can be looked over before anything is submitted."""

    commands: tuple[str, ...]
    """The programs that it needs."""

    def alive(self) -> None:
        """See whether it answers; raises why it does not."""

    def rehearse(self, script: str) -> None:
        """Ask whether it would take a job script, where it can be asked; raises why it would not."""
