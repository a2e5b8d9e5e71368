"""How sites of batch systems are run, as configured, and what speaks to their batch systems."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from daskflow.errors import SettingsInvalid, SiteUnknown
from daskflow.settings.kinds import BATCH, HERE
from daskflow.settings.options import Settings
from daskflow.settings.sites import PoolSettings, SiteSettings, built_in
from daskflow.sites.batch.system import Examined
from daskflow.sites.batch.table import system_of
from daskflow.sites.clusters import cores
from daskflow.sites.pilots.plan import SitePlan
from daskflow.sites.pools import Pool, Queue

_PROCESSES = "processes"
"""Directory, in the home of a site of this machine, of batch jobs that are processes."""
_MAX_PILOTS = 10
_NODES: int = Pool._field_defaults["nodes"]
"""What a pool allows that says nothing of nodes: as many as its queue."""
_LONG = 365 * 86400.0
"""Walltime of batch jobs of this machine that say none [s]."""
_SPARE = 8 << 30
"""Memory of a machine that does not tell how much it has [bytes]."""


def plan_of(name: str, site: SiteSettings, home: str) -> SitePlan:
    """How a site is run, whose batch jobs keep their files in `home`."""
    return SitePlan(
        pools=_pools(site),
        home=str(site.shared.expanduser().absolute()) if site.shared else home,
        interface=site.interface,
        worker_interface=site.worker_interface,
        dashboard=site.dashboard,
        tls=site.tls,
        python=os.path.expanduser(site.python) or sys.executable,
        environment=dict(site.environment),
        scratch=os.path.expanduser(site.scratch or ""),
        idle=site.idle,
        margin=site.margin,
        notice=site.notice,
        poll=site.poll,
        patience=site.patience,
        max_jobs=site.max_jobs,
        arrays=site.arrays,
    )


def _pools(site: SiteSettings) -> tuple[Pool, ...]:
    if site.kind not in BATCH:
        return (Pool("default", cores(), _machine_memory(), _LONG, nodes=1),)
    return tuple(_pool(name, pool) for name, pool in site.whole_pools().items())


def _pool(name: str, pool: PoolSettings) -> Pool:
    assert pool.cores is not None
    assert pool.memory != "auto"
    assert pool.walltime is not None
    return Pool(
        name,
        pool.cores,
        pool.memory,
        pool.walltime,
        gpus=pool.gpus or 0,
        queue=Queue(pool.queue or "", pool.account or "", pool.directives or (), pool.prologue or ()),
        minimum=pool.min_pilots or 0,
        maximum=_MAX_PILOTS if pool.max_pilots is None else pool.max_pilots,
        nodes=pool.nodes or _NODES,
    )


def _machine_memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return _SPARE


def batch_of(name: str, settings: Settings) -> tuple[Examined, SitePlan]:
    """The batch system of a site, and how the site is run.

    Raises
    ------
    SiteUnknown
        None is configured so.
    SettingsInvalid
        The site has no batch system.
    """
    return system_and_plan(name, site_of(name, settings), settings.home_of(name))


def site_of(name: str, settings: Settings) -> SiteSettings:
    """The settings of one site.

    Raises
    ------
    SiteUnknown
        None is configured so.
    """
    sites = built_in() | settings.sites
    if name not in sites:
        raise SiteUnknown(
            f"No site {name!r} is configured; there are {', '.join(sorted(sites))}. Add it under `sites:` in "
            "daskflow.yaml."
        )
    return sites[name]


def system_and_plan(name: str, site: SiteSettings, home: str) -> tuple[Examined, SitePlan]:
    """The same for a site by its own settings."""
    plan = plan_of(name, site, home)
    if site.kind in BATCH:
        options: dict[str, Any] = dict(site.system)
        return system_of(site.kind, **options), plan
    if site.kind in HERE:
        return system_of("local", home=str(Path(plan.home, _PROCESSES))), plan
    raise SettingsInvalid(
        f"The site {name!r} of the kind {site.kind!r} has no batch system. Name one of the kinds {', '.join(BATCH)}, "
        "or `local`."
    )
