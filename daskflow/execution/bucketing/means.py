"""What works of one site are made with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from daskflow.artifacts.values import Values
from daskflow.execution.bucketing.deposit import Deposit, bucket_of
from daskflow.execution.bucketing.packing import Packing
from daskflow.execution.bucketing.parcel import PERFORM
from daskflow.model.work import Work
from daskflow.stores.buckets.buckets import Buckets

_TIMEOUT = 86400
"""Longest time that a work may take [s]; the job has a timeout of its own."""
_TIMES = 3
"""A work whose agent was lost is performed so often."""


class Means(NamedTuple):
    """What works of one site are made with."""

    site: str
    """Name of the site that they are for."""
    user: str
    pipeline: str
    """Bucket of all of them; empty: each task has its own."""
    buckets: Callable[[], Buckets]
    """Opens the buckets."""
    values: Values
    logs: Path
    """Directory of the logs of all runs."""
    options: tuple[str, ...] = ()
    """What agents are told by their command line to find the works."""


def work_of(deposit: Deposit, means: Means, packing: Packing) -> Work:
    """The work that performs a node.

    Raises
    ------
    DaskflowError
        As `Packing.parameters`.
    """
    node = deposit.node
    return Work(
        pipeline=means.pipeline or bucket_of(node.needs.kind),
        site=means.site,
        user=means.user,
        function=PERFORM,
        parameters=packing.parameters(node, deposit.foreign),
        tags=[node.run, deposit.job],
        timeout=_TIMEOUT,
        retries=_TIMES,
        config={"parent": node.run, "archive": {"products": "bypass", "plots": "bypass", "logs": "bypass"}},
    )
