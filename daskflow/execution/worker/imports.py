"""Finds which of the code that a task reaches is imported by its name on workers, and what it is like in this process.

A task that travels by value takes along the functions of its script, not those of the modules beside it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from daskflow.errors import NoKey
from daskflow.graph.distributions import owner_of
from daskflow.graph.fingerprint import fingerprint
from daskflow.graph.task import findable


def places(code: Any, parts: Iterable[str]) -> tuple[str, ...]:
    """Where workers find what they import of the user's own modules: `module:name`, `module:` for a whole module.

    Parameters
    ----------
    code
        A function or another callable that travels by value.
    parts
        Names of the parts of its fingerprint.
    """
    found = {place: _at(place) for name in parts if (place := _place(name))}
    return tuple([place for place, value in found.items() if not _is_around(value, code)])


def parts_at(found: Iterable[str]) -> dict[str, str]:
    """The parts of the fingerprints of what this process has at some places; what it has not is left out."""
    made: dict[str, str] = {}
    for place in found:
        if place.replace(":", ".").rstrip(".") not in made:
            value = _at(place)
            made.update(_parts(value) if value is not None else {})
    return made


def _parts(code: Any) -> Mapping[str, str]:
    try:
        return fingerprint(code).parts
    except NoKey:
        return {}


def _place(part: str) -> str:
    """Where the code of a part lies; empty where workers get it by value, or where it is no code."""
    names = part.split(".")
    for count in range(len(names), 0, -1):
        module = ".".join(names[:count])
        if module in sys.modules:
            place = f"{module}:{'.'.join(names[count:])}"
            users = owner_of(module).kind == "user" and findable(module)
            return place if users and _at(place) is not None else ""
    return ""


def _at(place: str) -> Any:
    module, _, name = place.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in name.split(".") if name else ():
            found = getattr(found, part)
    except (ImportError, AttributeError):
        return None
    return found


def _is_around(value: Any, code: Any) -> bool:
    """Whether what has the name of a function is a task made of it: then the function itself travels by value."""
    return value is not code and getattr(value, "function", None) is code
