"""Builds the sites whose work is jobs of a batch system; apart, since most projects have none."""

from __future__ import annotations

from daskflow.execution.project import BATCH
from daskflow.execution.worker.perform import load_again, perform
from daskflow.settings.pilots import system_and_plan
from daskflow.settings.sites import SiteSettings
from daskflow.sites import Site
from daskflow.sites.batch.batchsite import BatchSite
from daskflow.sites.pilots.site import PilotSite


def pilot_site(name: str, site: SiteSettings, boxes: str, home: str) -> Site:
    """A site whose workers are jobs of a batch system."""
    system, plan = system_and_plan(name, site, home)
    made = PilotSite(name, plan, system, perform, load_again, boxes=boxes)
    made.packages.shipping = site.shipping
    return made


def batch_site(name: str, site: SiteSettings, boxes: str, home: str) -> Site:
    """A site where each node is a batch job of its own; `name` is that of the site beside which it stands."""
    system, plan = system_and_plan(name, site, home)
    made = BatchSite(f"{name}{BATCH}", system, plan, perform, boxes=boxes)
    made.packages.shipping = site.shipping
    return made
