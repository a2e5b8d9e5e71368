"""Gives classes of scripts and notebooks, which travel by value, one identity in all processes that have them.

cloudpickle knows a class again by a random number, which a new process does not have: what it loads then is of another
class that only looks alike. Here the number is made of the name and the fingerprint of the class.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from daskflow.errors import NoKey
from daskflow.graph.fingerprint import fingerprint_of

_DEPTH = 3
"""Classes within classes are looked for so deep."""


def identify_classes(modules: Iterable[str] = ()) -> None:
    """Have the present classes of the main module, and of further ones that travel by value, known again.

    Of classes of one name and one fingerprint the latest is the present one. With a release of cloudpickle that keeps
    its numbers elsewhere nothing happens.
    """
    import cloudpickle.cloudpickle as inside

    numbers = getattr(inside, "_DYNAMIC_CLASS_TRACKER_BY_CLASS", None)
    known = getattr(inside, "_DYNAMIC_CLASS_TRACKER_BY_ID", None)
    lock = getattr(inside, "_DYNAMIC_CLASS_TRACKER_LOCK", None)
    if numbers is None or known is None or lock is None:
        return
    for name in {"__main__", *inside.list_registry_pickle_by_value(), *modules}:
        for cls in _classes_of(sys.modules.get(name), name, _DEPTH):
            with contextlib.suppress(NoKey):
                number = f"{cls.__qualname__}-{fingerprint_of(cls).id}"
                with lock:
                    numbers[cls], known[number] = number, cls


def _classes_of(holder: Any, module: str, depth: int) -> Iterator[type]:
    for value in list(vars(holder).values()) if holder is not None and depth else ():
        if isinstance(value, type) and value.__module__ == module:
            yield value
            yield from _classes_of(value, module, depth - 1)
