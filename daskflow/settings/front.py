"""The names of the front door that need a project: what they make runs in the one that is configured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, ParamSpec, TypeVar, overload

from daskflow.execution.context import context as contexts
from daskflow.execution.launcher import Launcher
from daskflow.execution.project import Project
from daskflow.execution.supply.fetch import Fetch
from daskflow.execution.supply.install import Install
from daskflow.execution.worker.attempt import Reporter
from daskflow.graph import flow as flows
from daskflow.graph import task as tasks
from daskflow.graph.flow import Flow
from daskflow.graph.host import CURRENT_SITE
from daskflow.graph.question import Asker
from daskflow.graph.race import Racer
from daskflow.graph.task import Task
from daskflow.model.policy import Resources
from daskflow.settings.options import Settings, load
from daskflow.settings.parts import open_project

P = ParamSpec("P")
R = TypeVar("R")


class _Chosen:
    """The configuration that the front door uses, once chosen."""

    def __init__(self) -> None:
        self.settings: Settings | None = None

    def open(self) -> Project:
        return open_project(self.settings)


_chosen = _Chosen()
launcher = Launcher(_chosen.open)
"""Starts the runs of this process."""
report = Reporter()
"""Makes reports from inside tasks: `report.metric("chisq", 3.2)`."""
first = Racer(launcher)
"""Lets jobs race: `first(jobs, where=lambda fit: fit.chisq < 1.1)`."""
ask = Asker(launcher)
"""Asks people: `ask("Continue?", schema=bool)`."""
fetch = Fetch(launcher)
"""Fetches files: `fetch("https://...", when=a.succeeded)`."""
install = Install(launcher)
"""Brings local packages to a site's workers: `install(mymodel, site="cluster")`."""


class Context(contexts.Context):
    """State that the stages of a run share: `ctx = Context.load()`, `ctx.add(name, value, stage=...)`, `ctx[name]`."""

    open_project = staticmethod(launcher.project)


def choose(settings: Settings) -> None:
    """Use this configuration from now on, in this process; closes what was open."""
    launcher.close()
    _chosen.settings = settings


def chosen() -> Settings:
    """The configuration that the front door uses in this process."""
    return _chosen.settings or load()


@overload
def task(function: Callable[P, R], /) -> Task[P, R]: ...
@overload
def task(
    *,
    cache: Literal[True, False, "run"] = True,
    retries: int = 0,
    retry_on: type[BaseException] | tuple[type[BaseException], ...] = Exception,
    backoff: Any = 0.0,
    timeout: float | str | None = None,
    resources: Resources | None = None,
    site: str | None = None,
    name: str | None = None,
    version: str | None = None,
) -> Callable[[Callable[P, R]], Task[P, R]]: ...
def task(function: Callable[..., Any] | None = None, /, **policies: Any) -> Any:
    """Declare a function whose calls are jobs.

    Parameters
    ----------
    cache
        `True`: remembered for all runs; `"run"`: within its run; `False`: never.
    retries, retry_on, backoff
        How many further attempts, after which errors, and the pause before them [s].
    timeout
        After this time an attempt is killed [s]; text such as `"2 h"` is read.
    resources
        What a job needs of the machine.
    site
        Where its jobs run.
    name
        Name of the task; that of the function by default.
    version
        Stands for the code, where given: only a change of version makes the task run again.

    Raises
    ------
    ArgumentsInvalid
        A policy is unknown or does not fit; a parameter has a reserved name.

    Examples
    --------
    >>> @task
    ... def double(x):
    ...     return 2 * x
    >>> double(21)
    <Job double-... created>
    """
    if isinstance(policies.get("retry_on"), type):
        policies["retry_on"] = (policies["retry_on"],)
    return tasks.declare(function, launcher, policies)


@overload
def flow(function: Callable[P, R], /) -> Flow[P, R]: ...
@overload
def flow(*, name: str | None = None, site: str | None = None) -> Callable[[Callable[P, R]], Flow[P, R]]: ...
def flow(function: Callable[..., Any] | None = None, /, *, name: str | None = None, site: str | None = None) -> Any:
    """Declare a function whose body makes jobs.

    Parameters
    ----------
    name
        Name of the flow in listings; that of the function by default.
    site
        Where its jobs run that name no other.
    """
    return flows.declare(function, launcher, name, site)


@contextmanager
def site(name: str) -> Iterator[None]:
    """Let the calls of tasks in a block run at a site; blocks nest.

    Examples
    --------
    >>> with site("threads"):
    ...     pass
    """
    token = CURRENT_SITE.set(name)
    try:
        yield
    finally:
        CURRENT_SITE.reset(token)
