"""What a task leaves to be done: jobs and flows in the value that it returns, which its run goes on with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from daskflow.errors import NotInTask, UsageError
from daskflow.graph.job import Collection, Job
from daskflow.graph.lenient import Lenient
from daskflow.graph.part import Part, job_of, part_of, slot_of
from daskflow.graph.structure import Nest, Slot, transform
from daskflow.graph.verdict import Verdict


class Later:
    """A flow that a task wants to be run; it can only be returned."""

    __slots__ = ("arguments", "flow")

    def __init__(self, flow: Any, arguments: Mapping[str, Any]) -> None:
        self.flow = flow
        self.arguments = dict(arguments)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise NotInTask(
            f"A task can start no run, so there is no {name!r} of {self.flow!r} here. Return what `submit` gave: the "
            "run of the task starts it, and the task's result will hold its value."
        )

    def __reduce__(self) -> Any:
        raise UsageError(f"What {self.flow!r} gives cannot be hidden in an object: return it, or a list of such.")


class Ref:
    """Stands for the result of a step, or for a part of it; no named tuple, which would count as a container."""

    __slots__ = ("lenient", "path", "step")

    def __init__(self, step: int, path: tuple[tuple[str, Any], ...] = (), *, lenient: bool = False) -> None:
        self.step = step
        self.path = path
        self.lenient = lenient
        """Whether a failure is passed on as a value."""


class Call(NamedTuple):
    """A call of a task that is to be made."""

    task: Any
    arguments: list[Any]
    site: str | None


class Begin(NamedTuple):
    """A flow that is to be started."""

    flow: Any
    arguments: dict[str, Any]


class Sequel(NamedTuple):
    """The value of a task whose jobs are to be made in the driver."""

    content: Any
    """The value, with a `Ref` in the place of each job."""
    steps: list[Call | Begin]
    """Upstream first."""


def sequel_of(value: Any) -> Sequel | None:
    """What a returned value leaves to be done; None where it holds neither jobs nor flows.

    Raises
    ------
    UsageError
        It holds a job that only the body of a flow can make.
    """
    steps = _Steps()
    content = transform(value, steps.leaf)
    return Sequel(content, steps.made) if steps.made else None


class _Steps:
    def __init__(self) -> None:
        self.made: list[Call | Begin] = []
        self._places: dict[str, int] = {}

    def leaf(self, leaf: Any) -> Any:
        if isinstance(leaf, Job):
            return Ref(self._of(leaf))
        if isinstance(leaf, Part):
            return Ref(self._of(job_of(leaf)), slot_of(leaf, 0).path)
        if isinstance(leaf, Lenient):
            return Ref(self._of(leaf.job), lenient=True)
        if isinstance(leaf, Later):
            arguments = {name: transform(value, self.leaf) for name, value in leaf.arguments.items()}
            self.made.append(Begin(leaf.flow, arguments))
            return Ref(len(self.made) - 1)
        return leaf

    def _of(self, job: Job) -> int:
        place = self._places.get(job.key)
        if place is not None:
            return place
        if isinstance(job.task, Verdict) or job.terms.condition is not None:
            raise UsageError(
                f"{job.key} was made in a task: races, questions and conditions belong into a flow. Put them into one, "
                "and return `NAME.submit(...)` from the task."
            )
        refs = [self._upstream(up, job) for up in job.upstream]
        arguments = [_with(argument, refs) for argument in job.arguments]
        self.made.append(Call(job.task, arguments, job.site))
        self._places[job.key] = len(self.made) - 1
        return len(self.made) - 1

    def _upstream(self, up: Job | Collection, user: Job) -> Any:
        if isinstance(up, Collection):
            return up.value
        return Ref(self._of(up), lenient=up.key in user.terms.lenient)


def _with(argument: Any, refs: list[Any]) -> Any:
    def leaf(item: Any) -> Any:
        if type(item) is not Slot:
            return item
        found = refs[item.index]
        return Ref(found.step, item.path, lenient=found.lenient) if isinstance(found, Ref) else found

    return transform(argument.content if type(argument) is Nest else argument, leaf)


def unfold(sequel: Sequel, launcher: Any, begin: Callable[[Begin], Job]) -> tuple[Any, list[Job]]:
    """Make the jobs of a sequel, in the run whose host is the current one.

    Parameters
    ----------
    launcher
        For tasks that came by value: they have none.
    begin
        Starts a flow; gives the job that has its value.

    Returns
    -------
    tuple
        The value with jobs and parts of jobs in it, and these jobs.
    """
    made: list[Job] = []

    def leaf(item: Any) -> Any:
        if type(item) is not Ref:
            return item
        job = made[item.step]
        return Lenient(job) if item.lenient else Part(job, item.path) if item.path else job

    for step in sequel.steps:
        if isinstance(step, Begin):
            arguments = {name: transform(value, leaf) for name, value in step.arguments.items()}
            made.append(begin(step._replace(arguments=arguments)))
        else:
            step.task.launcher = step.task.launcher or launcher
            made.append(step.task.again([transform(value, leaf) for value in step.arguments], step.site))
    content = transform(sequel.content, leaf)
    return content, jobs_of(content)


def jobs_of(content: Any) -> list[Job]:
    """The jobs in a value, also those of which it holds a part, or whose failure it takes as it is."""
    found: dict[str, Job] = {}

    def leaf(item: Any) -> Any:
        job = job_of(item) if isinstance(item, Part) else item.job if isinstance(item, Lenient) else item
        if isinstance(job, Job):
            found[job.key] = job
        return item

    transform(content, leaf)
    return list(found.values())


def complete(content: Any, value_of: Callable[[Job], Any], failure_of: Callable[[Job], Any]) -> Any:
    """The value with the results of its jobs in their places."""

    def leaf(item: Any) -> Any:
        if isinstance(item, Job):
            return value_of(item)
        if isinstance(item, Part):
            return part_of(item, value_of(job_of(item)))
        if isinstance(item, Lenient):
            return value_of(item.job) if item.job.state.good else failure_of(item.job)
        return item

    return transform(content, leaf)
