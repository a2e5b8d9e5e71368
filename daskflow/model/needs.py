"""What one unit of work needs of the place that performs it."""

from __future__ import annotations

from typing import NamedTuple


class Needs(NamedTuple):
    """What a node needs: a named tuple, since one is made for every job."""

    cores: int = 1
    """On each node."""
    memory: int | None = None
    """On each node [bytes]; None: its share of a worker, by cores."""
    gpus: int = 0
    """On each node."""
    seconds: float | None = None
    """How long it takes at most, as declared, or as learned from earlier runs [s]; None: nobody knows."""
    declared: bool = False
    """Whether somebody said how long it takes, so that nothing is learned instead."""
    kind: str = ""
    """Nodes of one kind take about equally long: name and code of the task."""
    nodes: int = 1
    """Machines that it spans."""
    tasks: int | None = None
    """Ranks of an MPI program, over all nodes; None: one for each core."""
    at_least: float = 0.0
    """With less time than this it gets nowhere, however long it takes [s]."""


PLAIN_NEEDS = Needs()
"""One core, for nobody knows how long."""
