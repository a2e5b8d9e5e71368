"""Sites that compute by dask workers: processes or threads of this machine, or a cluster that runs already."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from daskflow.errors import SiteError
from daskflow.sites.relay import LOST, plugin, ride
from daskflow.sites.site import Listener, Node, Perform

WATCH = 1.0
"""How often a site looks whether its scheduler still knows what was submitted [s]."""


class Connect(Protocol):
    """Opens a connection to a cluster: gives the client, and what to close after it."""

    def __call__(self) -> tuple[Any, Sequence[Any]]:
        """Open it."""


class ClusterSite:
    """Performs nodes as dask tasks.

    Parameters
    ----------
    name
        Name in the configuration.
    connect
        Opens the connection.
    perform, load
        Performs a package; gives the value of a performed one again.
    slots
        How many nodes are performed at a time.
    boxes
        Directory of the workers' black boxes.
    """

    bundles = True

    def __init__(self, name: str, connect: Connect, perform: Perform, load: Any, *, slots: int, boxes: str) -> None:
        self.name = name
        self.slots = slots
        self._connect = connect
        self._perform = perform
        self._load = load
        self._boxes = boxes
        self._lock = threading.RLock()
        self._topics: dict[Listener, str] = {}
        self._client: Any = None
        self._closing: Sequence[Any] = ()
        self._closed = threading.Event()
        self._futures: dict[str, Any] = {}
        self._listeners: dict[str, Listener] = {}

    def open(self) -> Any:
        """Connect, unless that is done already; returns the dask client.

        Raises
        ------
        SiteError
            No connection; the message says why.
        """
        with self._lock:
            if self._client is None:
                opened: list[Any] = []
                try:
                    client, closing = self._connect()
                    opened += [client, *closing]
                    client.register_plugin(plugin(self._load, self._boxes))
                except (OSError, RuntimeError, ValueError) as error:
                    _close(opened)
                    raise SiteError(f"The site {self.name!r} does not open: {_innermost(error)}") from error
                client.subscribe_topic(LOST, self._on_lost)
                self._client, self._closing, self._closed = client, closing, threading.Event()
                watch = threading.Thread(
                    target=self._watch, args=(client, self._closed), name=f"daskflow-site-{self.name}", daemon=True
                )
                watch.start()
            return self._client

    def submit(
        self, nodes: Sequence[Node], kept: Iterable[str], listener: Listener, foreign: Mapping[str, Any]
    ) -> None:
        """Send nodes to the cluster as one low-level graph."""
        from dask._expr import LLGExpr
        from dask._task_spec import Task, TaskRef, convert_legacy_graph

        client = self.open()
        topic = self._topic_of(listener)
        graph: dict[Any, Any] = convert_legacy_graph(dict(foreign)) if foreign else {}
        for node in nodes:
            references = [TaskRef(key) for key in node.upstream]
            graph[node.key] = Task(node.key, ride, self._perform, topic, node.package, *references)
        keys = list(kept)
        with self._lock:
            for node in nodes:
                self._listeners[node.key] = listener
            # Without a token dask would hash the whole graph to name it.
            expression = LLGExpr(graph, _determ_token=uuid.uuid4().hex)
            self._futures.update(zip(keys, client.get(expression, keys, sync=False), strict=True))

    def _topic_of(self, listener: Listener) -> str:
        with self._lock:
            topic = self._topics.get(listener)
            if topic is None:
                topic = self._topics[listener] = f"daskflow-{uuid.uuid4().hex}"
                self._client.subscribe_topic(topic, lambda event: listener.performed(event[1]))
            return topic

    def leave(self, listener: Listener) -> None:
        """Tell a listener no more."""
        with self._lock:
            topic = self._topics.pop(listener, None)
            # At the exit of the interpreter dask may have closed the client before anybody leaves.
            if topic is not None and self._client is not None and self._client.status == "running":
                self._client.unsubscribe_topic(topic)

    def _on_lost(self, event: tuple[float, tuple[str, str, str]]) -> None:
        key, reason, culprit = event[1]
        listener = self._listeners.get(key)
        if listener is not None:
            listener.lost(key, reason, culprit)

    def release(self, keys: Iterable[str]) -> None:
        """Let go of the futures: dask forgets what nobody else needs."""
        with self._lock:
            for key in keys:
                self._listeners.pop(key, None)
                future = self._futures.pop(key, None)
                if future is not None:
                    future.release()

    def _watch(self, client: Any, closed: threading.Event) -> None:
        """Tell those who wait when dask will never tell them: it forgot their nodes, or its scheduler is gone."""
        while not closed.wait(WATCH):
            for cluster in self._closing:
                cluster.loop.add_callback(_mend, cluster)
            gone = client.status != "running"
            with self._lock:
                # Futures that were released are cancelled too, but these stand here no more. Those that are "lost"
                # are not: their values are being had again.
                forgotten = [key for key, known in self._futures.items() if gone or known.status == "cancelled"]
                listeners = {self._listeners[key] for key in forgotten if key in self._listeners}
            if gone and self._client is client:
                self.close()
            # Of the nodes that the forgotten ones depend on nothing would be heard either.
            for listener in listeners:
                listener.fail(
                    SiteError(
                        f"The site {self.name!r} forgot what it was performing: its scheduler was stopped or started "
                        "anew, or the tasks were cancelled there. Resume the run."
                    )
                )

    def running(self) -> Sequence[str]:
        """Keys of the nodes that the workers were executing at their latest heartbeat."""
        client = self._client
        if client is None:
            return ()
        try:
            # The scheduler is asked, not the workers: one that computes without letting go of the GIL answers late.
            found: list[str] = client.run_on_scheduler(_executing)
        except Exception:  # dask raises whatever it likes when the connection breaks
            return ()
        return found

    def address(self) -> str:
        """Address of the dask dashboard, once the site is open."""
        client = self._client
        return str(client.dashboard_link or "") if client is not None else ""

    def close(self) -> None:
        """Disconnect, and end the cluster if this site started it."""
        with self._lock:
            client, self._client = self._client, None
            closing, self._closing = self._closing, ()
            self._closed.set()
            self._futures.clear()
            self._listeners.clear()
            self._topics.clear()
        # Without the lock: this waits for dask's thread, which may be telling a listener that wants to release a node.
        _close([client, *closing] if client is not None else closing)


def _mend(cluster: Any) -> None:
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


def _close(items: Iterable[Any]) -> None:
    for item in items:
        item.close()


def _innermost(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {error}"


def _executing(dask_scheduler: Any) -> list[str]:
    return [str(task.key) for worker in dask_scheduler.workers.values() for task in worker.executing]


def local_cluster(*, workers: int, threads: int, processes: bool, memory: str | int, dashboard: str) -> Connect:
    """Connects to a `LocalCluster` of its own."""

    def connect() -> tuple[Any, Sequence[Any]]:
        import dask
        from distributed import Client, LocalCluster

        # Small results: pushing tasks to the workers beats queueing them on the scheduler by a factor of two.
        with dask.config.set({"distributed.scheduler.worker-saturation": "inf"}), _leaving_half_open():
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=threads,
                processes=processes,
                memory_limit=memory,
                host="127.0.0.1" if processes else None,
                dashboard_address=dashboard or None,
                silence_logs=40,
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
