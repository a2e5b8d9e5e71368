"""Builds the sites whose jobs are works in buckets; apart, since most projects have none."""

from __future__ import annotations

import functools
import getpass

from daskflow.artifacts.values import Values
from daskflow.execution.bucketing.means import Means
from daskflow.execution.bucketing.site import BucketSite
from daskflow.execution.project import BUCKET
from daskflow.settings.buckets import buckets_of
from daskflow.settings.options import Settings, without_password


def bucket_site(name: str, settings: Settings, values: Values) -> BucketSite:
    """A site whose jobs agents come for; `name` is that of the site beside which it stands."""
    means = Means(
        name,
        _user(),
        settings.works.pipeline,
        functools.partial(buckets_of, settings),
        values,
        settings.logs.expanduser().absolute(),
        # Those that are here know where works are; others have to be told.
        ("--url", without_password(settings.works.store)) if settings.works.store else (),
    )
    return BucketSite(f"{name}{BUCKET}", means)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user id without a name, as in some containers
        return "unknown"
