"""Makes the template of a job's arguments: results of other jobs leave slots, everything else is kept as it is now."""

from __future__ import annotations

import copy
from typing import Any

from daskflow.graph.job import Collection, Job
from daskflow.graph.lenient import Lenient
from daskflow.graph.part import Part, job_of, slot_of
from daskflow.graph.structure import Nest, Slot, snapshot, transform
from daskflow.model.outcome import InputFile


class Template:
    """Collects the upstream jobs of one call.

    Notes
    -----
    Arguments are copied at the time of the call: a list that the caller changes later changes no job, whose key is
    made of what the list held.
    """

    __slots__ = ("_known", "_lenient", "_slots", "_strict", "files")

    def __init__(self) -> None:
        self._known: dict[Any, tuple[int, Job | Collection]] = {}
        self._lenient: set[str] = set()
        self._strict: set[str] = set()
        self._slots = 0
        self.files: list[InputFile] = []
        """The files and directories met."""

    def upstream(self) -> tuple[Job | Collection, ...]:
        """The jobs and dask collections met, in the order of their slots."""
        return tuple([item for _, item in self._known.values()]) if self._known else ()

    def lenient(self) -> frozenset[str]:
        """Keys of those jobs whose failure is passed on; where it is needed as well, a job must succeed."""
        return frozenset(self._lenient - self._strict) if self._lenient else frozenset()

    def slot(self, job: Job) -> Slot:
        """The slot of a job's result."""
        self._strict.add(job.key)
        return self._place(job)

    def _place(self, job: Job) -> Slot:
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
            return slot_of(leaf, self.slot(job_of(leaf)).index)
        if type(leaf) is Lenient:
            self._lenient.add(leaf.job.key)
            return self._place(leaf.job)
        if hasattr(type(leaf), "as_job"):
            return self._leaf(leaf.as_job())
        if hasattr(leaf, "__dask_graph__") and not isinstance(leaf, type) and leaf.__dask_graph__() is not None:
            self._slots += 1
            known = self._known.setdefault(id(leaf), (len(self._known), _collection(leaf)))
            return Slot(known[0])
        return snapshot(leaf)


def _collection(value: Any) -> Collection:
    # Assigning to items changes arrays and datasets in place; copies still share the chunks.
    copied = value.copy(deep=True) if type(value).__module__.startswith("xarray") else copy.copy(value)
    return Collection(copied)
