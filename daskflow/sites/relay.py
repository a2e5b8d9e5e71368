"""Brings records from the workers to the driver on what dask sends anyway.

A worker puts the records of a package into the metadata of its dask task, which travel in the message that the task
is finished. A plugin of the scheduler takes them out and sends them on in batches, as events of one topic.
"""

from __future__ import annotations

import time
from typing import Any

from daskflow.sites.blackbox import last_notes

NAME = "daskflow-relay"
LOST = "daskflow-lost"
_METADATA = "daskflow"
_PAUSE = 0.02
"""Records wait at most this long for others to travel with [s]."""


def ride(perform: Any, topic: str, package: bytes, *values: Any) -> Any:
    """Perform a package inside a dask task, and put what happened into the task's metadata."""
    from distributed.worker import get_worker, thread_state

    value, records, again = perform(package, *values)
    get_worker().state.tasks[thread_state.key].metadata[_METADATA] = (topic, records, again)
    return value


def again(load: Any, package: bytes) -> Any:
    """The value of a package that was performed already, after the worker that held it was lost."""
    return load(package)


def plugin(load: Any, boxes: str) -> Any:
    """The plugin for a scheduler; its base class is imported late, because that costs half a second."""
    from distributed import SchedulerPlugin

    return type("RelayPlugin", (Relay, SchedulerPlugin), {})(load, boxes)


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
        self._load = load
        self._boxes = boxes
        self._batches: dict[str, list[bytes]] = {}
        self._again: dict[Any, bytes] = {}
        self._pids: dict[str, int] = {}
        self._culprits: dict[Any, str] = {}
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
        """Look at every event: one tells that a worker was lost, and with what."""
        if isinstance(msg, dict) and msg.get("action") == "remove-worker":
            notes = last_notes(self._boxes, self._pids.pop(topic, 0))
            if notes is not None and not msg.get("expected"):
                self._culprits.update(notes)
                self._acquit(msg["processing-tasks"] - notes.keys())

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
            self._publish(LOST, (str(key), self._why(key), self._culprits.get(key, "")))
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
            self._publish(topic, batch)

    def _publish(self, topic: str, message: Any) -> None:
        self._scheduler.log_event(topic, message)
        # The scheduler would keep the latest thousand events, with all the results in them.
        self._scheduler._broker.truncate(topic)

    def _replace(self, key: Any) -> None:
        from dask._task_spec import Task

        # Its edges stay, though the value needs nothing any more: dask forgets tasks along them. Those above are
        # had again in the same way, where they are not in memory.
        self._scheduler.tasks[key].run_spec = Task(key, again, self._load, self._again[key])

    def _why(self, key: Any) -> str:
        task = self._scheduler.tasks[key]
        blamed = task.exception_blame or task
        return (blamed.exception_text or "")[:2000] or f"{blamed.suspicious} workers were lost while they performed it"
