"""What tests of several rooms share: a laboratory with a store of its own."""

from __future__ import annotations

import os
import signal

# Clusters that tests share are idle most of the time: their workers and schedulers then take a fifth of what they
# otherwise would. It is read when dask is imported, here and in all processes that are started.
os.environ.setdefault("DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED", "False")
os.environ.setdefault("DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL", "500ms")
# How wide the window is in which tests were started is nothing to them.
os.environ.pop("COLUMNS", None)
# Nor whether a shell started them behind its back, without SIGINT, or nohup did, without SIGHUP: what they start is
# sent both. A handler that does nothing is not inherited by other programs.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda number, frame: None)

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as examples

from daskflow.artifacts.artifact import Artifact
from daskflow.artifacts.uploading import Upload
from daskflow.execution.commanding.job import CommandJob
from daskflow.execution.launcher import Launcher
from daskflow.execution.project import Project
from daskflow.graph import flow as flows
from daskflow.graph import task as tasks
from daskflow.settings.options import Settings, SiteSettings
from daskflow.settings.parts import make_site, open_project
from daskflow.sites import Site
from tests.services.fixtures import (
    counting,
    pbs,
    postgres,
    postgres_server,
    prefix,
    s3,
    sge,
    slurm,
    slurm_accounting,
    slurm_calls,
)

# How long an example takes says something of the machine: no test is about that.
examples.register_profile("patient", examples.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
examples.load_profile("patient")

__all__ = [
    "counting",
    "pbs",
    "postgres",
    "postgres_server",
    "prefix",
    "s3",
    "sge",
    "slurm",
    "slurm_accounting",
    "slurm_calls",
]
"""Fixtures that come from elsewhere."""


class Lab:
    """Declares tasks and flows that run in a store of their own, on sites that other tests may share."""

    def __init__(self, settings: Settings, sites: dict[str, Site]) -> None:
        self.settings = settings
        self._sites = sites
        self.launcher = Launcher(self._open)

    def _open(self) -> Project:
        project = open_project(self.settings)
        project._sites.update(self._sites)
        return project

    @property
    def project(self) -> Project:
        return self.launcher.project()

    def task(self, function: Callable[..., Any] | None = None, **policies: Any) -> Any:
        return tasks.declare(function, self.launcher, policies)

    def flow(self, function: Callable[..., Any] | None = None, *, site: str | None = None) -> Any:
        return flows.declare(function, self.launcher, None, site)

    def command(self, commands: Any, **options: Any) -> CommandJob:
        kind = type(
            "CommandJob",
            (CommandJob,),
            {"__slots__": (), "__module__": CommandJob.__module__, "launcher": self.launcher},
        )
        made: CommandJob = kind(commands, **options)
        return made

    def artifact(self, name: str, content: Any) -> Artifact:
        store = self.launcher.store()
        return Artifact.of(Upload(store, None, False)(content, name), store)

    def again(self) -> Lab:
        """The same store, as a new process would open it."""
        self.close()
        return Lab(self.settings, self._sites)

    def close(self) -> None:
        if self.launcher._project is not None:
            self.launcher._project._sites.clear()
        self.launcher.close()


@pytest.fixture(scope="session")
def shared_sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Site]]:
    """One site of each kind for all tests: starting worker processes costs seconds."""
    settings = {
        "local": SiteSettings(workers=2),
        "threads": SiteSettings(kind="threads", workers=2),
        "synchronous": SiteSettings(kind="synchronous"),
    }
    boxes = str(tmp_path_factory.mktemp("boxes"))
    sites = {name: make_site(name, found, boxes) for name, found in settings.items()}
    yield sites
    for site in sites.values():
        site.close()


@pytest.fixture
def lab(tmp_path: Path, shared_sites: dict[str, Site]) -> Iterator[Lab]:
    """A laboratory whose default site is the synchronous one."""
    made = Lab(settings_in(tmp_path), shared_sites)
    yield made
    made.close()


def settings_in(directory: Path, **changes: Any) -> Settings:
    """A configuration that keeps everything in one directory."""
    given = {
        "store": str(directory / "journal.db"),
        "artifacts": str(directory / "artifacts"),
        "logs": directory / "logs",
        "site": "synchronous",
        "cache": directory / "cache",
        "scratch": str(directory / "scratch"),
    }
    return Settings.model_validate({**given, **changes})


@pytest.fixture(autouse=True)
def _own_configuration(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads the configuration of the person who runs it."""
    for name in [name for name in os.environ if name.startswith("DASKFLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp()))
