"""The cluster that both sides have, as a user of dask starts it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

DASHBOARD = "127.0.0.1:0"


def workers() -> int:
    """How many worker processes of one thread each there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def plain_cluster() -> Iterator[Any]:
    """A cluster with the defaults of dask, and its client."""
    from distributed import Client, LocalCluster  # noqa: PLC0415

    with (
        LocalCluster(
            n_workers=workers(), threads_per_worker=1, host="127.0.0.1", dashboard_address=DASHBOARD, silence_logs=40
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client
