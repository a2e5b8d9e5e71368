"""Jobs that end when a test says so."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from daskflow.graph.job import Job
from daskflow.model.states import JobState
from tests.graph.projects import FakeHost, FakeLauncher, task


class Theatre(FakeHost):
    """A run that waits for its jobs, and performs none."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = threading.Condition()
        self.waited = threading.Event()
        self.watched: list[Any] = []

    def wait(self, job: Any, timeout: float | None) -> None:
        with self._changed:
            self.waited.set()
            if not self._changed.wait_for(lambda: job.state.final, timeout):
                raise TimeoutError

    def watch(self, fact: Any) -> None:
        self.watched.append(fact)

    def end(self, job: Job, state: JobState) -> None:
        with self._changed:
            job.state = state
            self._changed.notify_all()


class Stage(FakeLauncher):
    """Gives jobs that belong to no run to one theatre."""

    def __init__(self) -> None:
        super().__init__()
        self.theatre = Theatre()

    def adopt(self, job: Any) -> Any:
        job.host = self.theatre
        return self.theatre


def identity(x: Any) -> Any:
    return x


_TASK = task(identity, name="fit")


def make(count: int, host: Any = None) -> list[Job]:
    """That many jobs of one run."""
    jobs = _TASK.map(range(count))
    for job in jobs:
        job.host = host
    return jobs


def aside(function: Callable[[], Any]) -> Future[Any]:
    """Call a function in a thread of its own."""
    future: Future[Any] = Future()

    def call() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=call, daemon=True).start()
    return future
