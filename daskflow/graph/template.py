"""Makes the template of a job's arguments: results of other jobs leave slots, everything else is kept as it is now."""

from __future__ import annotations

import copy
from typing import Any

from daskflow.graph.job import Collection, Job, Part
from daskflow.graph.structure import Nest, Slot, snapshot, transform


class Template:
    """Collects the upstream jobs of one call.

    Notes
    -----
    Arguments are copied at the time of the call: a list that the caller changes later changes no job, whose key is
    made of what the list held.
    """

    __slots__ = ("_known", "_slots")

    def __init__(self) -> None:
        self._known: dict[Any, tuple[int, Job | Collection]] = {}
        self._slots = 0

    def upstream(self) -> tuple[Job | Collection, ...]:
        """The jobs and dask collections met, in the order of their slots."""
        return tuple([item for _, item in self._known.values()]) if self._known else ()

    def slot(self, job: Job) -> Slot:
        """The slot of a job's result."""
        self._slots += 1
        known = self._known.get(job.key)
        if known is None:
            known = self._known[job.key] = (len(self._known), job)
        return Slot(known[0])

    def argument(self, value: Any) -> Any:
        """A copy of an argument with slots for the jobs in it."""
        before = self._slots
        made = transform(value, self._leaf)
        return Nest(made) if self._slots > before and type(made) is not Slot else made

    def _leaf(self, leaf: Any) -> Any:
        if type(leaf) is Job:
            return self.slot(leaf)
        if type(leaf) is Part:
            return leaf.slot(self.slot(leaf.job()).index)
        if hasattr(leaf, "__dask_graph__") and not isinstance(leaf, type) and leaf.__dask_graph__() is not None:
            self._slots += 1
            known = self._known.setdefault(id(leaf), (len(self._known), _collection(leaf)))
            return Slot(known[0])
        return snapshot(leaf)


def _collection(value: Any) -> Collection:
    # Assigning to items changes arrays and datasets in place; copies still share the chunks.
    copied = value.copy(deep=True) if type(value).__module__.startswith("xarray") else copy.copy(value)
    return Collection(copied)
