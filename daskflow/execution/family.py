"""The runs that the flow of a run starts beside it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from daskflow.graph.gate import Gatekeeper
from daskflow.model.records import RunRecord


class Parent(Protocol):
    """The engine of a run, as those below it need it."""

    id: str
    failure: Exception | None
    jobs: dict[str, Any]

    @property
    def paused(self) -> bool:
        """Whether no job starts at the moment."""


class Family:
    """The runs below one run.

    Parameters
    ----------
    parent
        The engine of the run.
    former
        Gives the runs that it started before it was resumed, in the order of the calls; asked at the first one.

    Notes
    -----
    Safe for threads. No lock is held while a run starts: it needs those of its launcher and of the store.
    """

    def __init__(self, parent: Parent, former: Callable[[], Sequence[RunRecord]]) -> None:
        self.children: list[Any] = []
        """In the order of the calls."""
        self._parent = parent
        self._begun = 0
        self._ask_former = former
        self._former: list[RunRecord] | None = None
        self._lock = threading.Lock()

    def start(self, flow: Any, arguments: Mapping[str, Any], launcher: Any) -> Any:
        """Start a run of another flow beside the parent; where that is paused, so is this."""
        with self._lock:
            failure = self._parent.failure
            if failure is not None:
                raise failure
            ordinal, self._begun = self._begun, self._begun + 1
        child = launcher.start_below(self._parent, flow, arguments, ordinal)
        with self._lock:
            self.children.append(child)
            self.children.sort(key=lambda run: run.ordinal)
        stopped = self._parent.failure
        if stopped is not None:  # meanwhile, without knowing of this one
            child.cancel()
            raise stopped
        if self._parent.paused:
            child.pause()
        return child

    def former(self, flow: str, payload: bytes | None) -> RunRecord | None:
        """The first run of this flow, with these arguments, that was not gone on with yet."""
        with self._lock:
            if self._former is None:
                self._former = list(self._ask_former())
            # The calls may come in another order than before: what tasks return comes when they end.
            found = next((run for run in self._former if (run.flow, run.payload) == (flow, payload)), None)
            if found is not None:
                self._former.remove(found)
        return found

    @property
    def lasting(self) -> bool:
        """Whether all jobs of the parent are remembered for other runs, and so are those of the runs below."""
        jobs = list(self._parent.jobs.values())
        remembered = all(isinstance(job.task, Gatekeeper) or job.task.policy.cache is True for job in jobs)
        return remembered and all(child.lasting for child in list(self.children))
