"""The buckets of works as a site, wired: what pipelines deposit their works by."""

from __future__ import annotations

from functools import partial

from daskflow.execution.pipelines.depositor import Depositor
from daskflow.execution.project import BUCKET
from daskflow.execution.worker.perform import perform
from daskflow.settings.buckets import is_server, open_shelf
from daskflow.settings.options import Settings
from daskflow.stores.buckets import Buckets

SITE = BUCKET
"""Name of the site; no site of a configuration can be called so."""


def buckets_of(settings: Settings) -> Buckets:
    """The buckets of a configuration."""
    url = settings.works.store or settings.store
    shelf = open_shelf(url, settings.works.token, settings.works.authorities)
    return Buckets(shelf, sites=None if is_server(url) else sites_of(settings))


def sites_of(settings: Settings) -> set[str]:
    """The sites that works may ask for."""
    return {*settings.known_sites(), *settings.works.sites}


def depositor(settings: Settings) -> Depositor:
    """The site of the works of pipelines."""
    return Depositor(SITE, partial(buckets_of, settings), perform)
