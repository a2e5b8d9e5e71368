"""The buckets of works as a site, wired: what pipelines deposit their works by."""

from __future__ import annotations

from functools import partial

from daskflow.execution.pipelines.depositor import Depositor
from daskflow.execution.project import BUCKET
from daskflow.execution.worker.perform import perform
from daskflow.settings.buckets import buckets_of
from daskflow.settings.options import Settings

SITE = BUCKET
"""Name of the site; no site of a configuration can be called so."""


def depositor(settings: Settings) -> Depositor:
    """The site of the works of pipelines."""
    return Depositor(SITE, partial(buckets_of, settings), perform)
