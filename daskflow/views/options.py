"""The arguments and options that several commands share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from daskflow.execution.project import Project
from daskflow.settings.options import Settings, load
from daskflow.settings.parts import open_project

TargetArgument = Annotated[str, typer.Argument(metavar="TARGET", help="path/to/file.py:flow or package.module:flow")]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="An id, how only one id begins or ends, or `last`.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="An argument of the flow; may be repeated.")
]
SiteOption = Annotated[str | None, typer.Option("--site", help="Where jobs run that name no site.")]
ConfigOption = Annotated[Path | None, typer.Option("--config", help="Read this instead of daskflow.yaml.")]
SubmitOption = Annotated[bool, typer.Option("--submit", help="Let the driver run as a batch job; return at once.")]
AtOption = Annotated[str | None, typer.Option("--at", help="With --submit: the site of the driver, if not --site.")]
PoolOption = Annotated[str | None, typer.Option("--pool", help="With --submit: the pool of the driver.")]
WalltimeOption = Annotated[str | None, typer.Option("--walltime", help="With --submit: '2 h'; the pool's by default.")]
CoresOption = Annotated[int | None, typer.Option("--cores", min=1, help="With --submit: cores of the driver.")]
MemoryOption = Annotated[str | None, typer.Option("--memory", help="With --submit: memory of the driver, '4 GiB'.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@contextmanager
def reading(config: Path | None) -> Iterator[Project]:
    """The project of a command that looks, and makes and changes nothing."""
    project = open_project(configured(config), readonly=True)
    try:
        yield project
    finally:
        project.close()


def configured(config: Path | None, site: str | None = None) -> Settings:
    """The configuration that the options of a command ask for."""
    settings = load(config)
    return settings if site is None else settings.model_copy(update={"site": site})
