"""What the nodes of each site offer to command jobs, as configured."""

from __future__ import annotations

from daskflow.artifacts.cache import NodeCache
from daskflow.commands.containers.container import Containers
from daskflow.commands.containers.runtimes import RUNTIMES
from daskflow.execution.commanding.station import Station
from daskflow.execution.project import BATCH, BUCKET
from daskflow.settings.options import Settings, SiteSettings, built_in


def station_of(settings: Settings, site: str) -> Station:
    """What the nodes of a site offer, or of the one for batch jobs, or for jobs in buckets, that stands beside it."""
    name = site.removesuffix(BATCH).removesuffix(BUCKET)
    # Of a site that only agents serve nothing is configured here.
    own = (built_in() | settings.sites).get(name) or SiteSettings()
    order = (settings.containers if own.containers is None else own.containers) or RUNTIMES
    cache = NodeCache(settings.cache, settings.cache_limit)
    containers = Containers(cache.root / "images", order, own.container_options, own.binds)
    return Station(settings.scratch if own.scratch is None else own.scratch, containers, cache)
