"""Sites that compute by dask workers: processes or threads of this machine, or a cluster that runs already."""

from __future__ import annotations

import pickle
import threading
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from daskflow.errors import SiteError
from daskflow.model.needs import Needs
from daskflow.model.outcome import Failure, Outcome
from daskflow.sites.clusters import Connect, close_all, mend
from daskflow.sites.endings import nanny_plugin
from daskflow.sites.grip import condemn, doomed
from daskflow.sites.importing import import_distributed
from daskflow.sites.killing import forget, keep_upstream, kill_nodes, recall_nodes
from daskflow.sites.packages import Package, Packages, register
from daskflow.sites.relay import LOST, STRUCK, TOPICS, plugin, ride, worker_plugin
from daskflow.sites.site import DEAD_UPSTREAM, Listener, Node, Perform

_INSIDE = "inproc://"
"""So begins the address of a scheduler in this process."""

WATCH = 1.0
"""How often a site looks whether its scheduler still knows what was submitted [s]."""


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
    chains = True

    def __init__(self, name: str, connect: Connect, perform: Perform, load: Any, *, slots: int, boxes: str) -> None:
        self.name = name
        self.slots = slots
        self.packages = Packages()
        """Those that the workers are to import."""
        self._connect = connect
        self._perform = perform
        self._load = load
        self._boxes = boxes
        self._lock = threading.RLock()
        self._topics: dict[Listener, str] = {}
        self._client: Any = None
        self._graphs = 0
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
                    import_distributed()
                    client, closing = self._connect()
                    opened += [client, *closing]
                    for part in (plugin(self._load, self._boxes), worker_plugin(), nanny_plugin()):
                        client.register_plugin(part)
                    register(client, self.packages.opened())
                except (OSError, RuntimeError, ValueError) as error:
                    close_all(opened)
                    raise SiteError(f"The site {self.name!r} does not open: {_innermost(error)}") from error
                client.subscribe_topic(LOST, self._on_lost)
                client.subscribe_topic(STRUCK, self._on_struck)
                self._client, self._closing, self._closed = client, closing, threading.Event()
                self._graphs = 0
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

        # Before it opens, so that nobody sends the workers away meanwhile.
        with self._lock:
            self._listeners.update((node.key, listener) for node in nodes)
        try:
            client = self.open()
        except SiteError:
            self.release([node.key for node in nodes])
            raise
        from distributed import span

        topic = self._topic_of(listener)
        graph: dict[Any, Any] = convert_legacy_graph(dict(foreign)) if foreign else {}
        for node in nodes:
            references = [TaskRef(key) for key in node.upstream]
            graph[node.key] = Task(node.key, ride, self._perform, topic, node.package, *references)
        wanted = list(kept)
        with self._lock:
            # What they depend on was killed since they were sent off: dask would cancel a graph with an unknown key.
            lost = _fed_by_dead(nodes)
            if lost:
                wanted += [up for node in nodes if node.key in lost for up in node.upstream if up in graph]
                graph = {key: task for key, task in graph.items() if key not in lost}
            keys = [key for key in dict.fromkeys(wanted) if key not in lost]
            # Without a token dask would hash the whole graph to name it.
            expression = LLGExpr(graph, _determ_token=uuid.uuid4().hex)
            # On the dashboard the nodes of a run stand together; within it dask groups them by task.
            with span(nodes[0].run or self.name):
                self._futures.update(zip(keys, client.get(expression, keys, sync=False), strict=True))
            self._graphs += 1
        killed = [node.key for node in nodes if doomed(node.key)]
        if killed:  # before they were here
            self.kill(killed)
        for key in lost:
            self._lose(key, DEAD_UPSTREAM, "")
            self.release([key])

    def _topic_of(self, listener: Listener) -> str:
        with self._lock:
            topic = self._topics.get(listener)
            if topic is None:
                topic = self._topics[listener] = f"{TOPICS}{uuid.uuid4().hex}"
                self._client.subscribe_topic(topic, lambda event: listener.performed(event[1]))
            return topic

    def fit(self, needs: Needs) -> str:
        """Everything may run here."""
        return ""

    def larger(self, needs: Needs) -> Needs | None:
        """Nothing: nobody keeps nodes to any memory but that which they ask for."""
        return None

    def leave(self, listener: Listener) -> None:
        """Tell a listener no more."""
        with self._lock:
            topic = self._topics.pop(listener, None)
            # At the exit of the interpreter dask may have closed the client before anybody leaves.
            if topic is not None and self._client is not None and self._client.status == "running":
                self._client.unsubscribe_topic(topic)

    def _on_lost(self, event: tuple[float, tuple[str, str, str]]) -> None:
        self._lose(*event[1])

    def _lose(self, key: str, reason: str, culprit: str) -> None:
        listener = self._listeners.get(key)
        if listener is not None:
            listener.lost(key, reason, culprit)

    def _on_struck(self, event: tuple[float, tuple[str, str, str, int]]) -> None:
        time, (key, job, reason, pid) = event
        failure = Failure("daskflow.errors.WorkerLost", reason, "")
        self._strike(key, Outcome(job, "failed", 0, time, time, pid=pid, failure=failure, final=False))

    def _strike(self, key: str, outcome: Outcome) -> None:
        """Tell that a worker was lost under a node."""
        listener = self._listeners.get(key)
        if listener is not None:
            listener.performed([pickle.dumps([outcome._replace(reason="worker lost")])])

    def release(self, keys: Iterable[str]) -> None:
        """Let go of the futures: dask forgets what nobody else needs."""
        with self._lock:
            for key in keys:
                self._listeners.pop(key, None)
                future = self._futures.pop(key, None)
                if future is not None:
                    future.release()

    def recall(self, keys: Iterable[str]) -> set[str]:
        """Take back nodes that have not begun: workers refuse them, and dask forgets them."""
        asked, client = set(keys), self._client
        if client is None:
            return asked
        try:
            back = asked - recall_nodes(client, asked)
            self._adopt(client, client.run_on_scheduler(keep_upstream, back, client.id))
        except Exception:  # dask raises whatever it likes when the connection breaks
            return set()
        self.release(back)
        return back

    def kill(self, keys: Iterable[str]) -> set[str]:
        """Kill nodes with all their processes, if need be with the worker processes that perform them.

        On a site of threads a node in compiled code goes on: it is not among the keys that are returned.
        """
        asked = set(keys)
        with self._lock:
            client, graphs = self._client, self._graphs
            condemn(asked)
            futures = [self._futures.pop(key, None) for key in asked]
            for key in asked:
                self._listeners.pop(key, None)
        if client is None:
            return asked
        try:
            found = client.run_on_scheduler(forget, asked, client.id, graphs)
            self._adopt(client, found.needed)
            for key in found.lost:
                self._lose(key, DEAD_UPSTREAM, "")
            return asked - kill_nodes(client, found.places)
        except Exception:  # dask raises whatever it likes when the connection breaks
            return set()
        finally:
            for future in futures:
                if future is not None:
                    future.release()

    def _adopt(self, client: Any, keys: Sequence[str]) -> None:
        """Go on wanting nodes that others depended on, until they are released."""
        from distributed import Future

        futures = {key: Future(key, client) for key in keys}
        with self._lock:
            self._futures.update((key, futures.pop(key)) for key in keys if key in self._listeners)
        for future in futures.values():  # tasks of dask collections serve nodes only
            future.release()

    def offer(self, package: Package) -> None:
        """Have all workers, those of later clusters too, import a package from where it is unpacked."""
        with self._lock:
            due, client = self.packages.offer(package), self._client
        # Without the lock: see `close`.
        if client is not None:
            register(client, due)

    def _watch(self, client: Any, closed: threading.Event) -> None:
        """Tell those who wait when dask will never tell them: it forgot their nodes, or its scheduler is gone."""
        while not closed.wait(WATCH):
            self._mend()
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

    def _mend(self) -> None:
        for cluster in self._closing:
            cluster.loop.add_callback(mend, cluster)

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
        if client is None:
            return ""
        link, scheduler = str(client.dashboard_link or ""), str(client.scheduler.address)
        if scheduler.startswith(_INSIDE):
            # The link has the address by which that is called; where the dashboard listens may be loopback only.
            host = scheduler.removeprefix(_INSIDE).partition("/")[0]
            bound = client.cluster.scheduler.http_server.address
            return link.replace(f"//{host}:", f"//{bound}:", 1) if bound == "127.0.0.1" else link
        return link

    def rest(self) -> None:
        """Close, if nothing is to be performed: the workers go. The next node opens the site again."""
        with self._lock:
            closing = self._let_go() if not self._listeners else []
        close_all(closing)

    def close(self) -> None:
        """Disconnect, and end the cluster if this site started it."""
        with self._lock:
            closing = self._let_go()
        # Without the lock: this waits for dask's thread, which may be telling a listener that wants to release a node.
        close_all(closing)

    def _let_go(self) -> list[Any]:
        client, self._client = self._client, None
        closing, self._closing = self._closing, ()
        self._closed.set()
        self._futures.clear()
        self._listeners.clear()
        self._topics.clear()
        return [client, *closing] if client is not None else []


def _fed_by_dead(nodes: Sequence[Node]) -> set[str]:
    """Keys of those nodes, which come upstream first, that depend on killed ones."""
    found: set[str] = set()
    for node in nodes:
        if any(up in found or doomed(up) for up in node.upstream):
            found.add(node.key)
    return found


def _innermost(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {error}"


def _executing(dask_scheduler: Any) -> list[str]:
    return [str(task.key) for worker in dask_scheduler.workers.values() for task in worker.executing]
