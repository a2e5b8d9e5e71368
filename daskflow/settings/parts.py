"""The parts that a configuration describes, wired to each other."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

from daskflow.artifacts.cache import NodeCache
from daskflow.artifacts.forms.keys import key_in
from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.values import Values
from daskflow.execution.project import BATCH, BOXES, BUCKET, Project
from daskflow.execution.worker.perform import load_again, perform
from daskflow.settings.kinds import BATCH as BATCH_KINDS
from daskflow.settings.kinds import BATCHING
from daskflow.settings.options import Settings, SiteSettings, built_in, load
from daskflow.sites import ClusterSite, Site, SynchronousSite
from daskflow.sites.clusters import Connect, cores, local_cluster, running_cluster
from daskflow.stores import Database, Journal


def open_project(settings: Settings | None = None, *, readonly: bool = False) -> Project:
    """Build the parts that runs need, as configured.

    Parameters
    ----------
    readonly
        Look at what is recorded, and make and change nothing.
    """
    settings = settings or load()
    boxes = str(settings.logs.expanduser().absolute() / BOXES)
    makers: dict[str, Callable[[], Site]] = {}
    for name, found in (built_in() | settings.sites).items():
        home = settings.home_of(name)
        makers[name] = functools.partial(make_site, name, found, boxes, home)
        if found.kind in BATCHING:
            makers[f"{name}{BATCH}"] = functools.partial(_make_batch_site, name, found, boxes, home)
    values = values_of(settings)
    for name in (*built_in(), *settings.sites, *settings.works.sites):
        makers[f"{name}{BUCKET}"] = functools.partial(_make_bucket_site, name, settings, values)
    makers[BUCKET] = functools.partial(_make_depositor, settings)
    project = Project(
        Journal(Database(os.path.expanduser(settings.store), readonly=readonly), settings.store_patience),
        values,
        settings.logs.expanduser().absolute(),
        sites=makers,
        default_site=settings.site,
        bundling=settings.bundling,
    )
    project.station = functools.partial(_station, settings)
    if not readonly:
        project.notify(settings.notifications)
    return project


def make_site(name: str, settings: SiteSettings, boxes: str, home: str = "") -> Site:
    """Build one site; it opens when jobs are submitted to it.

    Parameters
    ----------
    boxes
        Directory of the workers' black boxes.
    home
        Directory of what its batch jobs share with the driver, where the site itself names none; empty: as for a
        configuration that says nothing.
    """
    if settings.kind == "synchronous":
        return SynchronousSite(name, perform)
    if settings.kind in BATCH_KINDS:
        from daskflow.settings.batchsites import pilot_site  # noqa: PLC0415, most projects have no batch system

        return pilot_site(name, settings, boxes, home or Settings().home_of(name))
    if settings.kind == "allocation":
        from daskflow.settings.allocating import allocation_site  # noqa: PLC0415, the same

        return allocation_site(name, settings, boxes, home or Settings().home_of(name))
    site = ClusterSite(name, _connector(settings), perform, load_again, slots=_slots(settings), boxes=boxes)
    site.packages.shipping = settings.shipping
    return site


def _make_batch_site(name: str, settings: SiteSettings, boxes: str, home: str) -> Site:
    from daskflow.settings.batchsites import batch_site  # noqa: PLC0415, most runs have no batch jobs

    return batch_site(name, settings, boxes, home)


def _make_bucket_site(name: str, settings: Settings, values: Values) -> Site:
    from daskflow.settings.bucketsites import bucket_site  # noqa: PLC0415, the same

    return bucket_site(name, settings, values)


def _make_depositor(settings: Settings) -> Site:
    from daskflow.settings.depositing import depositor  # noqa: PLC0415, most projects have no pipelines of works

    return depositor(settings)


def _slots(settings: SiteSettings) -> int:
    count = settings.workers or cores()
    return count if settings.kind == "threads" else count * settings.threads


def _connector(settings: SiteSettings) -> Connect:
    if settings.kind == "dask":
        return running_cluster(settings.address)
    processes = settings.kind == "processes"
    count = settings.workers or cores()
    return local_cluster(
        workers=count if processes else 1,
        threads=settings.threads if processes else count,
        processes=processes,
        memory=settings.memory,
        dashboard=settings.dashboard,
    )


def values_of(settings: Settings) -> Values:
    """What reads and writes results, and the store of files."""
    cache = NodeCache(settings.cache, settings.cache_limit)
    options = {name: value.get_secret_value() for name, value in settings.storage.items()}
    key = None if settings.signing_key is None else key_in(settings.signing_key)
    return Values(ObjectStore(settings.artifacts, options, cache), settings.inline_limit, key=key)


def _station(settings: Settings, site: str) -> Any:
    from daskflow.settings.stations import station_of  # noqa: PLC0415, most projects have no command jobs

    return station_of(settings, site)
