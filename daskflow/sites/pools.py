"""Pools: groups of like workers of one site, and what of a site every batch job is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from daskflow.model.needs import Needs
from daskflow.model.quantities import as_bytes, as_seconds


class Queue(NamedTuple):
    """What batch jobs of one pool tell the batch system, beside their size."""

    queue: str = ""
    """Partition or queue; empty: the system's default."""
    account: str = ""
    """Who pays; empty: the user's default."""
    directives: tuple[str, ...] = ()
    """Further lines of the head of each job script, without their prefix: `--qos=long`."""
    prologue: tuple[str, ...] = ()
    """Lines of shell before anything else of the job: `module load python`."""


class Pool(NamedTuple):
    """A group of like workers: each is one batch job on one node."""

    name: str
    cores: int
    """Of one pilot."""
    memory: int
    """Of one pilot [bytes]."""
    walltime: float
    """Of one pilot [s]."""
    gpus: int = 0
    """Of one pilot."""
    queue: Queue = Queue()
    minimum: int = 0
    """So many pilots are there as long as the site is open."""
    maximum: int = 10
    """Not more pilots at a time, but for those that come to replace others which are about to end."""
    nodes: int = 1 << 20
    """Nodes that a batch job of several nodes may span here at most; what the queue allows is the system's matter."""

    def share(self, needs: Needs) -> int:
        """Memory that a node with these needs gets [bytes]: what was declared, or its share by cores."""
        return needs.memory if needs.memory is not None else self.memory * min(needs.cores, self.cores) // self.cores

    def lacks(self, needs: Needs, margin: float = 0.0) -> list[str]:
        """What a pilot lacks to hold one node with these needs; nothing where it holds one.

        Parameters
        ----------
        margin
            Of the walltime so much is not for jobs [s].
        """
        found = []
        if needs.nodes > 1:
            found.append(f"{needs.nodes} nodes (pilots have one)")
        if needs.cores > self.cores:
            found.append(f"{needs.cores} cores (it has {self.cores})")
        if needs.memory is not None and needs.memory > self.memory:
            found.append(f"{as_bytes(needs.memory)} of memory (it has {as_bytes(self.memory)})")
        if needs.gpus > self.gpus:
            found.append(f"{needs.gpus} gpus (it has {self.gpus})")
        if needs.declared and needs.seconds is not None and needs.seconds > self.walltime - margin:
            found.append(
                f"{as_seconds(needs.seconds)} of walltime (it has {as_seconds(max(0.0, self.walltime - margin))})"
            )
        return found

    def excess(self, needs: Needs) -> float:
        """By which factor a node needs more than a pilot has, at what it needs most of."""
        seconds = needs.seconds if needs.declared and needs.seconds is not None else 0.0
        return max(
            needs.cores / self.cores,
            (needs.memory or 0) / self.memory,
            needs.gpus / self.gpus if self.gpus else 0.0,
            seconds / self.walltime,
        )


def first_fit(pools: Sequence[Pool], needs: Needs, margin: float = 0.0) -> Pool | None:
    """The first pool whose pilots hold a node with these needs."""
    return next((pool for pool in pools if not pool.lacks(needs, margin)), None)


def misfit(site: str, pools: Sequence[Pool], needs: Needs, margin: float = 0.0) -> str:
    """Why no pool holds a node with these needs, and which comes nearest; empty where one does."""
    if first_fit(pools, needs, margin) is not None:
        return ""
    nearest = min(pools, key=lambda pool: (len(pool.lacks(needs, margin)), pool.excess(needs)))
    return (
        f"No pool of the site {site!r} holds it. The nearest is {nearest.name!r}, which lacks "
        f"{', '.join(nearest.lacks(needs, margin))}. Ask for less by Resources(...), or add a pool to the site."
    )
