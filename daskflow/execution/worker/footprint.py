"""What an attempt had, and what all of its processes used: its footprint on the machine."""

from __future__ import annotations

import os
from typing import NamedTuple

from daskflow.execution.worker.capture import HOST
from daskflow.execution.worker.package import Attempts
from daskflow.sites.allocation import here
from daskflow.sites.processes import ProcessTree

_WORTH = 1.25
"""An attempt that is told to stop after a quarter of the notice has got on a little."""


def footprint(limits: Attempts) -> tuple[str, str, int, int]:
    """What an attempt with these limits has in this process.

    Returns
    -------
    tuple
        The node; the id of the batch job, empty where there is none; cores; memory that it can use [bytes], 0 where
        nothing limits it.
    """
    place = here()
    if place is None:
        return HOST, "", limits.cores, limits.memory or 0
    return place.node or HOST, place.id, limits.cores, limits.memory or 0


def worth_here() -> float:
    """How much time an attempt should have that looks whether it should stop: else it is told so at once [s]."""
    place = here()
    return 0.0 if place is None else _WORTH * place.notice


class Span(NamedTuple):
    """The time that an attempt took in a process of its own."""

    start: float
    """Seconds since the epoch [s]."""
    stop: float
    """Seconds since the epoch [s]."""
    cpu: float
    """CPU time [s]."""


def cpu_here() -> float:
    """CPU time that this process has used, and those that it has waited for [s]."""
    return sum(os.times()[:4])


def cpu_of(tree: ProcessTree) -> float:
    """CPU time that the living processes of a tree have used, and those that they have waited for [s]."""
    from psutil import Error

    spent = 0.0
    for process in tree.look():
        try:
            spent += sum(process.cpu_times()[:4])
        except Error:  # it ended meanwhile; who waits for it counts it
            continue
    return spent
