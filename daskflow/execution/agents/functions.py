"""Finds the functions that works name, where the agent may import them."""

from __future__ import annotations

import functools
import importlib
import os
import sys
from types import ModuleType
from typing import Any

from daskflow.errors import FunctionRefused
from daskflow.execution.agents.terms import Allowed
from daskflow.graph.task import Task


def find(name: str) -> Any:
    """The function of a name: `package.module.name`, `package.module:name`, with names of classes in between.

    Raises
    ------
    ImportError
        There is no such module, or it has no such function.

    Notes
    -----
    Modules are also looked for in the working directory. What a module has imported from elsewhere is found; modules
    that it has imported are not looked into.
    """
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    module, rest = _module_of(name.replace(":", "."))
    found: Any = module
    for part in rest:
        found = getattr(found, part, None)
        if found is None or isinstance(found, ModuleType):
            raise ImportError(f"The module {module.__name__} has no function {'.'.join(rest)!r}.")
    if isinstance(found, Task):
        found = found.function
    if isinstance(found, ModuleType) or not _performs(found):
        raise ImportError(f"{name!r} is a {type(found).__name__}, which cannot be called.")
    return found


def _module_of(name: str) -> tuple[ModuleType, list[str]]:
    parts = name.split(".")
    for count in range(max(1, len(parts) - 1), 0, -1):
        path = ".".join(parts[:count])
        try:
            return importlib.import_module(path), parts[count:]
        except ModuleNotFoundError as error:
            # One that this module itself needs is told as it is.
            if not error.name or not (path == error.name or path.startswith(f"{error.name}.")):
                raise
        except (TypeError, ValueError) as error:  # "..x", ""
            raise ImportError(f"{name!r} is no name of a function: {error}") from None
    raise ImportError(f"There is no module {parts[0]!r} in {os.getcwd()} or among what is installed.")


def _performs(found: Any) -> bool:
    return callable(found) or hasattr(found, "registered_commands")


def check_name(name: str, allowed: Allowed) -> None:
    """See whether what a work names may be imported.

    Raises
    ------
    FunctionRefused
    """
    if not allowed.function(name.replace(":", ".")):
        raise FunctionRefused(
            f"This agent may not import {name!r}, which the work names. Allow it under `works: functions:` in "
            "daskflow.yaml, or name a function when the agent is started."
        )


def check_owner(name: str, found: Any, allowed: Allowed) -> None:
    """See that a function which a pattern allows was made in the package that the pattern means.

    A module that was meant to be allowed may have imported `os.system` from elsewhere.

    Raises
    ------
    FunctionRefused
    """
    if name.replace(":", ".") in allowed.functions:
        return
    made = found
    while isinstance(made, functools.partial):
        made = made.func
    made = getattr(made, "callback", None) or made
    owner = getattr(made, "__module__", None) or ""
    called = getattr(made, "__qualname__", type(made).__qualname__)
    if not allowed.function(f"{owner}.{called}"):
        raise FunctionRefused(
            f"This agent may not call {name!r}: it comes from {owner or 'elsewhere'}. Allow it by its whole name under "
            "`works: functions:` in daskflow.yaml."
        )
