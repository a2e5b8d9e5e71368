"""Decides what an attempt may use of the batch job that it is made in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from daskflow.execution.worker.package import Assignment, Attempts
from daskflow.model.quantities import as_bytes
from daskflow.sites.allocation import Allocation, here


class Share(NamedTuple):
    """Memory that an attempt may use."""

    memory: int | None
    """[bytes]; None: all it can get."""
    basis: str = ""
    """Where the figure comes from, for messages."""


def share_of(memory: int | None, cores: int, place: Allocation | None = None) -> Share:
    """The memory of an attempt that declared so much [bytes], and so many cores.

    What was declared counts; else, in a batch job, its part of that one's memory, by cores.
    """
    if memory is not None:
        return Share(memory, "as was asked for")
    place = place or here()
    if place is None or place.memory <= 0:
        return Share(None)
    all_cores = max(1, place.cores)
    own = min(max(1, cores), all_cores)
    return Share(
        place.memory * own // all_cores,
        f"its share, by {own} of {all_cores} cores, of the {as_bytes(place.memory)} of the batch job {place.id} on "
        f"{place.node}",
    )


def kept_here(limits: Attempts) -> Attempts:
    """The limits of an attempt in this process: in a batch job it gets a process of its own, and its share."""
    place = here()
    if place is None:
        return limits
    own = share_of(limits.memory, limits.cores, place)
    return limits._replace(memory=own.memory, basis=own.basis, isolated=True, whole=True)


def share_process(assignments: Sequence[Assignment]) -> bool:
    """Whether the assignments of a bundle share one process in a batch job: none of them has limits of its own."""
    return here() is not None and all(_plain(assignment.attempts) for assignment in assignments)


def _plain(limits: Attempts) -> bool:
    return not (limits.apart or limits.kept or limits.gpus) and limits.cores == 1
