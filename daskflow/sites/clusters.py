"""Starts dask clusters, or finds those that run, mends and closes them."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Protocol

_CLOSING = 10.0
"""A cluster that is not closed in this time will never be [s]."""


class Connect(Protocol):
    """Opens a connection to a cluster: gives the client, and what to close after it."""

    def __call__(self) -> tuple[Any, Sequence[Any]]:
        """Open it."""


def silence() -> None:
    """Let dask tell errors only, from now on.

    What a cluster silences itself it lets speak again at its end: then others would tell each step of theirs.
    """
    for name in ("distributed", "bokeh"):
        for handler in logging.getLogger(name).handlers:
            if isinstance(handler, logging.StreamHandler):
                handler.setLevel(max(handler.level, logging.ERROR))


def _near(*scheduler: Any, **options: Any) -> Any:
    """A worker in this process that answers on loopback only.

    Workers in processes of their own listen on the host of their scheduler, which has none here; left alone these would
    listen everywhere. As an option of the cluster the address would give each a dashboard, too.
    """
    from distributed import Worker

    return Worker(*scheduler, **{**options, "dashboard_address": "127.0.0.1:0"})


def local_cluster(*, workers: int, threads: int, processes: bool, memory: str | int, dashboard: str) -> Connect:
    """Connects to a `LocalCluster` of its own."""

    def connect() -> tuple[Any, Sequence[Any]]:
        import dask
        from distributed import Client, LocalCluster

        silence()
        # Small results: pushing tasks to the workers beats queueing them on the scheduler by a factor of two.
        with dask.config.set({"distributed.scheduler.worker-saturation": "inf"}), _leaving_half_open():
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=threads,
                processes=processes,
                memory_limit=memory,
                host="127.0.0.1" if processes else None,
                worker_class=None if processes else _near,
                # Without a dashboard the scheduler listens all the same: not at dask's usual port, which others use.
                dashboard_address=dashboard or "127.0.0.1:0",
                scheduler_kwargs={"dashboard": bool(dashboard)},
                silence_logs=logging.ERROR,
            )
        return Client(cluster, set_as_default=False), [cluster]

    if processes:
        _keep_main_out_of_workers()
    return connect


@contextmanager
def _leaving_half_open() -> Iterator[None]:
    """After Ctrl-C within the block dask does not try, with a traceback, to close at exit what has not begun yet.

    The processes that were started already end with this one.
    """
    try:
        yield
    except KeyboardInterrupt:
        from distributed.core import Status
        from distributed.deploy.spec import SpecCluster

        for cluster in list(SpecCluster._instances):
            if cluster.status in (Status.created, Status.starting, Status.init):
                cluster.shutdown_on_close = False
        raise


def running_cluster(address: str) -> Connect:
    """Connects to the dask scheduler at an address."""

    def connect() -> tuple[Any, Sequence[Any]]:
        from distributed import Client

        return Client(address, set_as_default=False, timeout=30), []

    return connect


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# Not imported: it must be executed as the main module.
_WORKER_MAIN = "daskflow.sites.worker_main"


def _keep_main_out_of_workers() -> None:
    """Worker processes do not execute the user's script again.

    A spawned process imports the main module of its parent, so that a script which calls a flow at its top level
    would start itself again in each worker. Functions of the main module travel by value: nobody needs it there.
    What they execute in its place is `worker_main`.
    """
    from multiprocessing import spawn

    prepare = spawn.get_preparation_data
    if prepare.__module__ == __name__:
        return

    def without_main(name: str) -> dict[str, Any]:
        data = prepare(name)
        if name.startswith("Dask Worker"):
            data.pop("init_main_from_path", None)
            data["init_main_from_name"] = _WORKER_MAIN
        return data

    spawn.get_preparation_data = without_main


def mend(cluster: Any) -> None:
    """Start workers anew that gave up; a cluster of no workers would wait for ever.

    A nanny restarts a worker that was killed, but not one that was killed while it started.
    """
    if cluster.status.name != "running":
        return
    for name, worker in list(cluster.workers.items()):
        if worker.status.name in ("closed", "failed"):
            del cluster.workers[name]
    if cluster.worker_spec.keys() - cluster.workers.keys():
        cluster.scale(len(cluster.worker_spec))


def close_all(items: Iterable[Any]) -> None:
    """Close clients and clusters, as far as that is possible in time."""
    for item in items:
        # A cluster whose closing was interrupted by Ctrl-C never says that it is closed; its workers end with this
        # process.
        if getattr(getattr(item, "status", None), "name", "") != "closing":
            with suppress(TimeoutError):
                item.close(timeout=_CLOSING)
