"""Scientific workflows as ordinary Python, on a laptop or an HPC site, that remember every result."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from daskflow.artifacts.artifact import Artifact as Artifact
    from daskflow.artifacts.forms.formats import register_format as register_format
    from daskflow.execution.commanding.job import CommandJob as CommandJob
    from daskflow.execution.credentials import credentials as credentials
    from daskflow.execution.run import Run as Run
    from daskflow.execution.worker.attempt import current as current
    from daskflow.graph.conditions import any_of as any_of
    from daskflow.graph.facts import at as at
    from daskflow.graph.facts import available as available
    from daskflow.graph.lenient import allow_failure as allow_failure
    from daskflow.graph.metrics import metric as metric
    from daskflow.model.command import Command as Command
    from daskflow.model.command import InputFile as InputFile
    from daskflow.model.policy import Resources as Resources
    from daskflow.model.work import Work as Work
    from daskflow.settings.buckets import Buckets as Buckets
    from daskflow.settings.front import Context as Context
    from daskflow.settings.front import ask as ask
    from daskflow.settings.front import fetch as fetch
    from daskflow.settings.front import first as first
    from daskflow.settings.front import flow as flow
    from daskflow.settings.front import install as install
    from daskflow.settings.front import report as report
    from daskflow.settings.front import site as site
    from daskflow.settings.front import task as task
    from daskflow.settings.places import Site as Site

__all__ = [
    "Artifact",
    "Buckets",
    "Command",
    "CommandJob",
    "Context",
    "InputFile",
    "Resources",
    "Run",
    "Site",
    "Work",
    "allow_failure",
    "any_of",
    "ask",
    "at",
    "available",
    "credentials",
    "current",
    "fetch",
    "first",
    "flow",
    "install",
    "metric",
    "register_format",
    "report",
    "site",
    "task",
]

# Each name is imported when it is first asked for (PEP 562): who needs one room does not pay for all.
_HOMES = {
    "Artifact": "daskflow.settings.files",
    "Buckets": "daskflow.settings.buckets",
    "Command": "daskflow.model.command",
    "CommandJob": "daskflow.settings.files",
    "Context": "daskflow.settings.front",
    "InputFile": "daskflow.model.command",
    "Resources": "daskflow.model.policy",
    "Run": "daskflow.execution.run",
    "Site": "daskflow.settings.places",
    "Work": "daskflow.model.work",
    "allow_failure": "daskflow.graph.lenient",
    "any_of": "daskflow.graph.conditions",
    "ask": "daskflow.settings.front",
    "at": "daskflow.graph.facts",
    "available": "daskflow.graph.facts",
    "credentials": "daskflow.execution.credentials",
    "current": "daskflow.execution.worker.attempt",
    "fetch": "daskflow.settings.front",
    "first": "daskflow.settings.front",
    "flow": "daskflow.settings.front",
    "install": "daskflow.settings.front",
    "metric": "daskflow.graph.metrics",
    "register_format": "daskflow.artifacts.forms.formats",
    "report": "daskflow.settings.front",
    "site": "daskflow.settings.front",
    "task": "daskflow.settings.front",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"daskflow has no {name!r}; it has {', '.join(__all__)}.")
    value = globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
    if "ipykernel" in sys.modules:
        # A notebook shows forms for what runs ask.
        importlib.import_module("daskflow.views.widgets").register()
    return value


def __dir__() -> list[str]:
    return __all__
