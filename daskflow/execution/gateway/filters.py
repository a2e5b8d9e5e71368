"""Reads which works an agent wants, as older clients write it: a filter in the words of MongoDB."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from daskflow.errors import WorkInvalid
from daskflow.stores.buckets.shelf import Wanted

_TEXTS = {"pipeline": "pipelines", "tags": "tags", "config.parent": "parents"}
_LONGEST = 2**63


def wanted_of(filter: Mapping[str, Any]) -> Wanted:
    """The works that a filter means.

    Raises
    ------
    WorkInvalid
        It names no pipeline, or something that works are not withdrawn by.

    Examples
    --------
    >>> wanted_of({"pipeline": {"$in": ["sample"]}, "site": "local", "event": {"$in": [42]}})
    Wanted(pipelines=('sample',), site='local', user='', events=(42,), tags=(), parents=(), priority=None)
    """
    known = {*_TEXTS, "event", "site", "user", "priority"}
    strange = sorted(set(filter) - known)
    if strange:
        raise WorkInvalid(f"Works are not withdrawn by {strange[0]!r:.100}. There are {', '.join(sorted(known))}.")
    fields: dict[str, Any] = {
        field: tuple(_text(each, name) for each in _several(filter.get(name), name)) for name, field in _TEXTS.items()
    }
    if not fields["pipelines"]:
        raise WorkInvalid('Name a pipeline whose works are to be withdrawn: {"pipeline": {"$in": ["sample"]}}.')
    fields["pipelines"] = tuple(hyphenated(name) for name in fields["pipelines"])
    fields["events"] = tuple(_number(each, "event") for each in _several(filter.get("event"), "event"))
    for name in ("site", "user"):
        fields[name] = "" if filter.get(name) is None else _text(filter[name], name)
    priority = filter.get("priority")
    fields["priority"] = None if priority is None else _number(priority, "priority")
    return Wanted(**fields)


def hyphenated(pipeline: str) -> str:
    """The name of the bucket of a pipeline."""
    return pipeline.lower().replace(" ", "-").replace("_", "-")


def _several(given: Any, name: str) -> list[Any]:
    if given is None:
        return []
    if isinstance(given, Mapping):
        if set(given) != {"$in"} or not isinstance(given["$in"], list):
            raise WorkInvalid(f'{name} is a value, or one of several: {{"$in": [...]}}.')
        return list(given["$in"])
    return given if isinstance(given, list) else [given]


def _text(given: Any, name: str) -> str:
    if not isinstance(given, str):
        raise WorkInvalid(f"{name} is a text, not {given!r:.100}.")
    return given


def _number(given: Any, name: str) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or not -_LONGEST <= given < _LONGEST:
        raise WorkInvalid(f"{name} is an integer, not {given!r:.100}.")
    return given
