"""Runs graphs by daskflow in a store of their own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.plain import DASHBOARD, workers
from benchmarks.workload import GRAPHS
from daskflow.execution.launcher import Launcher
from daskflow.execution.project import Project
from daskflow.graph import flow as flows
from daskflow.graph import task as tasks
from daskflow.settings.options import Settings, SiteSettings
from daskflow.settings.parts import open_project
from daskflow.sites import Site

_LOCAL = SiteSettings(workers=workers(), dashboard=DASHBOARD)


def settings_in(directory: Path | str, **changes: Any) -> Settings:
    """A configuration that keeps everything in one directory."""
    directory = Path(directory)
    given = {
        "store": str(directory / "journal.db"),
        "artifacts": str(directory / "artifacts"),
        "logs": directory / "logs",
        "sites": {"local": _LOCAL},
    }
    return Settings.model_validate({**given, **changes})


@contextmanager
def store(**changes: Any) -> Iterator[Settings]:
    """A new store, gone after the block."""
    with tempfile.TemporaryDirectory(prefix="daskflow-bench-", ignore_cleanup_errors=True) as directory:
        yield settings_in(directory, **changes)


class _Warm:
    """A site that stays open when a project closes."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def __getattr__(self, name: str) -> Any:
        return getattr(self._site, name)

    def close(self) -> None:
        pass


@contextmanager
def warm_site() -> Iterator[Any]:
    """A site that many laboratories may use after each other, open until the end of the block."""
    with store() as settings:
        project = open_project(settings)
        yield _Warm(project.site("local"))
        project.close()


class Laboratory:
    """Runs the graphs of the workload with one store.

    Parameters
    ----------
    settings
        Where the store lies.
    site
        Used for the jobs instead of a new one.
    """

    def __init__(self, settings: Settings, site: Any = None) -> None:
        self._settings = settings
        self._site = site
        self.launcher = Launcher(self._open)

    def _open(self) -> Project:
        project = open_project(self._settings)
        if self._site is not None:
            project._sites["local"] = self._site
        return project

    def task(self, function: Callable[..., Any]) -> Any:
        """Declare a task here."""
        return tasks.declare(function, self.launcher, {})

    def flow(self, function: Callable[..., Any]) -> Any:
        """Declare a flow here."""
        return flows.declare(function, self.launcher, None, None)

    def graph(self, name: str, jobs: int, start: int = 0) -> Any:
        """A flow that makes one of the graphs and returns its values."""
        return self.flow(lambda: GRAPHS[name](self.task, jobs, start))
