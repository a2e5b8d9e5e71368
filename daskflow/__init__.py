"""Scientific workflows as ordinary Python, on a laptop or an HPC site, that remember every result."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from daskflow.execution.attempt import current as current
    from daskflow.execution.run import Run as Run
    from daskflow.model.policy import Resources as Resources
    from daskflow.settings import flow as flow
    from daskflow.settings import report as report
    from daskflow.settings import site as site
    from daskflow.settings import task as task

__all__ = ["Resources", "Run", "current", "flow", "report", "site", "task"]

# Each name is imported when it is first asked for (PEP 562): who needs one room does not pay for all.
_HOMES = {
    "Resources": "daskflow.model.policy",
    "Run": "daskflow.execution.run",
    "current": "daskflow.execution.attempt",
    "flow": "daskflow.settings",
    "report": "daskflow.settings",
    "site": "daskflow.settings",
    "task": "daskflow.settings",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"daskflow has no {name!r}; it has {', '.join(__all__)}.")
    value = globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return __all__
