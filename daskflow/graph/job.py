"""A job: one call of a task, a handle to what becomes of it, and a dask collection."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import index
from typing import Any

from daskflow.errors import JobCancelled, JobFailed, JobSkipped, RunError, UsageError
from daskflow.graph.encoding import digest
from daskflow.graph.host import Callee, Host
from daskflow.graph.structure import ATOMS, Nest, Slot, fill
from daskflow.model.outcome import Outcome
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


class Part:
    """A part of a job's result, as an argument of other jobs; made by `job["a"]` and `job.output.field`."""

    __slots__ = ("_job", "_path")

    def __init__(self, job: Job, path: tuple[tuple[str, Any], ...]) -> None:
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

    def slot(self, index: int) -> Slot:
        """What stands for the part in a template."""
        return Slot(index, self._path)

    def job(self) -> Job:
        """The job that it is a part of."""
        return self._job

    def result(self, timeout: float | None = None) -> Any:
        """The value of this part; blocks until it is there. See `Job.result`."""
        return self.of(self._job.result(timeout))

    def of(self, value: Any) -> Any:
        """The part of a result of the job."""
        return fill(self.slot(0), [value])

    def __repr__(self) -> str:
        path = "".join(f"[{name!r}]" if kind == "item" else f".{name}" for kind, name in self._path)
        return f"<Part {self._job.key}{path}>"


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
            stack.extend((up, False) for up in job.upstream if isinstance(up, Job) and up.key not in seen)
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
    error.__cause__ = failure_cause(failure.pickled)
    return error


def failure_cause(pickled: bytes | None) -> BaseException | None:
    """The error that a task raised, where its class can be found here."""
    try:
        cause = pickle.loads(pickled) if pickled else None
    except Exception:
        return None
    return cause if isinstance(cause, BaseException) else None
