"""Scientific workflows as ordinary Python, on a laptop or an HPC site, that remember every result."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from daskflow.execution.credentials import credentials as credentials
    from daskflow.execution.run import Run as Run
    from daskflow.execution.worker.attempt import current as current
    from daskflow.graph.conditions import any_of as any_of
    from daskflow.graph.facts import at as at
    from daskflow.graph.facts import available as available
    from daskflow.graph.lenient import allow_failure as allow_failure
    from daskflow.graph.metrics import metric as metric
    from daskflow.model.outcome import Failure as Failure
    from daskflow.model.policy import Resources as Resources
    from daskflow.settings import Context as Context
    from daskflow.settings import ask as ask
    from daskflow.settings import fetch as fetch
    from daskflow.settings import first as first
    from daskflow.settings import flow as flow
    from daskflow.settings import install as install
    from daskflow.settings import report as report
    from daskflow.settings import site as site
    from daskflow.settings import task as task

__all__ = [
    "Context",
    "Failure",
    "Resources",
    "Run",
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
    "report",
    "site",
    "task",
]

# Each name is imported when it is first asked for (PEP 562): who needs one room does not pay for all.
_HOMES = {
    "Context": "daskflow.settings",
    "Failure": "daskflow.model.outcome",
    "Resources": "daskflow.model.policy",
    "Run": "daskflow.execution.run",
    "allow_failure": "daskflow.graph.lenient",
    "any_of": "daskflow.graph.conditions",
    "ask": "daskflow.settings",
    "at": "daskflow.graph.facts",
    "available": "daskflow.graph.facts",
    "credentials": "daskflow.execution.credentials",
    "current": "daskflow.execution.worker.attempt",
    "fetch": "daskflow.settings",
    "first": "daskflow.settings",
    "flow": "daskflow.settings",
    "install": "daskflow.settings",
    "metric": "daskflow.graph.metrics",
    "report": "daskflow.settings",
    "site": "daskflow.settings",
    "task": "daskflow.settings",
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
