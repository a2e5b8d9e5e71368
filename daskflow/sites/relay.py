"""Brings records from the workers to the driver on what dask sends anyway.

A worker puts the records of a package into the metadata of its dask task, which travel in the message that the task
is finished. A plugin of the scheduler takes them out and sends them on in batches, as events of one topic. What a job
tells while it runs goes as an event of that topic at once, and so do the records of a dask task that was released
meanwhile, of which dask sends no message.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from daskflow.sites.blackbox import HOST, last_notes
from daskflow.sites.endings import Obituaries
from daskflow.sites.grip import gripping

NAME = "daskflow-relay"
LOST = "daskflow-lost"
STRUCK = "daskflow-struck"
"""Topic of the events that a worker was lost under a node, which is performed anew."""
TOPICS = "daskflow-"
"""How the topics of all events of sites begin."""
_HELLO = "daskflow-hello"
_METADATA = "daskflow"
_PAUSE = 0.02
"""Records wait at most this long for others to travel with [s]."""
_MOURNING = 0.5
"""So long after the loss of a worker its nanny has told how it ended [s]."""


def ride(perform: Any, topic: str, package: bytes, *values: Any) -> Any:
    """Perform a package inside a dask task, and put what happened into the task's metadata."""
    from distributed.worker import get_worker, thread_state

    worker, key = get_worker(), thread_state.key
    with gripping(key, lambda record: worker.log_event(topic, [record]), sweep=worker.nanny is not None):
        value, records, again = perform(package, *values)
    worker.state.tasks[key].metadata[_METADATA] = (topic, records, again)
    return value


def again(load: Any, package: bytes) -> Any:
    """The value of a package that was performed already, after the worker that held it was lost."""
    return load(package)


def plugin(load: Any, boxes: str) -> Any:
    """The plugin for a scheduler; its base class is imported late, because that costs half a second."""
    from distributed import SchedulerPlugin

    return type("RelayPlugin", (Relay, SchedulerPlugin), {})(load, boxes)


def worker_plugin() -> Any:
    """The plugin for workers."""
    from distributed import WorkerPlugin

    return type("RescuePlugin", (Rescue, WorkerPlugin), {})()


class Rescue:
    """Part of each worker: sends the records of dask tasks that were released while they were performed."""

    name = "daskflow-rescue"
    idempotent = True

    def setup(self, worker: Any) -> None:
        """Remember the worker; tell its host, under whose name it leaves black boxes."""
        self._worker = worker
        worker.log_event(_HELLO, (worker.address, HOST))

    def transition(self, key: Any, start: str, finish: str, **kwargs: Any) -> None:
        """Look at every change of a dask task's state."""
        if start == "cancelled":
            task = self._worker.state.tasks.get(key)
            found = task.metadata.pop(_METADATA, None) if task is not None and task.metadata else None
            if found is not None:
                self._worker.log_event(found[0], [found[1]])


class Relay:
    """Sends records on, and keeps what was performed from being performed again when a worker is lost.

    Parameters
    ----------
    load
        Gives the value of a package again, from the bytes that its worker left.
    boxes
        Directory of the workers' black boxes.
    """

    name = NAME
    idempotent = True

    def __init__(self, load: Any, boxes: str) -> None:
        self.graphs: Counter[str] = Counter()
        """How many graphs of each client have arrived."""
        self._load = load
        self._boxes = boxes
        self._batches: dict[str, list[bytes]] = {}
        self._again: dict[Any, bytes] = {}
        self._pids: dict[str, int] = {}
        self._hosts: dict[str, str] = {}
        self._culprits: dict[Any, tuple[str, str]] = {}
        self._doomed: dict[str, set[Any]] = {}
        self._struck: Counter[Any] = Counter()
        self._late: list[tuple[Any, str, bytes]] = []
        self._ends = Obituaries()
        self._waiting = False
        self._sent = 0.0

    async def start(self, scheduler: Any) -> None:
        """Remember the scheduler, and the workers that it has already."""
        self._scheduler = scheduler
        for worker in scheduler.workers:
            self.add_worker(scheduler, worker)

    def add_worker(self, scheduler: Any, worker: str) -> None:
        """Remember the process of a worker, under which it leaves its black boxes."""
        self._pids[worker] = scheduler.workers[worker].pid

    def log_event(self, topic: str, msg: Any) -> None:
        """Look at every event: some tell that a worker was lost, with what, and why."""
        if topic == _HELLO:
            self._hosts[msg[0]] = msg[1]
        elif isinstance(msg, dict) and msg.get("action") == "update-graph":
            self.graphs[topic] += 1
        elif isinstance(msg, dict) and msg.get("action") == "remove-worker" and topic in self._pids:
            self._bury(topic, msg)
        self._ends.hear(topic, msg)
        if topic.startswith(TOPICS):
            # The scheduler would keep the latest thousand events, with all the results in them.
            self._scheduler._broker.truncate(topic)

    def doom(self, worker: str) -> None:
        """A worker is about to be killed, which is the fault of none of its tasks."""
        found = self._scheduler.workers.get(worker)
        if found is not None:
            # Now, not after its end: dask gives up a task at its last suspicion before it tells anything.
            self._doomed[worker] = {task.key for task in found.processing}
            self._acquit(self._doomed[worker])

    def _bury(self, worker: str, message: dict[str, Any]) -> None:
        pid = self._pids.pop(worker)
        notes = last_notes(self._boxes, self._hosts.pop(worker, "*"), pid)
        acquitted = self._doomed.pop(worker, None)
        if message["expected"]:
            return
        if acquitted is not None:
            self._acquit(message["processing-tasks"] - acquitted)
        elif notes is not None:
            self._culprits.update((node, (job, worker)) for node, job in notes.items())
            self._acquit(message["processing-tasks"] - notes.keys())
            for node in message["processing-tasks"] & notes.keys():
                self._strike(node, notes[node], worker, pid)

    def _strike(self, node: Any, job: str, worker: str, pid: int) -> None:
        """A worker was lost under a node: tell it, unless the node was lost by that."""
        task = self._scheduler.tasks.get(node)
        if task is not None and task.state != "erred":
            self._struck[node] += 1
            self._scheduler.loop.call_later(_MOURNING, self._tell_struck, node, job, worker, pid)

    def _tell_struck(self, node: Any, job: str, worker: str, pid: int) -> None:
        self._scheduler.log_event(STRUCK, (str(node), job, f"its worker {self._ends.of(worker)}", pid))
        self._struck[node] -= 1
        if self._struck[node] == 0:
            del self._struck[node]
            due = [(topic, records) for key, topic, records in self._late if key == node]
            self._late = [late for late in self._late if late[0] != node]
            for topic, records in due:
                self._collect(topic, records)

    def _acquit(self, keys: Any) -> None:
        """Take back the suspicion against tasks that only waited on a lost worker.

        dask suspects all tasks that were assigned to it, and gives up each that was so a few times.
        """
        for key in keys:
            task = self._scheduler.tasks.get(key)
            if task is not None and task.state != "erred":
                task.suspicious -= 1

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        """Look at every change of a dask task's state."""
        if finish == "memory":
            self._finished(key, kwargs.get("metadata"))
        elif finish == "erred":
            self._erred(key)
        elif finish == "forgotten":
            self._again.pop(key, None)
            self._culprits.pop(key, None)
        elif start == "memory" and key in self._again:
            self._replace(key)

    def _finished(self, key: Any, metadata: dict[str, Any] | None) -> None:
        found = metadata.pop(_METADATA, None) if metadata else None
        if found is None:
            return
        topic, records, again_bytes = found
        task = self._scheduler.tasks.get(key)
        if task is not None and task.metadata:
            task.metadata.pop(_METADATA, None)
        if again_bytes:
            self._again[key] = again_bytes
        if key in self._struck:  # the earlier attempt is told first
            self._late.append((key, topic, records))
        else:
            self._collect(topic, records)

    def _collect(self, topic: str, records: bytes) -> None:
        self._batches.setdefault(topic, []).append(records)
        if not self._waiting:
            self._waiting = True
            # The first record after a quiet time goes at once: somebody may be waiting for it.
            quiet = time.monotonic() - self._sent > _PAUSE
            self._scheduler.loop.call_later(0 if quiet else _PAUSE, self._send)

    def _send(self) -> None:
        self._waiting = False
        self._sent = time.monotonic()
        batches, self._batches = self._batches, {}
        for topic, batch in batches.items():
            self._scheduler.log_event(topic, batch)

    def _erred(self, key: Any) -> None:
        task = self._scheduler.tasks[key]
        blamed = task.exception_blame or task
        if blamed.exception_text:
            self._tell_lost(key, blamed.exception_text[:2000])
        else:
            # Its worker was lost, once too often: neither its last notes were read yet, nor is it known how it ended.
            self._scheduler.loop.call_later(_MOURNING, self._mourn, key, blamed.key, blamed.suspicious)

    def _mourn(self, key: Any, blamed: Any, times: int) -> None:
        _, worker = self._culprits.get(blamed, ("", ""))
        self._tell_lost(key, f"{times} workers were lost while they performed it; the last one {self._ends.of(worker)}")

    def _tell_lost(self, key: Any, reason: str) -> None:
        culprit, _ = self._culprits.get(key, ("", ""))
        self._scheduler.log_event(LOST, (str(key), reason, culprit))

    def _replace(self, key: Any) -> None:
        from dask._task_spec import Task

        # Its edges stay, though the value needs nothing any more: dask forgets tasks along them. Those above are
        # had again in the same way, where they are not in memory.
        self._scheduler.tasks[key].run_spec = Task(key, again, self._load, self._again[key])
