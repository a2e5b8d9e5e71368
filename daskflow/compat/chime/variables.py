"""Fields of works, and tokens, that the environment says."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PREFIX = "WORKFLOW_"
_SECRETS = "/run/secrets"
"""Where containers find files with what is not to be seen in their environment."""
_TEXTS = ("pipeline", "site", "user", "function")
_FIELDS = (*_TEXTS, "command", "parameters", "event", "timeout", "retries", "priority")
_INSTEAD = {"function": "command", "command": "function"}
"""Who gives one of these wants no other one that is said."""
_PARTS: dict[str, tuple[str, ...]] = {
    "config": ("metrics", "parent", "orgs", "teams", "strategy"),
    "config.archive": ("results", "products", "plots", "logs"),
    "notify.slack": ("channel_id", "member_ids", "message", "results", "products", "plots", "blocks"),
}
"""Parts of a work, and which of their fields may be said so: `WORKFLOW_CONFIG_ARCHIVE_PLOTS`."""
_PLAIN = ("parent", "channel_id", "message")
"""Fields of these parts that are texts, also where they look like something else."""


def completed(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a work with those that are not given, and that a variable or a secret says.

    Variables are named `WORKFLOW_` and the field, `WORKFLOW_SITE`; a file in `/run/secrets` has the same name in small
    letters. What is no text is written as JSON. What is given goes first, then variables, then files.

    Examples
    --------
    >>> os.environ["WORKFLOW_CONFIG_ARCHIVE_PLOTS"] = "move"
    >>> completed({"pipeline": "sample", "config": {"parent": "p"}})
    {'pipeline': 'sample', 'config': {'parent': 'p', 'archive': {'plots': 'move'}}}
    >>> del os.environ["WORKFLOW_CONFIG_ARCHIVE_PLOTS"]
    """
    found = dict(fields)
    if not (any(name.startswith(_PREFIX) for name in os.environ) or os.path.isdir(_SECRETS)):
        return found
    for name in _FIELDS:
        if name in fields or fields.get(_INSTEAD.get(name, "")) is not None:
            continue
        if (text := said(name)) is not None:
            found[name] = text if name in _TEXTS else _read(text)
    for path, names in _PARTS.items():
        prefix = path.replace(".", "_")
        texts = {name: text for name in names if (text := said(f"{prefix}_{name}")) is not None}
        if texts:
            _complete(found, path, {name: text if name in _PLAIN else _read(text) for name, text in texts.items()})
    return found


def token() -> str | None:
    """The token of a variable or a secret that means buckets, and no other service."""
    return said("http_token") or said("token") or None


def said(name: str) -> str | None:
    """What a variable says, else what a secret does; None where there is none."""
    found = os.environ.get(f"{_PREFIX}{name.upper()}")
    if found is not None:
        return found
    place = os.path.join(_SECRETS, f"{_PREFIX}{name}".lower())
    if not os.path.exists(place):  # a failed attempt to read takes far longer, and each work looks for all fields
        return None
    try:
        return Path(place).read_text("utf-8").strip()
    except (OSError, ValueError):
        return None


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _complete(fields: dict[str, Any], path: str, values: dict[str, Any]) -> None:
    """Add values to a part of a work, unless the part is given as an object, which has all its fields."""
    inner = fields
    for name in path.split("."):
        part = inner.get(name, {})
        if not isinstance(part, Mapping):
            return
        inner[name] = dict(part)
        inner = inner[name]
    inner.update({name: value for name, value in values.items() if name not in inner})
