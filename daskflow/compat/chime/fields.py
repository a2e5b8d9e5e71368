"""Fields of works as older versions of CHIME/FRB Workflow had them."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pydantic

_GONE = {
    "path": "a work is performed in the directory where its agent was started, and the variable DASKFLOW_SCRATCH_DIR "
    "names one of its own; name what the function needs among its parameters",
    "precursors": "no work waits for another one; write a flow, or a pipeline with stages",
    "workspace": "sites and stores are those of daskflow.yaml",
}
"""Fields that mean nothing any more, and what to do instead."""
_OURS = tuple(f"{place}{os.sep}" for place in (Path(__file__).parents[2], Path(pydantic.__file__).parent))
"""Where code lies that nobody wants to be pointed at."""


def modern(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a work, with those of older versions turned into today's; a warning says what became of each.

    Examples
    --------
    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     modern({"pipeline": "sample", "path": ".", "archive": False})
    {'pipeline': 'sample', 'config': {'archive': {'results': False}}}
    """
    found = dict(fields)
    for name, instead in _GONE.items():
        # Old programs pass the defaults along, which never meant anything.
        if found.pop(name, None) not in (None, ".", "", [], {}):
            tell(f"the field {name!r} of a work is not used: {instead}")
    if "archive" in found:
        _archived(found)
    return found


def _archived(fields: dict[str, Any]) -> None:
    """Whether a work is kept when it has ended is part of its configuration."""
    archive = fields.pop("archive")
    config = fields.get("config")
    if archive is None:
        return
    given = dict(config) if isinstance(config, Mapping) else {} if config is None else config.model_dump()
    part = given.get("archive")
    inner = dict(part) if isinstance(part, Mapping) else {}
    fields["config"] = {**given, "archive": {"results": bool(archive), **inner}}
    tell(f"the field 'archive' of a work is config.archive.results now: {bool(archive)}")


def tell(text: str) -> None:
    """Warn of something; the warning points at the line of the user."""
    level, frame = 1, sys._getframe()
    while frame is not None and frame.f_code.co_filename.startswith(_OURS):
        level, frame = level + 1, frame.f_back  # type: ignore[assignment]
    warnings.warn(text, FutureWarning, stacklevel=max(level, 2))
