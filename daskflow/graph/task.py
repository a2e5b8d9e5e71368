"""A task: a function declared with `@task`; calling it makes a job."""

from __future__ import annotations

import functools
import itertools
import os
import pathlib
import sys
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, ParamSpec, TypeVar

from pydantic import ValidationError

from daskflow.errors import ArgumentsInvalid, ConditionMisused, FileMissing, NoKey, NotInTask
from daskflow.graph.binding import Binder
from daskflow.graph.conditions import Condition
from daskflow.graph.encoding import Encoder, digest
from daskflow.graph.fingerprint import Fingerprint, fingerprint, fingerprint_of
from daskflow.graph.host import CURRENT_HOST, CURRENT_SITE, Launcher
from daskflow.graph.job import Job, Terms
from daskflow.graph.structure import ATOMS, Nest
from daskflow.graph.template import Template
from daskflow.model.mistakes import meant, mistakes_in
from daskflow.model.outcome import InputFile
from daskflow.model.policy import Policy, policy_change

P = ParamSpec("P")
R = TypeVar("R")

RESERVED = ("when", "site")
_local = threading.local()
"""The template of the call that this thread encodes."""
_CAPPED = 300


class Task(Generic[P, R]):
    """A function whose calls are jobs. Made by `@task`.

    Parameters
    ----------
    function
        What to perform.
    policy
        How its jobs are treated.
    launcher
        Opens a run for jobs whose result is asked for outside of a flow; None on workers.

    Attributes
    ----------
    function
        The plain function, for a direct call.

    Raises
    ------
    ArgumentsInvalid
        The function has a parameter `when` or `site`, which every call reserves.
    """

    __qualname__: str

    def __init__(self, function: Callable[P, R], policy: Policy, launcher: Launcher | None = None) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.policy = policy
        self.launcher = launcher
        self._binder = Binder(function, RESERVED)
        self._fingerprint: Fingerprint | None = None
        self._encoder = Encoder(code_text, self._file_digest)

    def fingerprint(self) -> Fingerprint:
        """The identity of the task's code, as it is now."""
        known = self._fingerprint
        if known is None or not known.current():
            known = self._fingerprint = fingerprint(self.function, self.policy.version)
        return known

    @property
    def keeps_limits(self) -> bool:
        """Whether the function sees itself to its limits, and to its end when its job is killed."""
        return bool(getattr(self.function, "keeps_limits", False))

    def _file_digest(self, path: pathlib.Path) -> str:
        host = CURRENT_HOST.get()
        # A task that came by value has no launcher, but the run may have one.
        launcher = self.launcher or (host.launcher if host is not None else None)
        if launcher is None:
            # This is a worker: the call is made anew in the driver, and there the content counts.
            return digest(str(path))
        # First the seal, then the content: what is written in between is noticed after the job was performed.
        seal = launcher.file_seal(path)
        content = launcher.file_digest(path)
        template: Template | None = getattr(_local, "template", None)
        if template is not None:
            template.files.append(InputFile(str(path), seal, content))
        return content

    def refresh(self) -> None:
        """Look at the code anew at the next call, also at global values that were changed in place."""
        self._fingerprint = None

    def __call__(self, *args: Any, **kwargs: Any) -> Job:
        """Make a job: bind the arguments, derive the key. Nothing runs yet.

        Two keywords of every call are not arguments of the function: `when`, the condition that must hold before the
        job may start, and `site`, where it runs.

        Raises
        ------
        ConditionMisused
            `when` is no condition.
        ArgumentsInvalid
            The arguments do not fit the function's signature.
        NoKey
            An argument, or a global value that the function uses, has no deterministic key.
        FileMissing
            A path leads to no file.
        """
        site = kwargs.pop("site", None) if kwargs else None
        when = kwargs.pop("when", None) if kwargs else None
        condition = None if when is None else _condition(when, self.policy.name)
        return self.again(self._binder.bind(args, kwargs), site, condition)

    def again(self, values: list[Any], site: str | None, when: Condition | None = None) -> Job:
        """Make the job of a call whose arguments are bound already: one value for each parameter, in their order."""
        job = self._job(values)
        if when is not None:
            job.terms = job.terms._replace(condition=when)
        job.site = site or self.policy.site or CURRENT_SITE.get()
        host = CURRENT_HOST.get()
        return job if host is None else host.admit(job)

    def _job(self, values: list[Any]) -> Job:
        code = self.fingerprint()
        template = Template()
        lines = []
        for index, name in enumerate(self._binder.shape.names):
            value = values[index]
            kind = type(value)
            if kind in ATOMS and kind is not type:
                text = self._encoder.encode(value)
            elif kind is Job:
                text = value.key_text()
                values[index] = template.slot(value)
            else:
                text, values[index] = self._describe(name, value, template)
            lines.append(f"{name}={text}")
        recipe = "\n".join(lines)
        text = f"{code.id}\n{recipe}"
        policy = self.policy
        if policy.cache is not True:
            text += _occasion(policy, text)
        job = Job(self, f"{policy.name}-{digest(text)}", recipe, code.id)
        job.arguments = values
        job.upstream = template.upstream()
        lenient = template.lenient()
        if lenient:
            job.terms = Terms(lenient=lenient)
        if template.files:
            job.terms = job.terms._replace(files=tuple(template.files))
        return job

    def _describe(self, name: str, value: Any, template: Template) -> tuple[str, Any]:
        _local.template = template
        try:
            text = self._encoder.encode(value)
            _local.template = None
            made = template.argument(value)
            if type(made) is Nest:
                made = Nest(made.content, digest(self._encoder.encode(made.content)))
        except (NoKey, FileMissing) as error:
            raise type(error)(f"Argument {name!r} of {self.policy.name}(): {error}") from None
        return (text if len(text) <= _CAPPED else f"digest({len(text)},{digest(text)})"), made

    def call(self, values: list[Any]) -> Any:
        """Call the function with one value for each parameter."""
        return self._binder.shape.call(self.function, values)

    def launcher_of(self, job: Job) -> Launcher:
        """Who can open a run for a job of this task.

        Raises
        ------
        NotInTask
            This is a worker: a task that needs the value of another calls its function.
        """
        if self.launcher is None:
            raise NotInTask(
                f"{job.key} was made inside a task, where no run can perform it. "
                f"Call the plain function there: `{self.policy.name}.function(...)`."
            )
        return self.launcher

    def options(self, **changes: Any) -> Task[P, R]:
        """The same task with some policies changed: `fit.options(retries=5)(data)`.

        Raises
        ------
        ArgumentsInvalid
            A policy is unknown, or its value does not fit.
        """
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        try:
            made.policy = policy_change(self.policy, changes)
        except ValidationError as error:
            raise ArgumentsInvalid(f"{self.policy.name}.options(): {_problems(error, changes)}") from None
        if "version" in changes:
            made.refresh()
        return made

    def map(self, *iterables: Iterable[Any], **fixed: Any) -> list[Job]:
        """One job for each item of the iterables, taken side by side; keyword arguments are the same for all.

        Raises
        ------
        ArgumentsInvalid
            The iterables are of unequal length.
        """
        try:
            rows = list(zip(*iterables, strict=True))
        except ValueError as error:
            if "zip()" not in str(error):
                raise
            raise ArgumentsInvalid(f"{self.policy.name}.map(): the iterables are of unequal length.") from None
        return [self(*items, **fixed) for items in rows]

    def zip(self, **varied: Iterable[Any]) -> list[Job]:
        """One job for each position of the named iterables: `fit.zip(data=[a, b], order=[1, 2])`.

        Raises
        ------
        ArgumentsInvalid
            The iterables are of unequal length.
        """
        columns = {name: list(values) for name, values in varied.items()}
        if len({len(column) for column in columns.values()}) > 1:
            lengths = ", ".join(f"{name}: {len(column)}" for name, column in columns.items())
            raise ArgumentsInvalid(f"{self.policy.name}.zip(): unequal lengths ({lengths}).")
        return [self(**dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]

    def product(self, **varied: Iterable[Any]) -> list[Job]:
        """One job for each combination of the named iterables, the last varying fastest."""
        names = list(varied)
        return [self(**dict(zip(names, row, strict=True))) for row in itertools.product(*varied.values())]

    def __reduce__(self) -> Any:
        if importable(self):
            return self.__qualname__
        return _rebuilt, (self.function, self.policy)

    def __repr__(self) -> str:
        return f"<Task {self.policy.name}>"


def _condition(value: Any, name: str) -> Condition:
    if isinstance(value, Condition):
        return value
    raise ConditionMisused(f"when= of {name}() takes a condition, such as `job.succeeded`, not {value!r:.100}.")


def code_text(code: Any) -> str:
    """How a function or class stands in a key."""
    return f"code({fingerprint_of(code).id})"


def declare(function: Callable[..., Any] | None, launcher: Launcher | None, policies: Mapping[str, Any]) -> Any:
    """What `@task` and `@task(...)` do.

    Raises
    ------
    ArgumentsInvalid
        A policy is unknown, or its value does not fit.
    """

    def declared(function: Callable[..., Any]) -> Task[Any, Any]:
        if not callable(function) or isinstance(function, Task):
            raise ArgumentsInvalid(f"@task declares a function, not {function!r}.")
        default = getattr(function, "__name__", "task").replace("<lambda>", "lambda_")
        try:
            policy = Policy.model_validate({"name": default, **{k: v for k, v in policies.items() if v is not None}})
        except ValidationError as error:
            raise ArgumentsInvalid(f"@task of {default}(): {_problems(error, policies)}") from None
        return Task(function, policy, launcher)

    return declared if function is None else declared(function)


def _problems(error: ValidationError, given: Mapping[str, Any]) -> str:
    """What is wrong with some policies, each on a line that names it."""
    return "\n".join(
        f"{each.where}={each.value!r:.100}: {f'no policy; {meant(Policy, each.place)}' if each.strange else each.text}"
        for each in mistakes_in(error, given)
    )


def _rebuilt(function: Callable[..., Any], policy: Policy) -> Task[Any, Any]:
    return Task(function, policy)


def findable(module: str) -> bool:
    """Whether other processes can import a module by its name: not what was loaded by path, nor a notebook."""
    return module != "__main__" and _found(module, tuple(sys.path))


@functools.cache
def _found(module: str, _: tuple[str, ...]) -> bool:
    # Not `importlib.util.find_spec`, which takes everything for found that is imported already.
    path = spec = None
    for end in [place for place, letter in enumerate(f"{module}.") if letter == "."]:
        spec = _spec(module[:end], path)
        if spec is None:
            return False
        path = spec.submodule_search_locations
    loaded = getattr(sys.modules.get(module), "__file__", None)
    origin = spec.origin if spec is not None and spec.has_location else None
    return loaded is None or origin is None or os.path.realpath(loaded) == os.path.realpath(origin)


def _spec(name: str, path: Any) -> Any:
    for finder in sys.meta_path:
        try:
            spec = finder.find_spec(name, path)
        except (ImportError, ValueError, AttributeError):
            continue
        if spec is not None:
            return spec
    return None


def importable(task: Any) -> bool:
    """Whether other processes find this very task by its name."""
    if not findable(task.__module__):
        return False
    found: Any = sys.modules.get(task.__module__)
    for name in task.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is task


def _occasion(policy: Policy, text: str) -> str:
    host = CURRENT_HOST.get()
    if host is None:
        return f"\nonce {uuid.uuid4()}"
    return f"\nin {host.id}" if policy.cache == "run" else f"\nin {host.id} {host.occasion(text)}"
