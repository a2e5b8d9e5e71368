"""Parts of the results of jobs, as arguments of other jobs."""

from __future__ import annotations

from collections.abc import Iterator
from operator import index
from typing import Any

from daskflow.errors import UsageError
from daskflow.graph.structure import ATOMS, Slot, fill


class Part:
    """A part of a job's result, as an argument of other jobs; made by `job["a"]` and `job.output.field`."""

    __slots__ = ("_job", "_path")

    def __init__(self, job: Any, path: tuple[tuple[str, Any], ...]) -> None:
        self._job = job
        self._path = path

    def __getitem__(self, item: Any) -> Part:
        return Part(self._job, (*self._path, ("item", _plain_item(item))))

    def __getattr__(self, name: str) -> Part:
        if name.startswith("_"):
            raise AttributeError(name)
        return Part(self._job, (*self._path, ("attribute", name)))

    def __iter__(self) -> Iterator[Any]:
        return iter(self._job)

    def __bool__(self) -> bool:
        return bool(self._job)

    def key_text(self) -> str:
        """How the part stands in the keys of those that depend on it."""
        return f"part({self._job.key},{self._path!r})"

    def result(self, timeout: float | None = None) -> Any:
        """The value of this part; blocks until it is there. See `Job.result`."""
        return part_of(self, self._job.result(timeout))

    def __repr__(self) -> str:
        path = "".join(f"[{name!r}]" if kind == "item" else f".{name}" for kind, name in self._path)
        return f"<Part {self._job.key}{path}>"


# No methods of the part: fields of results may have these names.


def job_of(part: Part) -> Any:
    """The job that it is a part of."""
    return part._job


def slot_of(part: Part, index: int) -> Slot:
    """What stands for the part in a template."""
    return Slot(index, part._path)


def part_of(part: Part, value: Any) -> Any:
    """The part of a result of the job."""
    return fill(slot_of(part, 0), [value])


def _plain_item(item: Any) -> Any:
    """An index whose text is the same in every process."""
    if type(item) in ATOMS - {type}:
        return item
    if isinstance(item, tuple):
        return tuple([_plain_item(part) for part in item])
    if isinstance(item, slice):
        return slice(*[_plain_item(part) for part in (item.start, item.stop, item.step)])
    if hasattr(type(item), "__index__"):
        return index(item)
    raise UsageError(
        f"A part of a job's result is taken by numbers, text, tuples and slices of them, not by a "
        f"{type(item).__qualname__}. Pass the job and the index to a task that takes the part."
    )
