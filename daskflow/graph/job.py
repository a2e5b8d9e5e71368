"""A job: one call of a task, a handle to what becomes of it, and a dask collection."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from daskflow.errors import JobCancelled, JobFailed, JobSkipped, RunError, UsageError
from daskflow.graph.conditions import Condition
from daskflow.graph.encoding import digest
from daskflow.graph.facts import JobFact
from daskflow.graph.host import Callee, Host
from daskflow.graph.metrics import Metric
from daskflow.graph.part import Part
from daskflow.graph.structure import Nest, Slot, fill
from daskflow.model.outcome import InputFile, Outcome
from daskflow.model.states import JobState


class Collection:
    """A dask collection that a job takes as an argument; its value is what `dask.compute` makes of it."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def graph(self) -> tuple[dict[Any, Any], str]:
        """The collection's graph and the key of its finished value."""
        import dask

        (value,) = dask.optimize(self.value)
        whole = dask.delayed(value, traverse=False)
        return dict(whole.__dask_graph__()), str(whole.key)


class Terms(NamedTuple):
    """What holds for one job beside the policy of its task; most jobs have none."""

    condition: Condition | None = None
    """What must hold before the job may start."""
    lenient: frozenset[str] = frozenset()
    """Keys of those upstream jobs whose failure is passed to the job as a value."""
    isolated: bool = False
    """Whether it is performed in a process of its own, because it may have to be killed alone."""
    files: tuple[InputFile, ...] = ()
    """The files and directories among its arguments."""
    name: str = ""
    """Name of the file that it brings, where it brings one."""


PLAIN = Terms()


class Job:
    """One call of a task. Made by calling the task; never made directly.

    A job may be passed to other tasks as an argument, also inside lists, dicts, dataclasses and pydantic models;
    so may its parts: `job["a"]` and `job.output.field`. It is a dask collection as well: `dask.compute(job)` computes
    it with dask alone, without remembering anything.

    Notes
    -----
    State and outcome are set by the run, from one of its threads; reading them is safe from any thread.
    """

    __slots__ = (
        "__weakref__",
        "arguments",
        "attempts",
        "fingerprint",
        "host",
        "key",
        "number",
        "reason",
        "recipe",
        "record",
        "site",
        "state",
        "task",
        "terms",
        "upstream",
    )

    def __init__(self, task: Callee, key: str, recipe: str, fingerprint: str) -> None:
        self.task = task
        self.key = key
        """The name of the job's result: the task's name and a digest of code, versions and arguments."""
        self.recipe = recipe
        self.fingerprint = fingerprint
        self.arguments: list[Any] = []
        self.upstream: tuple[Job | Collection, ...] = ()
        self.host: Host | None = None
        self.number = -1
        self.site: str | None = None
        """Name of the site it runs on; None for the default one."""
        self.state = JobState.created
        """Where the job stands."""
        self.reason = ""
        """Why the job is cached or was skipped."""
        self.attempts = 0
        """How many attempts ended so far."""
        self.record: Any = None
        self.terms = PLAIN

    @property
    def name(self) -> str:
        """Name of the file that it fetches, known before it is there; of other jobs, that of their task."""
        return self.terms.name or self.task.policy.name

    def key_text(self) -> str:
        """How the job stands in the keys of those that depend on it."""
        return f"job({self.key})"

    def form(self, text: Callable[[Any], str]) -> str:
        """Digest of code and arguments with the upstream jobs left out: what early cutoff looks for.

        Parameters
        ----------
        text
            Gives the text of a slot.
        """
        # The recipe tells the content of files; what is not remembered for all runs is looked for in its own.
        lines = [
            text(argument) if type(argument) in (Slot, Nest) else line
            for argument, line in zip(self.arguments, self.recipe.split("\n"), strict=False)
        ]
        own = "" if self.task.policy.cache is True else self.key
        return digest("\n".join([self.fingerprint, own, *lines]))

    @property
    def succeeded(self) -> JobFact:
        """The condition that the job has a result."""
        return JobFact(self, "succeeded")

    @property
    def failed(self) -> JobFact:
        """The condition that the job failed."""
        return JobFact(self, "failed")

    @property
    def finished(self) -> JobFact:
        """The condition that the job has ended, in whatever way."""
        return JobFact(self, "finished")

    def metric(self, name: str) -> Metric:
        """A number that the job reports while it runs; compared with another it is a condition: `< 1.1`."""
        return Metric(self, name)

    def cancel(self) -> None:
        """Stop the job; returns when nothing of it is alive any more. A job that is final stays as it is."""
        host = self.host or self.task.launcher_of(self).adopt(self)
        host.cancel([self], "its user cancelled it")

    @property
    def output(self) -> Part:
        """The job's result, whose fields may be passed on: `job.output.spectrum["flux"]`."""
        return Part(self, ())

    def __getitem__(self, item: Any) -> Part:
        return Part(self, ())[item]

    def __iter__(self) -> Iterator[Any]:
        raise UsageError(
            f"The result of {self.key} is not there yet, so it cannot be iterated over. "
            "Use `job.result()`, or take parts by `job[0]`, `job[1]`."
        )

    def __bool__(self) -> bool:
        raise UsageError(
            f"The result of {self.key} is not there yet, so it is neither true nor false. Use `job.result()`."
        )

    def __reduce__(self) -> Any:
        raise UsageError(
            f"The job {self.key} cannot leave the process of its run. Pass it to a task as an argument, "
            "or return `job.result()`."
        )

    def result(self, timeout: float | None = None, *, raise_on_failure: bool = True) -> Any:
        """The job's result; blocks until it is there.

        Parameters
        ----------
        timeout
            How long to wait [s]; None waits for ever.
        raise_on_failure
            False returns the error instead of raising it.

        Raises
        ------
        JobFailed
            The task raised; the message holds its traceback. The task's own error is the cause (`__cause__`), where
            it could be brought over.
        JobSkipped
            An upstream job failed.
        JobCancelled
            The job was cancelled.
        TimeoutError
            The job was not final in time; it goes on.
        """
        host = self.host or self.task.launcher_of(self).adopt(self)
        host.wait(self, timeout)
        if self.state.good:
            return host.value(self)
        error = self.error()
        if raise_on_failure:
            raise error from error.__cause__
        return error

    def error(self) -> RunError:
        """Why a job that is final and not good has no result."""
        if self.state is JobState.failed:
            return _failed(self.key, self.outcome, self.reason)
        if self.state is JobState.skipped:
            return JobSkipped(f"{self.key} did not run: {self.reason}.")
        return JobCancelled(f"{self.key} was cancelled{f': {self.reason}' if self.reason else ''}.")

    @property
    def outcome(self) -> Outcome | None:
        """What the latest attempt left: times, CPU, memory, host, error; None before the first has ended."""
        return self.host.outcome(self) if self.host else None

    def log(self) -> str:
        """What the job logged and printed."""
        return self.host.log(self) if self.host else ""

    def __repr__(self) -> str:
        return f"<Job {self.key} {self.state}>"

    def _repr_html_(self) -> str:
        reason = f" ({self.reason})" if self.reason else ""
        return f"<code>{self.key}</code> <b>{self.state}</b>{reason}"

    # The dask collection protocol: https://docs.dask.org/en/stable/custom-collections.html

    def __dask_graph__(self) -> Mapping[str, Any]:
        from dask._task_spec import Task, TaskRef, convert_legacy_graph

        graph: dict[str, Any] = {}
        for job in lineage([self]):
            names = []
            for upstream in job.upstream:
                if isinstance(upstream, Job):
                    names.append(upstream.key)
                else:
                    foreign, name = upstream.graph()
                    graph.update(convert_legacy_graph(foreign))
                    names.append(name)
            references = [TaskRef(name) for name in names]
            graph[job.key] = Task(job.key, evaluate, job.task, job.arguments, *references)
        return graph

    __dask_optimize__ = None

    def __dask_keys__(self) -> list[str]:
        return [self.key]

    def __dask_layers__(self) -> tuple[str]:
        return (self.key,)

    def __dask_tokenize__(self) -> str:
        return self.key

    @staticmethod
    def __dask_scheduler__(graph: Any, keys: Any, **options: Any) -> Any:
        from dask.threaded import get

        return get(graph, keys, **options)

    def __dask_postcompute__(self) -> tuple[Callable[[list[Any]], Any], tuple[()]]:
        return _only, ()

    def __dask_postpersist__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return _persisted, (self.key,)

    def to_delayed(self) -> Any:
        """The job as a `dask.delayed` object."""
        from dask.delayed import Delayed

        return Delayed(self.key, self.__dask_graph__())


def job_of_draft(value: Any) -> Any:
    """The job that a value stands for, such as a command job or a run; other values as they are."""
    return value.as_job() if hasattr(type(value), "as_job") else value


def above(job: Job) -> list[Job]:
    """The jobs whose results, or whose ends, a job waits for."""
    found = [up for up in job.upstream if isinstance(up, Job)]
    condition = job.terms.condition
    return found if condition is None else [*found, *condition.jobs()]


def lineage(jobs: Iterable[Job]) -> list[Job]:
    """The given jobs and all they depend on, upstream first, each once."""
    order: list[Job] = []
    seen: set[str] = set()
    stack: list[tuple[Job, bool]] = [(job, False) for job in jobs]
    while stack:
        job, ready = stack.pop()
        if ready:
            order.append(job)
        elif job.key not in seen:
            seen.add(job.key)
            stack.append((job, True))
            stack.extend((up, False) for up in above(job) if up.key not in seen)
    return order


def evaluate(task: Any, arguments: list[Any], *values: Any) -> Any:
    """Call a task's function with the results of its upstream jobs: what dask performs without daskflow."""
    return task.call([fill(argument, values) for argument in arguments])


def _only(results: list[Any]) -> Any:
    return results[0]


def _persisted(graph: Any, key: str, *, rename: Mapping[str, str] | None = None) -> Any:
    from dask.delayed import Delayed

    return Delayed((rename or {}).get(key, key), graph)


def _failed(key: str, outcome: Outcome | None, reason: str) -> JobFailed:
    failure = outcome.failure if outcome else None
    if failure is None:
        return JobFailed(f"{key} failed: {reason}.")
    error = JobFailed(f"{key} failed with {failure.type}: {failure.message}\n{failure.traceback}")
    error.__cause__ = failure.error
    return error
