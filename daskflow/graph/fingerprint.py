"""Fingerprints code: a function, everything of the user's project that it reaches, and the versions of the rest.

A fingerprint has named parts, one for each function, class and global value reached and one for each distribution,
so that two fingerprints can be compared part by part (`daskflow why`). Module names stand in the names of the
parts, but do not count: a function has the same fingerprint in a script, a module and a notebook cell.
"""

from __future__ import annotations

import datetime
import enum
import functools
import importlib
import importlib.util
import logging
import os
import pathlib
import re
import threading
import types
import weakref
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any, NamedTuple

from daskflow.errors import NoKey
from daskflow.graph.classes import class_text, members_of
from daskflow.graph.distributions import USER, Owner, owner_of, owner_of_class, project_of
from daskflow.graph.encoding import Encoder
from daskflow.graph.names import Chain, Import, names_of
from daskflow.graph.sources import code_text, function_tree
from daskflow.graph.structure import ATOMS
from daskflow.graph.tokens import digest, token
from daskflow.graph.trees import decorator_names, tree_text
from daskflow.graph.watch import Watch

_TOOLS = (
    *(logging.Logger, logging.LoggerAdapter, ContextVar, threading.local),
    *(type(threading.Lock()), type(threading.RLock()), threading.Condition, threading.Event, threading.Semaphore),
)
"""Global objects of these types are means, not values: they do not count."""

_FIXED: tuple[type, ...] = (*ATOMS, datetime.date, datetime.timedelta, enum.Enum, pathlib.PurePath, re.Pattern)
"""Types whose values cannot be changed in place."""

_CODE = (types.FunctionType, types.BuiltinFunctionType, types.ModuleType, type)


class Fingerprint(NamedTuple):
    """The identity of a piece of code."""

    id: str
    """Digest of all parts, 32 hexadecimal digits."""
    parts: dict[str, str]
    """Digest of each function, class and value by its name; version of each distribution."""
    watch: Watch
    """What it was made from."""

    def current(self) -> bool:
        """Whether all that was reached is still what it was."""
        return self.watch.unchanged()


class _Edge(NamedTuple):
    """Something that a definition uses."""

    name: str
    value: Any
    lenient: bool = False
    """Whether it may be left out where it has no key."""
    text: str = ""
    """What is known of it already."""


def fingerprint(code: Any, version: str | None = None) -> Fingerprint:
    """Fingerprint a function, class or other callable.

    Parameters
    ----------
    code
        What to fingerprint.
    version
        Where given, it stands for the code of the function itself and all that it reaches.

    Raises
    ------
    NoKey
        A global value that the code reaches has no deterministic text; the message names value and function.
    """
    if version is not None:
        # Early cutoff compares code without the task's name: two tasks of one version are two.
        name = getattr(code, "__qualname__", type(code).__qualname__)
        return Fingerprint(digest(f"version {version} of {name}"), {"version": version}, Watch().seal())
    walk = _Walk()
    top = walk.visit(code)
    parts = dict(sorted(walk.parts.items()))
    total = ",".join([top, *sorted(walk.whole)])
    return Fingerprint(digest(total), parts, walk.watch.seal())


_KNOWN: dict[int, tuple[weakref.ref[Any], Fingerprint]] = {}


def fingerprint_of(code: Any) -> Fingerprint:
    """The fingerprint of a function or class that is met again and again, such as the class of an argument."""
    known = _KNOWN.get(id(code))
    if known is not None and known[0]() is code and known[1].current():
        return known[1]
    made = fingerprint(code)
    if "<" not in getattr(code, "__qualname__", "<"):  # lambdas and their like come and go
        _KNOWN[id(code)] = (weakref.ref(code), made)
    return made


class _Values(Encoder):
    """Encodes the global values that code uses."""

    def __init__(self, walk: _Walk) -> None:
        super().__init__(walk.visit, lambda path: "")
        self._walk = walk

    def encode(self, value: Any) -> str:
        if type(value) is str:
            value = self._walk.inside(value)
        return super().encode(value)

    def path(self, value: pathlib.Path) -> str:
        # A global path is a name: where the project lies does not count.
        return f"path({self._walk.inside(str(value))!r})"

    def other(self, value: Any) -> str:
        self._walk.installed(owner_of_class(type(value)))
        return token(value, self.code)


class _Walk:
    """Visits everything that a callable reaches, each once."""

    def __init__(self) -> None:
        self.parts: dict[str, str] = {}
        self.whole: set[str] = set()
        self.watch = Watch()
        self._values = _Values(self)
        self._seen: dict[int, str] = {}
        self._kept: list[Any] = []
        self._path: list[str] = []
        self._projects: list[str] = []

    def visit(self, value: Any) -> str:
        """The own text of a piece of code; its digest, and those of all that it reaches, go into the parts."""
        value = _unwrapped(value)
        known = self._seen.get(id(value))
        if known is not None:
            return known
        self._kept.append(value)  # an id is only good as long as the object lives
        self._seen[id(value)] = f"again({_name_of(value)})"
        self._seen[id(value)] = text = self._describe(value)
        return text

    def _describe(self, value: Any) -> str:
        if isinstance(value, types.ModuleType):
            return self._module(value)
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, types.BuiltinFunctionType):
            return self._builtin(value)
        if callable(value) and callable(getattr(value, "__wrapped__", None)):
            name = self._foreign(type(value), owner_of_class(type(value)))
            return f"{name} around {self.visit(value.__wrapped__)}"
        return self._values.encode(value)

    def inside(self, text: str) -> str:
        """A path as it is seen from the top of the project whose code uses it."""
        project = self._projects[-1] if self._projects else os.getcwd()
        for root in (project, os.path.realpath(project)):
            if text.startswith(root) and text[len(root) : len(root) + 1] in ("", os.sep):
                return f".{text[len(root) :]}"
        return text

    def installed(self, owner: Owner) -> str:
        """Note a distribution that is reached."""
        if owner.kind in ("user", "daskflow"):
            return owner.kind
        self.parts[owner.name] = owner.version
        self.whole.add(f"{owner.name} {owner.version}")
        return owner.name

    def _foreign(self, value: Any, owner: Owner) -> str:
        return f"{_name_of(value)} of {self.installed(owner)}"

    def _builtin(self, function: types.BuiltinFunctionType) -> str:
        of = function.__self__
        if of is None or isinstance(of, types.ModuleType):
            return self._foreign(function, owner_of(function.__module__))
        return f"{function.__qualname__} of {self._values.encode(of)}"

    def _module(self, module: types.ModuleType) -> str:
        """A module that is used as a whole counts by all that it holds."""
        owner = owner_of(module.__name__)
        if owner.kind != "user":
            return self.installed(owner)
        names = sorted(name for name in vars(module) if not (name.startswith("__") and name.endswith("__")))
        for name in names:
            self.watch.name(vars(module), name)
        edges = [_Edge(name, vars(module)[name], lenient=True) for name in names]
        return self._part(("", module.__name__), "module", edges, module.__name__)

    def _function(self, function: types.FunctionType) -> str:
        module = function.__globals__.get("__name__")
        owner = owner_of(module)
        self.watch.function(function)
        if owner.kind != "user":
            inner = [_Edge(name, value, lenient=True) for name, value in _wrapped_in(function)]
            return self._foreign(function, owner) + (self._edges(function.__qualname__, inner) if inner else "")
        tree = function_tree(function)
        text = tree_text(tree) if tree is not None else code_text(function.__code__)
        edges = [*self._reached(function), *_defaults(function)]
        edges += [_Edge(f"attribute {name}", value, lenient=True) for name, value in _attributes(function)]
        for chain in decorator_names(tree) if tree is not None else ():
            if chain[0] in function.__globals__:
                edges.append(self._follow(chain, function.__globals__[chain[0]])._replace(lenient=True))
        return self._part((function.__module__, function.__qualname__), text, edges, module)

    def _class(self, cls: type) -> str:
        owner = owner_of_class(cls)
        if owner.kind != "user":
            return self._foreign(cls, owner)
        self.watch.members(cls)
        edges = [_Edge(name, value, lenient=True) for name, value in members_of(cls)]
        return self._part((cls.__module__, cls.__qualname__), class_text(cls), edges, cls.__module__)

    def _part(self, names: tuple[str | None, str], text: str, edges: list[_Edge], module: str | None) -> str:
        self._projects.append(project_of(module))
        reached = self._edges(names[1], edges)
        self._projects.pop()
        name = ".".join(filter(None, names))
        own, whole = digest(text), digest(text + reached)
        # Two lambdas may have one name: their parts stand side by side.
        free = next(n for n in _numbered(name) if self.parts.get(n, own) == own)
        self.parts[free] = own
        self.whole.add(whole)
        return whole

    def _reached(self, function: types.FunctionType) -> Iterator[_Edge]:
        names = names_of(function.__code__)
        namespace = function.__globals__
        for chain in sorted(names.globals):
            self.watch.name(namespace, chain[0])
            if chain[0] in namespace:
                yield self._follow(chain, namespace[chain[0]])
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                self.watch.cell(cell)
            except ValueError:  # not filled yet: a function that will refer to itself
                continue
            for chain in sorted(c for c in names.free if c[0] == name) or [(name,)]:
                yield self._follow(chain, cell.cell_contents)
        for found in sorted(names.imports):
            yield self._imported(found, namespace)

    def _follow(self, chain: Chain, value: Any) -> _Edge:
        """Walk along `package.module.function` as long as it leads through modules of the user."""
        reached = 1
        for name in chain[1:]:
            if not isinstance(value, types.ModuleType) or owner_of(value.__name__).kind != "user":
                break
            self.watch.name(vars(value), name)
            if not hasattr(value, name):
                break
            value = getattr(value, name)
            reached += 1
        return _Edge(".".join(chain[:reached]), value)

    def _imported(self, found: Import, namespace: Mapping[str, Any]) -> _Edge:
        """What an import statement inside a function leads to; modules of the user are imported to see it."""
        text = f"import {'.' * found.level}{'.'.join((found.module, *found.path))}"
        package = namespace.get("__package__") or str(namespace.get("__name__", "")).rpartition(".")[0]
        try:
            name = importlib.util.resolve_name("." * found.level + found.module, package)
            owner = owner_of(name)
            if owner.kind != "user":
                return _Edge(text, None, text=self.installed(owner))
            module = importlib.import_module(name)
            if found.path and not hasattr(module, found.path[0]) and hasattr(module, "__path__"):
                module = importlib.import_module(f"{name}.{found.path[0]}")
                found = found._replace(path=found.path[1:])
        except (Exception, SystemExit):  # whatever the module raises: the job will raise the same
            return _Edge(text, None, text="not there")
        return self._follow((text, *found.path), module)._replace(name=text)

    def _edges(self, name: str, edges: list[_Edge]) -> str:
        self._path.append(name)
        texts = [self._edge(edge) for edge in sorted(edges, key=lambda edge: edge.name)]
        self._path.pop()
        return "".join(dict.fromkeys(texts))

    def _edge(self, edge: _Edge) -> str:
        value = _unwrapped(edge.value)
        if edge.text or isinstance(value, _TOOLS):
            return f"\n{edge.name} = {edge.text or type(value).__qualname__}"
        try:
            text = self.visit(value)
            if _may_change(value):
                self.watch.value(value, _SHALLOW.encode)
        except NoKey as error:
            if edge.lenient:
                return f"\n{edge.name} of {type(value).__qualname__}"
            if "is used by" in str(error):
                raise
            raise NoKey(f"{edge.name!r} is used by {' -> '.join(self._path)}, but: {error}") from None
        if not callable(value) and not isinstance(value, types.ModuleType):
            self.parts[f"{self._path[-1]}: {edge.name}"] = digest(text) if len(text) > 60 else text
        return f"\n{edge.name} = {text}"


_SHALLOW = Encoder(lambda code: str(id(code)), str)
"""Tells whether a value was changed in place; that code is the same is watched apart."""


def _may_change(value: Any) -> bool:
    """Whether a value may be changed in place; the callables of libraries are not looked into at each call."""
    if isinstance(value, (*_FIXED, *_CODE)):
        return False
    return not callable(value) or isinstance(value, functools.partial) or owner_of_class(type(value)) == USER


def _unwrapped(value: Any) -> Any:
    """The function inside a task or a flow; wrappers made by functools.wraps count themselves."""
    inner = getattr(value, "function", None) if type(value).__module__.startswith("daskflow.graph.") else None
    return value if inner is None else inner


def _name_of(value: Any) -> str:
    return str(getattr(value, "__qualname__", type(value).__qualname__))


def _defaults(function: types.FunctionType) -> list[_Edge]:
    # What a default was computed to is not seen in the tree.
    given = function.__defaults__ or ()
    code = function.__code__
    names = code.co_varnames[code.co_argcount - len(given) : code.co_argcount]
    values = [*zip(names, given, strict=True), *(function.__kwdefaults__ or {}).items()]
    return [_Edge(f"default of {name}", value) for name, value in values]


def _attributes(function: types.FunctionType) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in vars(function).items() if name != "__wrapped__"]


_INNER: tuple[type, ...] = (*ATOMS, tuple, types.FunctionType, type, types.MethodType)


def _wrapped_in(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """The user's code and plain values that a library wrapped a function of its own around."""
    wrapped = getattr(function, "__wrapped__", None)
    if wrapped is not None:
        yield "wrapped", wrapped
    registry = getattr(function, "registry", None)
    if registry is not None and hasattr(function, "dispatch"):  # functools.singledispatch
        yield "registry", registry
        return
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            value = cell.cell_contents
        except ValueError:
            continue
        if isinstance(value, _INNER) or type(value).__module__ == "numpy":
            yield name, value


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name} #{number}"
        number += 1
