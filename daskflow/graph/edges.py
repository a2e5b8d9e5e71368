"""Finds what a loaded function uses: globals, variables of closures, imports, defaults, attributes, decorators."""

from __future__ import annotations

import ast
import importlib
import importlib.util
from collections.abc import Iterator, Mapping
from types import FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from daskflow.graph.distributions import owner_of
from daskflow.graph.names import Chain, Import, names_of
from daskflow.graph.structure import ATOMS
from daskflow.graph.trees import decorator_names
from daskflow.graph.watch import Watch


class Edge(NamedTuple):
    """Something that a definition uses."""

    name: str
    value: Any
    """What it is; of a library that need not be imported yet, its owner."""
    lenient: bool = False
    """Whether it may be left out where it has no key; code never may."""
    made: bool = False
    """Whether it was put together here, so that nobody else can change it."""


def reached_by(function: FunctionType, watch: Watch) -> Iterator[Edge]:
    """What the body of a function takes from outside."""
    names = names_of(function.__code__)
    namespace = function.__globals__
    for chain in sorted(names.globals):
        watch.name(namespace, chain[0])
        if chain[0] in namespace:
            yield follow(chain, namespace[chain[0]], watch)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            watch.cell(cell)
        except ValueError:  # not filled yet: a function that will refer to itself
            continue
        for chain in sorted(c for c in names.free if c[0] == name) or [(name,)]:
            yield follow(chain, cell.cell_contents, watch)
    for found in sorted(names.imports):
        yield imported(found, namespace, watch)


def follow(chain: Chain, value: Any, watch: Watch) -> Edge:
    """Walk along `package.module.function` as long as it leads through modules of the user."""
    reached = 1
    for name in chain[1:]:
        if not isinstance(value, ModuleType) or owner_of(value.__name__).kind != "user":
            break
        watch.name(vars(value), name)
        if not hasattr(value, name):
            break
        value = getattr(value, name)
        reached += 1
    return Edge(".".join(chain[:reached]), value)


def imported(found: Import, namespace: Mapping[str, Any], watch: Watch) -> Edge:
    """What an import statement inside a function leads to; modules of the user are imported to see it."""
    text = f"import {'.' * found.level}{'.'.join((found.module, *found.path))}"
    package = namespace.get("__package__") or str(namespace.get("__name__", "")).rpartition(".")[0]
    path = found.path
    try:
        name = importlib.util.resolve_name("." * found.level + found.module, package)
        owner = owner_of(name)
        if owner.kind != "user":
            return Edge(text, owner)
        module = importlib.import_module(name)
        if path and not hasattr(module, path[0]) and hasattr(module, "__path__"):
            module, path = importlib.import_module(f"{name}.{path[0]}"), path[1:]
    except (Exception, SystemExit):  # whatever the module raises: the job will raise the same
        return Edge(text, "not there")
    return follow((text, *path), module, watch)._replace(name=text)


def set_on(function: FunctionType) -> Iterator[Edge]:
    """Defaults, as they were computed, and attributes."""
    given = function.__defaults__ or ()
    code = function.__code__
    names = code.co_varnames[code.co_argcount - len(given) : code.co_argcount]
    for name, value in (*zip(names, given, strict=True), *(function.__kwdefaults__ or {}).items()):
        yield Edge(f"default of {name}", value)
    for name, value in vars(function).items():
        if name != "__wrapped__":
            yield Edge(f"attribute {name}", value, lenient=True)


def decorators_of(function: FunctionType, tree: ast.AST | None, watch: Watch) -> Iterator[Edge]:
    """What the decorators of a function name; what they made of it is met where it is used."""
    for chain in decorator_names(tree) if tree is not None else ():
        if chain[0] in function.__globals__:
            found = follow(chain, function.__globals__[chain[0]], watch)
            yield Edge(f"decorator {found.name}", found.value, lenient=True)


_INNER: tuple[type, ...] = (*ATOMS, tuple, FunctionType, MethodType, type)


def wrapped_in(function: FunctionType) -> Iterator[Edge]:
    """The user's code and plain values that a library wrapped a function of its own around."""
    wrapped = getattr(function, "__wrapped__", None)
    if wrapped is not None:
        yield Edge("wrapped", wrapped, lenient=True)
    registry = getattr(function, "registry", None)
    if registry is not None and hasattr(function, "dispatch"):  # functools.singledispatch
        yield Edge("registry", registry, lenient=True)
        return
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            value = cell.cell_contents
        except ValueError:
            continue
        # Other objects may be caches, which change when they are used.
        if isinstance(value, _INNER) or type(value).__module__ == "numpy":
            yield Edge(name, value, lenient=True)
