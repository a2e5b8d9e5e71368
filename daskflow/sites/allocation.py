"""What this process has of a batch system: the pilot, or the batch job, that it runs in."""

from __future__ import annotations

import time
from typing import NamedTuple


class Allocation(NamedTuple):
    """What one batch job has."""

    system: str
    """Kind of the batch system: `slurm`."""
    id: str
    """Id of the batch job."""
    site: str
    pool: str
    """Empty for a batch job of its own."""
    node: str
    cores: int
    memory: int
    """[bytes]"""
    gpus: int = 0
    ends: float | None = None
    """When its walltime is over; seconds since the epoch [s]. None: nobody knows."""
    notice: float = 0.0
    """So long before its end what is performed is told to stop [s]."""

    def time_left(self) -> float:
        """How long it goes on [s]; infinite where nobody knows."""
        return float("inf") if self.ends is None else self.ends - time.time()


_here: Allocation | None = None


def settle(allocation: Allocation | None) -> None:
    """Say what this process, and its forks from now on, have."""
    global _here
    _here = allocation


def here() -> Allocation | None:
    """What this process has; None where no batch system gave it anything."""
    return _here
