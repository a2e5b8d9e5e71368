"""A flow: a function declared with `@flow`, whose body makes jobs."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Mapping
from typing import Any, Generic, ParamSpec, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from daskflow.errors import ArgumentsInvalid, NotInTask
from daskflow.graph.binding import Binder
from daskflow.graph.drafts import Draft
from daskflow.graph.host import CURRENT_HOST, CURRENT_SITE, Launcher
from daskflow.graph.job import Job
from daskflow.graph.part import Part
from daskflow.graph.sequel import Later
from daskflow.graph.structure import transform
from daskflow.graph.task import importable
from daskflow.model.mistakes import mistakes_in

P = ParamSpec("P")
R = TypeVar("R")


class Flow(Generic[P, R]):
    """A function whose body makes jobs. Made by `@flow`.

    Called outside of any flow it runs and returns the value, with the results of jobs in their places. Called inside
    another flow its body is executed there, in the same run, and returns the jobs themselves.

    Parameters
    ----------
    function
        The body.
    name
        Name of the flow in listings.
    site
        Default site of its jobs.
    launcher
        Starts runs; None on a worker.
    """

    def __init__(self, function: Callable[P, R], name: str, site: str | None, launcher: Launcher | None) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.name = name
        self.site = site
        self._launcher = launcher
        self._binder = Binder(function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the flow and return its value; inside another flow, do what its body says.

        Raises
        ------
        ArgumentsInvalid
            The arguments do not fit the signature.
        RunFailed
            Some jobs failed; the message lists them, with the first traceback.
        """
        values = self.arguments(*args, **kwargs)
        if CURRENT_HOST.get() is not None:
            token = CURRENT_SITE.set(CURRENT_SITE.get() or self.site)
            try:
                return self.body(values)
            finally:
                CURRENT_SITE.reset(token)
        result: R = self._known_launcher().start(self, values, background=False).result()
        return result

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Start the flow beside whatever the caller does next, and return its run at once.

        In a task this starts nothing: what it gives is to be returned, then the run of the task starts the flow, and
        the task's result is the value of it.
        """
        values = self.arguments(*args, **kwargs)
        return Later(self, values) if self._launcher is None else self._launcher.start(self, values, background=True)

    def plan(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """What would run, what is cached and why, and the expected time. Runs nothing."""
        return self._known_launcher().plan(self, self.arguments(*args, **kwargs))

    def visualize(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """The graph of the jobs that the flow would make, as a picture for notebooks (`.save(path)` writes it)."""
        return self.plan(*args, **kwargs).drawing()

    def arguments(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The arguments by name, defaults included, validated by pydantic against the annotations.

        Jobs, and structures that hold jobs, stand for values that are not there yet: they are not validated.

        Raises
        ------
        ArgumentsInvalid
            An argument is missing, not known, or not of the annotated type; the message names it.
        """
        bound = dict(zip(self._binder.shape.names, self._binder.bind(args, kwargs), strict=True))
        # As everywhere in pydantic, a default is what the author says it is.
        return {name: self._validated(name, value) for name, value in bound.items()}

    def _validated(self, name: str, value: Any) -> Any:
        adapter = self._adapters.get(name)
        if adapter is None or value is self._defaults[name] or holds_job(value):
            return value
        try:
            return adapter.validate_python(value)
        except ValidationError as error:
            first = mistakes_in(error, value)[0]
            place = "".join(f"[{part!r}]" for part in first.place)
            raise ArgumentsInvalid(
                f"Argument {name!r}{place} of {self.name}(): {first.text}; it is {value!r:.200}."
            ) from None

    @functools.cached_property
    def _adapters(self) -> dict[str, TypeAdapter[Any]]:
        found = {}
        for name, parameter in self._binder.signature.parameters.items():
            annotation: Any = _evaluated(parameter.annotation, self.function)
            if annotation is parameter.empty or isinstance(annotation, str):
                continue
            if parameter.kind is parameter.VAR_POSITIONAL:
                annotation = types.GenericAlias(tuple, (annotation, ...))
            elif parameter.kind is parameter.VAR_KEYWORD:
                annotation = types.GenericAlias(dict, (str, annotation))
            found[name] = _adapter(annotation)
        return found

    @functools.cached_property
    def _defaults(self) -> dict[str, Any]:
        return {name: parameter.default for name, parameter in self._binder.signature.parameters.items()}

    def body(self, values: Mapping[str, Any]) -> R:
        """Execute the body with validated arguments."""
        result: R = self._binder.shape.call(self.function, list(values.values()))
        return result

    def _known_launcher(self) -> Launcher:
        if self._launcher is None:
            raise NotInTask(
                f"Inside a task the flow {self.name} cannot be run. Return `{self.name}.submit(...)` from the task."
            )
        return self._launcher

    def __reduce__(self) -> Any:
        return self.function.__qualname__ if importable(self) else (_rebuilt, (self.function, self.name, self.site))

    def __repr__(self) -> str:
        return f"<Flow {self.name}>"


def _rebuilt(function: Callable[..., Any], name: str, site: str | None) -> Flow[Any, Any]:
    return Flow(function, name, site, None)


def holds_job(value: Any) -> bool:
    """Whether a nested structure holds a job."""
    found: list[Any] = []
    transform(value, lambda leaf: found.append(leaf) if isinstance(leaf, (Job, Part, Draft)) else leaf)
    return bool(found)


def declare(function: Callable[..., Any] | None, launcher: Launcher, name: str | None, site: str | None) -> Any:
    """What `@flow` and `@flow(...)` do."""

    def declared(function: Callable[..., Any]) -> Flow[Any, Any]:
        if not callable(function):
            raise ArgumentsInvalid(f"@flow declares a function, not {function!r}.")
        return Flow(function, name or function.__name__, site, launcher)

    return declared if function is None else declared(function)


def _evaluated(annotation: Any, function: Callable[..., Any]) -> Any:
    """What an annotation in quotes stands for; the text itself where a name only exists while types are checked."""
    if not isinstance(annotation, str):
        return annotation
    names = inspect.getclosurevars(function).nonlocals if inspect.isfunction(function) else {}
    try:
        return eval(annotation, getattr(function, "__globals__", {}), names)
    except Exception:
        return annotation


def _adapter(annotation: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True))
    except Exception:  # pydantic forbids a configuration where the type brings its own
        return TypeAdapter(annotation)
