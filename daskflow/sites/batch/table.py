"""The batch systems that daskflow knows, by the kind of site."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from daskflow.errors import SettingsInvalid
from daskflow.sites.batch.htcondor import Htcondor
from daskflow.sites.batch.lsf import Lsf
from daskflow.sites.batch.oar import Oar
from daskflow.sites.batch.pbs import Pbs
from daskflow.sites.batch.processes import Processes
from daskflow.sites.batch.sge import Sge
from daskflow.sites.batch.slurm import Slurm
from daskflow.sites.batch.system import Examined

SYSTEMS: dict[str, Callable[..., Examined]] = {
    "htcondor": Htcondor,
    "local": Processes,
    "lsf": Lsf,
    "oar": Oar,
    "pbs": Pbs,
    "sge": Sge,
    "slurm": Slurm,
}
"""What makes a batch system, by the kind of site."""


def system_of(kind: str, home: str = "", **options: Any) -> Examined:
    """The batch system of a kind of site.

    Parameters
    ----------
    home
        Directory for the jobs of `local`; the others need none.
    options
        What its class takes beside that.

    Raises
    ------
    SettingsInvalid
        There is no such kind.
    """
    if kind not in SYSTEMS:
        raise SettingsInvalid(f"There is no batch system {kind!r}. Choose one of {', '.join(sorted(SYSTEMS))}.")
    return SYSTEMS[kind](home, **options) if kind == Processes.name else SYSTEMS[kind](**options)
