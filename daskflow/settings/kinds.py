"""The kinds of sites, and which options each has."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias, get_args

HERE = ("processes", "threads", "synchronous")
"""Kinds that compute on the driver's own machine."""
Batch: TypeAlias = Literal["slurm", "pbs", "sge", "lsf", "oar", "htcondor"]
BATCH: tuple[str, ...] = get_args(Batch)
"""Kinds whose workers are jobs of a batch system."""
BATCHING = (*HERE, *BATCH)
"""Kinds that can have batch jobs of their own: on this machine these are processes."""
SPANNING = (*BATCH, "allocation")
"""Kinds whose workers may be on other machines than the driver, and are started by it."""
Kind: TypeAlias = Literal["processes", "threads", "synchronous", "dask", "allocation"] | Batch

POOL_OPTIONS = (
    "queue",
    "account",
    "cores",
    "walltime",
    "gpus",
    "nodes",
    "min_pilots",
    "max_pilots",
    "directives",
    "prologue",
)
_FLEET_OPTIONS = ("pools", "idle", "max_jobs", "arrays")
_WORKER_OPTIONS = (
    "shared",
    "interface",
    "worker_interface",
    "tls",
    "python",
    "environment",
    "margin",
    "notice",
    "poll",
    "patience",
)

KINDS_OF: dict[str, tuple[str, ...]] = (
    dict.fromkeys((*POOL_OPTIONS, *_FLEET_OPTIONS, "system"), BATCH)
    | dict.fromkeys(_WORKER_OPTIONS, SPANNING)
    | {
        "address": ("dask",),
        "workers": (*HERE, "dask"),
        "threads": (*HERE, "dask"),
        "dashboard": (*HERE, "dask", *SPANNING),
    }
)
"""The kinds that have an option; those that are not here all kinds have."""


SYSTEM_OPTIONS: dict[str, tuple[str, ...]] = {
    "slurm": ("cluster", "timeout"),
    "pbs": ("torque", "timeout"),
    "sge": ("parallel", "spanning", "memory", "timeout"),
    "lsf": ("timeout",),
    "oar": ("memory", "timeout"),
    "htcondor": ("disk", "timeout"),
}
"""What the option `system` may say, by the kind of site."""


def strangers(kind: str, options: Iterable[str]) -> list[str]:
    """Of some options those that this kind of site has not.

    Examples
    --------
    >>> strangers("slurm", ["queue", "address"])
    ['address']
    """
    return [name for name in options if kind not in KINDS_OF.get(name, (kind,))]
