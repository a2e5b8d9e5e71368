"""Sites that compute within the batch job that the driver itself runs in, as configured."""

from __future__ import annotations

import math
import time

from daskflow.errors import SettingsInvalid
from daskflow.execution.worker.perform import load_again, perform
from daskflow.settings.pilots import plan_of
from daskflow.settings.sites import SiteSettings
from daskflow.sites import Site
from daskflow.sites.batch.steps import Ground, Steps, completed, ground
from daskflow.sites.pilots.plan import SitePlan
from daskflow.sites.pilots.site import PilotSite
from daskflow.sites.pools import Pool

_LONG = 365 * 86400.0
"""Walltime of a batch job that says none [s]."""
_SHARE = 0.9
"""So much of a node's memory is for jobs; on one of them the driver runs as well."""
_SPARE = 4 << 30
"""Memory of nodes that Slurm does not share out [bytes]."""


def allocation_site(name: str, site: SiteSettings, boxes: str, home: str) -> Site:
    """A site of the nodes of the batch job around this process: a worker on each, started by srun.

    Raises
    ------
    SettingsInvalid
        This process runs in no job of Slurm.
    """
    found = ground()
    if found is None:
        raise SettingsInvalid(
            f"The site {name!r} computes on the nodes of the Slurm job that the driver runs in, and this process runs "
            "in none. Start it by `sbatch` or `salloc`, or name another site."
        )
    plan = within(plan_of(name, site, home), completed(found))
    made = PilotSite(name, plan, Steps(), perform, load_again, boxes=boxes)
    made.packages.shipping = site.shipping
    return made


def within(plan: SitePlan, found: Ground) -> SitePlan:
    """The plan of a site with one pilot on each node of a batch job, from the beginning to the end."""
    left = _LONG if found.ends is None else max(found.ends - time.time(), 1.0)
    pool = Pool(
        "nodes",
        found.cores,
        int((_SPARE if found.memory is None else found.memory) * _SHARE),
        left,
        minimum=found.nodes,
        maximum=found.nodes,
    )
    return plan._replace(pools=(pool,), idle=math.inf, max_jobs=None)
