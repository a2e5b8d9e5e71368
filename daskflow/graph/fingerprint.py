"""Fingerprints code: a function, everything of the user's project that it reaches, and the versions of the rest.

A fingerprint has named parts, one for each function, class and global value reached and one for each distribution,
so that two fingerprints can be compared part by part (`daskflow why`). Module names stand in the names of the
parts, but do not count: a function has the same fingerprint in a script, a module and a notebook cell.
"""

from __future__ import annotations

import datetime
import enum
import functools
import logging
import os
import pathlib
import re
import threading
import types
import weakref
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, NamedTuple

from daskflow.errors import NoKey
from daskflow.graph.classes import class_text, members_of
from daskflow.graph.distributions import DASKFLOW, USER, Owner, owner_of, owner_of_class, project_of
from daskflow.graph.edges import Edge, decorators_of, reached_by, set_on, wrapped_in
from daskflow.graph.encoding import Encoder
from daskflow.graph.sources import code_text, function_tree
from daskflow.graph.structure import ATOMS
from daskflow.graph.tokens import digest, token
from daskflow.graph.trees import tree_text
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
        owner = owner_of_class(type(value))
        if owner == DASKFLOW and not getattr(value, "__dict__", None):
            return "daskflow"  # `report` and its like hold nothing, wherever a release keeps them
        self._walk.installed(owner)
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
        try:
            self._seen[id(value)] = text = self._describe(value)
        except NoKey:
            del self._seen[id(value)]
            raise
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
            return f"module {module.__name__} of {self.installed(owner)}"
        names = sorted(name for name in vars(module) if not (name.startswith("__") and name.endswith("__")))
        for name in names:
            self.watch.name(vars(module), name)
        edges = [Edge(name, vars(module)[name], lenient=True) for name in names]
        return self._part(("", module.__name__), "module", edges, module.__name__)

    def _function(self, function: types.FunctionType) -> str:
        module = function.__globals__.get("__name__")
        owner = owner_of(module)
        self.watch.function(function)
        if owner.kind != "user":
            return self._foreign(function, owner) + self._edges(function.__qualname__, list(wrapped_in(function)))
        tree = function_tree(function)
        text = tree_text(tree) if tree is not None else code_text(function.__code__)
        edges = [*reached_by(function, self.watch), *set_on(function), *decorators_of(function, tree, self.watch)]
        return self._part((function.__module__, function.__qualname__), text, edges, module)

    def _class(self, cls: type) -> str:
        owner = owner_of_class(cls)
        if owner.kind != "user":
            return self._foreign(cls, owner)
        self.watch.members(cls)
        edges = [Edge(name, value, True, name.startswith("field ")) for name, value in members_of(cls)]
        return self._part((cls.__module__, cls.__qualname__), class_text(cls), edges, cls.__module__)

    def _part(self, names: tuple[str | None, str], text: str, edges: list[Edge], module: str | None) -> str:
        self._projects.append(project_of(module))
        try:
            reached = self._edges(names[1], edges)
        finally:
            self._projects.pop()
        name = ".".join(filter(None, names))
        own, whole = digest(text), digest(text + reached)
        # Two lambdas may have one name: their parts stand side by side.
        free = next(n for n in _numbered(name) if self.parts.get(n, own) == own)
        self.parts[free] = own
        self.whole.add(whole)
        return whole

    def _edges(self, name: str, edges: list[Edge]) -> str:
        self._path.append(name)
        try:
            texts = [self._edge(edge) for edge in sorted(edges, key=lambda edge: edge.name)]
        finally:
            self._path.pop()
        return "".join(dict.fromkeys(texts))

    def _edge(self, edge: Edge) -> str:
        value = _unwrapped(edge.value)
        if isinstance(value, Owner):
            return f"\n{edge.name} = {self.installed(value)}"
        if isinstance(value, _TOOLS):
            return f"\n{edge.name} = {type(value).__qualname__}"
        try:
            text = self.visit(value)
            if not edge.made and _may_change(value):
                self.watch.value(value, _SHALLOW.encode)
        except NoKey as error:
            if edge.lenient and not isinstance(value, _CODE):
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
    owner = owner_of_class(type(value))
    if owner == DASKFLOW and not getattr(value, "__dict__", None):
        return False
    return not callable(value) or isinstance(value, functools.partial) or owner == USER


def _unwrapped(value: Any) -> Any:
    """The function inside a task or a flow; wrappers made by functools.wraps count themselves."""
    inner = getattr(value, "function", None) if type(value).__module__.startswith("daskflow.graph.") else None
    return value if inner is None else inner


def _name_of(value: Any) -> str:
    return str(getattr(value, "__qualname__", type(value).__qualname__))


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name} #{number}"
        number += 1
