"""Fingerprints code: a function, everything of the user's project that it reaches, and the versions of the rest.

A fingerprint has named parts, one for each function, class and global value reached and one for each distribution,
so that two fingerprints can be compared part by part (`daskflow why`). Module names stand in the names of the
parts, but do not count: a function has the same fingerprint in a script, a module and a notebook cell.
"""

from __future__ import annotations

import ast
import builtins
import copy
import logging
import pathlib
import sys
import threading
import types
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, NamedTuple

from daskflow.errors import NoKey
from daskflow.graph.distributions import owner_of
from daskflow.graph.encoding import Encoder, digest
from daskflow.graph.sources import class_tree, code_text, codes_of, function_tree

_TOOLS = (logging.Logger, type(threading.Lock()), type(threading.RLock()), ContextVar, threading.local)
"""Global objects of these types are means, not values: they do not count."""


class Fingerprint(NamedTuple):
    """The identity of a piece of code."""

    id: str
    """Digest of all parts, 32 hexadecimal digits."""
    parts: dict[str, str]
    """Digest of each function, class and value by its name; version of each distribution."""
    watched: tuple[tuple[dict[str, Any], str, Any], ...]
    """The globals reached: namespace, name and the object found there."""

    def current(self) -> bool:
        """Whether all globals reached are still the same objects."""
        for namespace, name, value in self.watched:  # noqa: SIM110  (hot: a generator costs twice)
            if namespace.get(name) is not value:
                return False
        return True


class _Edge(NamedTuple):
    """One global name that a definition uses, and what it leads to."""

    name: str
    value: Any


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
        return Fingerprint(digest(f"version {version}"), {"version": version}, ())
    walk = _Walk()
    top = walk.visit(code)
    parts = dict(sorted(walk.parts.items()))
    total = ",".join([top, *sorted(walk.anonymous)])
    return Fingerprint(digest(total), parts, tuple(walk.watched))


class _Walk:
    """Visits everything that a callable reaches, each once."""

    def __init__(self) -> None:
        self.parts: dict[str, str] = {}
        self.anonymous: set[str] = set()
        self.watched: list[tuple[dict[str, Any], str, Any]] = []
        self._seen: dict[int, str] = {}
        self._kept: list[Any] = []
        self._path: list[str] = []

    def visit(self, value: Any) -> str:
        """The own text of a piece of code; its digest, and those of all that it reaches, go into the parts."""
        value = _unwrapped(value)
        known = self._seen.get(id(value))
        if known is not None:
            return known
        self._kept.append(value)  # an id is only good as long as the object lives
        self._seen[id(value)] = f"again({getattr(value, '__qualname__', type(value).__qualname__)})"
        self._seen[id(value)] = text = self._describe(value)
        return text

    def _describe(self, value: Any) -> str:
        if isinstance(value, types.ModuleType):
            return self._module(value)
        owner = owner_of(getattr(value, "__module__", None) or type(value).__module__)
        if owner.kind == "user" and isinstance(value, types.FunctionType):
            return self._part(value, *self._function(value))
        if owner.kind == "user" and isinstance(value, type):
            return self._part(value, *self._class(value))
        if isinstance(value, (type, types.FunctionType)) or (callable(value) and owner.kind != "user"):
            return self._foreign(value)
        return Encoder(self.visit, _path_text).encode(value)

    def _module(self, module: types.ModuleType) -> str:
        owner = owner_of(module.__name__)
        if owner.kind != "user":
            return self._installed(owner.kind, owner.name, owner.version)
        source = pathlib.Path(module.__file__) if module.__file__ else None
        text = ast.unparse(_bare(ast.parse(source.read_text()))) if source else module.__name__
        return self._named(module.__name__, text, "")

    def _foreign(self, value: Any) -> str:
        owner = owner_of(getattr(value, "__module__", None))
        name = getattr(value, "__qualname__", type(value).__qualname__)
        if name == "<lambda>" or "<locals>" in name or owner.kind == "user":
            return f"builtin({name})"
        return f"{name} of {self._installed(owner.kind, owner.name, owner.version)}"

    def _installed(self, kind: str, name: str, version: str) -> str:
        if kind == "daskflow":
            return "daskflow"
        self.parts[name] = version
        self.anonymous.add(f"{name} {version}")
        return name

    def _part(self, value: Any, text: str, edges: str) -> str:
        return self._named(f"{value.__module__}.{value.__qualname__}", text, edges)

    def _named(self, name: str, text: str, edges: str) -> str:
        own, whole = digest(text), digest(text + edges)
        # Two lambdas may have one name: their parts stand side by side.
        free = next(n for n in _numbered(name) if self.parts.get(n, own) == own)
        self.parts[free] = own
        self.anonymous.add(whole)
        return whole

    def _function(self, function: types.FunctionType) -> tuple[str, str]:
        tree = function_tree(function)
        text = ast.unparse(_bare(tree)) if tree is not None else code_text(function.__code__)
        return text, self._edges(function.__qualname__, self._reached(function, tree))

    def _class(self, cls: type) -> tuple[str, str]:
        tree = class_tree(cls)
        members = [
            _Edge(name, member) for name, member in sorted(vars(cls).items()) if tree is None and _is_member(name)
        ]
        text = ast.unparse(_bare(tree)) if tree is not None else cls.__qualname__
        if tree is None:
            text += str(sorted((name, str(t)) for name, t in vars(cls).get("__annotations__", {}).items()))
        bases = [_Edge(f"base {base.__name__}", base) for base in cls.__bases__ if base is not object]
        used = [edge for f in _functions_of(cls) for edge in self._reached(f, function_tree(f))]
        body = [] if tree is None else list(self._body(cls, tree))
        return text, self._edges(cls.__qualname__, [*bases, *members, *used, *body])

    def _body(self, cls: type, tree: ast.ClassDef) -> Iterator[_Edge]:
        """What the statements of a class body use, beside its methods."""
        namespace = vars(sys.modules[cls.__module__]) if cls.__module__ in sys.modules else {}
        for statement in [*tree.decorator_list, *tree.body]:
            if not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
                for chain in sorted(_chains(statement)):
                    if chain[0] in namespace:
                        yield self._follow(chain, namespace[chain[0]])

    def _reached(self, function: types.FunctionType, tree: ast.AST | None) -> list[_Edge]:
        chains = _chains(tree) if tree is not None else _names(function.__code__)
        return [*self._globals(function, chains), *self._cells(function, chains), *_defaults(function)]

    def _globals(self, function: types.FunctionType, chains: set[tuple[str, ...]]) -> Iterator[_Edge]:
        used = {name for code in codes_of(function.__code__) for name in code.co_names}
        for chain in sorted(chains):
            if chain[0] in used and chain[0] in function.__globals__:
                self._watch(function.__globals__, chain[0])
                yield self._follow(chain, function.__globals__[chain[0]])

    def _watch(self, namespace: dict[str, Any], name: str) -> None:
        if not any(n is namespace and name == known for n, known, _ in self.watched):
            self.watched.append((namespace, name, namespace[name]))

    def _cells(self, function: types.FunctionType, chains: set[tuple[str, ...]]) -> Iterator[_Edge]:
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                value = cell.cell_contents
            except ValueError:  # not filled yet: a function that will refer to itself
                continue
            for chain in sorted(c for c in chains if c[0] == name) or [(name,)]:
                yield self._follow(chain, value)

    def _follow(self, chain: tuple[str, ...], value: Any) -> _Edge:
        """Walk along `package.module.function` as long as it leads through modules of the user."""
        reached = 1
        for name in chain[1:]:
            if not isinstance(value, types.ModuleType) or owner_of(value.__name__).kind != "user":
                break
            if not hasattr(value, name):
                break
            self._watch(vars(value), name) if name in vars(value) else None
            value = getattr(value, name)
            reached += 1
        return _Edge(".".join(chain[:reached]), value)

    def _edges(self, name: str, edges: list[_Edge]) -> str:
        self._path.append(name)
        texts = [f"\n{edge.name} = {self._edge(edge)}" for edge in sorted(edges, key=lambda edge: edge.name)]
        self._path.pop()
        return "".join(dict.fromkeys(texts))

    def _edge(self, edge: _Edge) -> str:
        if isinstance(edge.value, _TOOLS):
            return type(edge.value).__qualname__
        try:
            text = self.visit(edge.value)
        except NoKey as error:
            if "is used by" in str(error):
                raise
            raise NoKey(f"{edge.name!r} is used by {' -> '.join(self._path)}, but: {error}") from None
        if not callable(edge.value) and not isinstance(edge.value, types.ModuleType):
            self.parts[f"{self._path[-1]}: {edge.name}"] = digest(text) if len(text) > 60 else text
        return text


def _unwrapped(value: Any) -> Any:
    """The function inside a task, a flow or a method object; wrappers made by functools.wraps count themselves."""
    inner = getattr(value, "function", None)
    if inner is not None and hasattr(value, "policy"):
        return inner
    return value


def _is_member(name: str) -> bool:
    return not (name.startswith("__") and name.endswith("__") and name not in ("__init__", "__call__")) and not (
        name.startswith(("__pydantic", "_abc_"))
    )


def _functions_of(cls: type) -> Iterator[types.FunctionType]:
    for member in vars(cls).values():
        found = getattr(member, "__func__", getattr(member, "fget", member))
        found = getattr(found, "func", found)  # functools.cached_property
        if isinstance(found, types.FunctionType) and not found.__code__.co_filename.startswith("<"):
            yield found


def _defaults(function: types.FunctionType) -> list[_Edge]:
    # What a default was computed to is not seen in the tree.
    given = function.__defaults__ or ()
    code = function.__code__
    names = code.co_varnames[code.co_argcount - len(given) : code.co_argcount]
    values = [*zip(names, given, strict=True), *(function.__kwdefaults__ or {}).items()]
    return [_Edge(f"default of {name}", value) for name, value in values]


def _path_text(path: pathlib.Path) -> str:
    # A global path is a name: where the project lies does not count.
    return path.name


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name} #{number}"
        number += 1


def _names(code: types.CodeType) -> set[tuple[str, ...]]:
    return {(name,) for inner in codes_of(code) for name in (*inner.co_names, *inner.co_freevars)}


def _chains(tree: ast.AST) -> set[tuple[str, ...]]:
    """All dotted names that are read in a tree: `np.linalg.solve` is `("np", "linalg", "solve")`."""
    found: set[tuple[str, ...]] = set()
    inner: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Attribute, ast.Name)) and id(node) not in inner:
            chain = _chain(node, inner)
            if chain and not hasattr(builtins, chain[0]):
                found.add(chain)
            elif chain:
                found.add(chain[:1])
    return found


def _chain(node: ast.expr, inner: set[int]) -> tuple[str, ...]:
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
        inner.add(id(node))
    return (node.id, *reversed(names)) if isinstance(node, ast.Name) else ()


class _Strip(ast.NodeTransformer):
    """Takes out what does not count: docstrings, and the decorators that declare tasks and flows."""

    def visit(self, node: ast.AST) -> ast.AST:
        node = self.generic_visit(node)
        body = getattr(node, "body", None)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)) and isinstance(
            body, list
        ):
            node.body = [s for s in node.body if not _is_docstring(s)] or [ast.Pass()]
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            node.decorator_list = [d for d in node.decorator_list if not _declares(d)]
        return node


def _is_docstring(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _declares(decorator: ast.expr) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    return name in ("task", "flow")


def _bare(tree: ast.AST) -> ast.AST:
    return _Strip().visit(copy.deepcopy(tree))
