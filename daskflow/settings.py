"""Configuration, and the wired objects that it describes: the only place that builds them.

`daskflow.yaml` in the working directory comes first, then the user's own, then the defaults; variables `DASKFLOW_...`
win over both. `configs/` shows every option.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar, overload

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.values import Values
from daskflow.errors import SettingsInvalid
from daskflow.execution.context import context as contexts
from daskflow.execution.credentials import VARIABLE
from daskflow.execution.launcher import Launcher
from daskflow.execution.notices.rules import Rule
from daskflow.execution.project import BOXES, Project
from daskflow.execution.supply.fetch import Fetch
from daskflow.execution.supply.install import Install
from daskflow.execution.worker.attempt import Reporter
from daskflow.execution.worker.perform import load_again, perform
from daskflow.graph import flow as flows
from daskflow.graph import task as tasks
from daskflow.graph.flow import Flow
from daskflow.graph.host import CURRENT_SITE
from daskflow.graph.question import Asker
from daskflow.graph.race import Racer
from daskflow.graph.task import Task
from daskflow.model.policy import Resources
from daskflow.model.quantities import Bytes
from daskflow.sites import ClusterSite, Site, SynchronousSite
from daskflow.sites.clusters import Connect, cores, local_cluster, running_cluster
from daskflow.stores import Database, Journal

P = ParamSpec("P")
R = TypeVar("R")

FILE = "daskflow.yaml"
_PREFIX = "DASKFLOW_"


class SiteSettings(BaseModel):
    """One place that computes."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    kind: Literal["processes", "threads", "synchronous", "dask"] = "processes"
    """`processes` or `threads` of this machine, `synchronous`: in the driver itself, one job after the other, for
    debugging; `dask`: the workers of a scheduler that runs already."""
    workers: int | None = Field(default=None, ge=1)
    """Number of worker processes, or of threads; None: one for each core."""
    threads: int = Field(default=1, ge=1)
    """Jobs that one worker process performs at a time."""
    memory: Bytes | Literal["auto"] = "auto"
    """Memory of one worker [bytes], over which it is restarted; `auto`: a fair share of the machine's."""
    address: str = ""
    """Address of the scheduler, for the kind `dask`: `tcp://host:8786`."""
    dashboard: str = "127.0.0.1:0"
    """Where the dask dashboard listens; port 0 takes any free one, an empty text switches it off."""
    shipping: bool = True
    """Whether `install` may bring packages to its workers; else they must have them."""

    @model_validator(mode="after")
    def _has_address(self) -> SiteSettings:
        if self.kind == "dask" and not self.address:
            raise ValueError("a site of the kind 'dask' needs the address of its scheduler: address: tcp://host:8786")
        return self


def _built_in() -> dict[str, SiteSettings]:
    # Not at import: the first record that is made has pydantic build its schema and look for plugins.
    return {
        "local": SiteSettings(),
        "threads": SiteSettings(kind="threads"),
        "synchronous": SiteSettings(kind="synchronous"),
    }


class Settings(BaseModel):
    """All that can be configured."""

    # What does not fit may be a secret at the wrong place.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, hide_input_in_errors=True)

    store: str = ".daskflow/journal.db"
    """Where runs and results are remembered: a path, or `sqlite:///path`."""
    artifacts: str = ".daskflow/artifacts"
    """Where large results lie: a directory, or `file:///path`."""
    logs: Path = Path(".daskflow/logs")
    """Directory of the logs of jobs."""
    inline_limit: Bytes = Field(default=65536, ge=0)
    """Results up to this size are kept in the store itself, larger ones among the artifacts [bytes]."""
    site: str = "local"
    """Name of the site where jobs run that name none."""
    sites: dict[str, SiteSettings] = {}
    """The sites by name; `local`, `threads` and `synchronous` are there without being configured."""
    bundling: bool = True
    """Whether jobs of some milliseconds or less share a dask task."""
    notifications: tuple[Rule, ...] = ()
    """Who is told of which events."""


def load(file: Path | str | None = None) -> Settings:
    """Read the configuration.

    Parameters
    ----------
    file
        Read instead of `daskflow.yaml`.

    Raises
    ------
    SettingsInvalid
        A file or a variable does not fit; the message names the option.
    """
    files = _files(file)
    variables = [name for name in os.environ if name.startswith(_PREFIX) and not name.startswith(VARIABLE)]
    if not files and not variables:
        return Settings()
    for name in variables:
        # pydantic-settings passes over names that it does not know.
        if name.removeprefix(_PREFIX).partition("__")[0].lower() not in Settings.model_fields:
            raise SettingsInvalid(f"The variable {name} names no option. There are {', '.join(Settings.model_fields)}.")
    from pydantic_settings import BaseSettings, SettingsConfigDict, YamlConfigSettingsSource
    from yaml import YAMLError

    class Sources(Settings, BaseSettings):
        model_config = SettingsConfigDict(env_prefix=_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True)

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: Any,
            init_settings: Any,
            env_settings: Any,
            dotenv_settings: Any,
            file_secret_settings: Any,
        ) -> tuple[Any, ...]:
            return (env_settings, *[YamlConfigSettingsSource(settings_cls, path) for path in files])

    try:
        return Settings.model_validate(Sources().model_dump())
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        what = (
            "is not known"
            if first["type"] == "extra_forbidden"
            else f"does not fit: {first['msg'].removeprefix('Value error, ')}"
        )
        raise SettingsInvalid(f"The option {place!r} {what} (read {_read(files)}).") from None
    except (YAMLError, TypeError, ValueError, OSError) as error:
        raise SettingsInvalid(f"The configuration cannot be read: {error} (read {_read(files)}).") from None


def _files(file: Path | str | None) -> list[Path]:
    if file is not None:
        if not Path(file).is_file():
            raise SettingsInvalid(f"There is no configuration file {file}.")
        return [Path(file)]
    home = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
    return [path for path in (Path(FILE), home / "daskflow" / FILE) if path.is_file()]


def _read(files: list[Path]) -> str:
    return ", ".join([*(str(path) for path in files), "variables DASKFLOW_..."])


def open_project(settings: Settings | None = None, *, readonly: bool = False) -> Project:
    """Build the parts that runs need, as configured.

    Parameters
    ----------
    readonly
        Look at what is recorded, and make and change nothing.
    """
    settings = settings or load()
    boxes = str(settings.logs.absolute() / BOXES)
    makers = {
        name: functools.partial(make_site, name, found, boxes) for name, found in (_built_in() | settings.sites).items()
    }
    project = Project(
        Journal(Database(settings.store, readonly=readonly)),
        Values(ObjectStore(settings.artifacts), settings.inline_limit),
        settings.logs.absolute(),
        sites=makers,
        default_site=settings.site,
        bundling=settings.bundling,
    )
    if not readonly:
        project.notify(settings.notifications)
    return project


def make_site(name: str, settings: SiteSettings, boxes: str) -> Site:
    """Build one site; it opens when jobs are submitted to it."""
    if settings.kind == "synchronous":
        return SynchronousSite(name, perform)
    site = ClusterSite(name, _connector(settings), perform, load_again, slots=_slots(settings), boxes=boxes)
    site.packages.shipping = settings.shipping
    return site


def _slots(settings: SiteSettings) -> int:
    count = settings.workers or cores()
    return count if settings.kind == "threads" else count * settings.threads


def _connector(settings: SiteSettings) -> Connect:
    if settings.kind == "dask":
        return running_cluster(settings.address)
    processes = settings.kind == "processes"
    count = settings.workers or cores()
    return local_cluster(
        workers=count if processes else 1,
        threads=settings.threads if processes else count,
        processes=processes,
        memory=settings.memory,
        dashboard=settings.dashboard,
    )


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
