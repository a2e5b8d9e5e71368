"""Brings records from the workers to the driver on what dask sends anyway.

A worker puts the records of a package into the metadata of its dask task, which travel in the message that the task
is finished. A plugin of the scheduler takes them out and sends them on in batches, as events of one topic.
"""

from __future__ import annotations

import time
from typing import Any

NAME = "daskflow-relay"
LOST = "daskflow-lost"
_METADATA = "daskflow"
_PAUSE = 0.02
"""Records wait at most this long for others to travel with [s]."""


def ride(perform: Any, topic: str, package: bytes, *values: Any) -> Any:
    """Perform a package inside a dask task, and put what happened into the task's metadata."""
    from distributed.worker import get_worker, thread_state  # noqa: PLC0415

    value, records, again = perform(package, *values)
    get_worker().state.tasks[thread_state.key].metadata[_METADATA] = (topic, records, again)
    return value


def again(load: Any, package: bytes) -> Any:
    """The value of a package that was performed already, after the worker that held it was lost."""
    return load(package)


def plugin(load: Any) -> Any:
    """The plugin for a scheduler; its base class is imported late, because that costs half a second."""
    from distributed import SchedulerPlugin  # noqa: PLC0415

    return type("RelayPlugin", (Relay, SchedulerPlugin), {})(load)


class Relay:
    """Sends records on, and keeps what was performed from being performed again when a worker is lost.

    Parameters
    ----------
    load
        Gives the value of a package again, from the bytes that its worker left.
    """

    name = NAME
    idempotent = True

    def __init__(self, load: Any) -> None:
        self._load = load
        self._batches: dict[str, list[bytes]] = {}
        self._again: dict[Any, bytes] = {}
        self._waiting = False
        self._sent = 0.0

    async def start(self, scheduler: Any) -> None:
        """Remember the scheduler."""
        self._scheduler = scheduler

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        """Look at every change of a dask task's state."""
        if finish == "memory":
            self._finished(key, kwargs.get("metadata"))
        elif finish == "erred":
            self._publish(LOST, (str(key), self._why(key)))
        elif finish == "forgotten":
            self._again.pop(key, None)
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
        from dask._task_spec import Task  # noqa: PLC0415

        task = self._scheduler.tasks[key]
        task.run_spec = Task(key, again, self._load, self._again[key])
        # What the value was made of is not needed to have it again.
        for dependency in list(task.dependencies):
            dependency.dependents.discard(task)
            dependency.waiters.discard(task)
        task.dependencies.clear()

    def _why(self, key: Any) -> str:
        task = self._scheduler.tasks.get(key)
        text = getattr(task, "exception_text", "") or ""
        return text[:2000] or "its worker was lost"
