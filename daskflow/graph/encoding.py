"""Writes values as canonical text: equal values give equal text in every process, on every machine.

The text is what keys are digests of, and what `daskflow why` shows. It never holds more than some hundred
characters of one value: longer strings, bytes and arrays stand in it by their digest.

Rules, in this order: plain data by their own text; jobs by key; functions and classes by fingerprint; paths by
file name and content; arrays and datasets by shape, type and bytes; enums, dataclasses, pydantic models and
objects of the user's classes by their fields; everything else by dask's deterministic token, or not at all.
"""

from __future__ import annotations

import array
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import pathlib
import re
import sys
import types
import typing
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel

from daskflow.errors import NoKey
from daskflow.graph.arrays import numeric
from daskflow.graph.distributions import owner_of, owner_of_class
from daskflow.graph.structure import Nest, Slot, fields_of
from daskflow.graph.tokens import beside, collection, digest, token, type_name

__all__ = ["LONG", "Encoder", "digest"]

LONG = 200
"""Texts and bytes over this length stand in the encoding by their digest."""


class Encoder:
    """Encodes values; hands callables and files to those who know them.

    Parameters
    ----------
    code
        Gives the fingerprint of a function or class.
    file_digest
        Gives the digest of the content of a file or directory.
    """

    def __init__(self, code: Callable[[Any], str], file_digest: Callable[[pathlib.Path], str]) -> None:
        self._code = code
        self._file_digest = file_digest

    def encode(self, value: Any) -> str:
        """The canonical text of a value.

        Raises
        ------
        NoKey
            The value has no deterministic text; the message names its type.
        FileMissing
            A path leads to no file.
        """
        plain = _PLAIN.get(type(value))
        if plain is not None:
            return plain(value)
        try:
            return self._encode(value)
        except RecursionError:
            raise NoKey(f"A {type(value).__qualname__} contains itself, so it has no key.") from None

    def _encode(self, value: Any) -> str:
        cls = type(value)
        rule = _RULES.get(cls)
        if rule is not None:
            return rule(self, value)
        if cls.__module__.startswith("daskflow.") and hasattr(cls, "key_text"):
            return str(value.key_text())
        if hasattr(cls, "__dask_tokenize__") and not hasattr(cls, "__dask_graph__") and _is_users(cls):
            return f"{self._code(cls)}({self.encode(value.__dask_tokenize__())})"
        for base, rule in _FAMILIES:
            if isinstance(value, base):
                return rule(self, value)
        return self._foreign(value)

    def items(self, values: Any) -> str:
        """The texts of several values, each ended by a comma."""
        return "".join([f"{self.encode(value)}," for value in values])

    def mapping(self, values: Mapping[Any, Any]) -> str:
        """The texts of keys and values, sorted: equal mappings are equal whatever their order."""
        return ",".join(sorted([f"{self.encode(k)}:{self.encode(v)}" for k, v in values.items()]))

    def _foreign(self, value: Any) -> str:
        cls = type(value)
        if cls.__module__.partition(".")[0] in ("numpy", "xarray"):
            return numeric(self, value, self.other)
        if callable(value) and callable(getattr(value, "__wrapped__", None)):
            return self._code(value)
        graph = value.__dask_graph__() if hasattr(cls, "__dask_graph__") else None
        if graph is not None:
            return collection(value, graph, self._code)
        if _is_users(cls) or _extends(value):
            return f"{self._code(cls)}({_reduced(self, value)})"
        return self.other(value)

    def other(self, value: Any) -> str:
        """A value of another library."""
        text = token(value, self._code)
        left_out = beside(value)
        return f"{text}{self.encode(left_out)}" if left_out else text

    def path(self, value: pathlib.Path) -> str:
        """A file or directory counts by its last name and its content, not by where it lies."""
        return f"file({value.name!r},{self._file_digest(value)})"

    def code(self, value: Any) -> str:
        """A function or class counts by its fingerprint."""
        return self._code(value)


def _integer(value: int) -> str:
    return repr(value) if value.bit_length() <= 3 * LONG else f"int({digest(hex(value))})"


def _text(value: str) -> str:
    return repr(value) if len(value) <= LONG else f"str({len(value)},{digest(value)})"


def _bytes(value: bytes) -> str:
    return repr(value) if len(value) <= LONG else f"bytes({len(value)},{digest(value)})"


_PLAIN: dict[type, Callable[[Any], str]] = {
    int: _integer,
    float: repr,
    bool: repr,
    type(None): repr,
    complex: repr,
    str: _text,
    bytes: _bytes,
    type(Ellipsis): repr,
}


def _partial(encoder: Encoder, value: functools.partial[Any]) -> str:
    return f"partial({encoder.encode(value.func)},{encoder.items(value.args)},{encoder.mapping(value.keywords)})"


def _method(encoder: Encoder, value: types.MethodType) -> str:
    return f"method({encoder.encode(value.__func__)},{encoder.encode(value.__self__)})"


def _set(encoder: Encoder, value: Any) -> str:
    kind = "frozenset" if isinstance(value, frozenset) else "set"
    return f"{kind}({','.join(sorted(encoder.encode(item) for item in value))})"


def _time(encoder: Encoder, value: datetime.datetime | datetime.time) -> str:
    zone = value.tzinfo
    return repr(value) if zone is None else f"{value.replace(tzinfo=None)!r}@{encoder.encode(zone)}"


def _counter(encoder: Encoder, value: collections.Counter[Any]) -> str:
    return f"counter({encoder.mapping(value)})"


def _default_dict(encoder: Encoder, value: collections.defaultdict[Any, Any]) -> str:
    return f"defaultdict({encoder.encode(value.default_factory)},{encoder.mapping(value)})"


_RULES: dict[type, Callable[[Any, Any], str]] = {
    list: lambda encoder, value: f"[{encoder.items(value)}]",
    tuple: lambda encoder, value: f"({encoder.items(value)})",
    dict: lambda encoder, value: f"{{{encoder.mapping(value)}}}",
    set: _set,
    frozenset: _set,
    bytearray: lambda encoder, value: f"bytearray({_bytes(bytes(value))})",
    array.array: lambda encoder, value: f"array.array({value.typecode!r},{_bytes(value.tobytes())})",
    range: lambda encoder, value: repr(value),
    slice: lambda encoder, value: f"slice({encoder.items((value.start, value.stop, value.step))})",
    datetime.datetime: _time,
    datetime.date: lambda encoder, value: repr(value),
    datetime.time: _time,
    datetime.timedelta: lambda encoder, value: repr(value),
    datetime.timezone: lambda encoder, value: repr(value),
    decimal.Decimal: lambda encoder, value: repr(value),
    fractions.Fraction: lambda encoder, value: repr(value),
    uuid.UUID: lambda encoder, value: repr(value),
    collections.OrderedDict: lambda encoder, value: f"ordered({encoder.items(value.items())})",
    collections.defaultdict: _default_dict,
    collections.Counter: _counter,
    collections.deque: lambda encoder, value: f"deque({encoder.items(value)}{value.maxlen})",
    types.SimpleNamespace: lambda encoder, value: f"namespace({encoder.mapping(vars(value))})",
    Slot: lambda encoder, value: f"slot({value.index},{value.path!r})",
    Nest: lambda encoder, value: f"nest({value.text})",
    re.Pattern: lambda encoder, value: f"pattern({encoder.encode(value.pattern)},{value.flags})",
    functools.partial: _partial,
    types.MethodType: _method,
    types.MappingProxyType: lambda encoder, value: f"{{{encoder.mapping(value)}}}",
    typing.TypeVar: lambda encoder, value: f"variable({value.__name__})",
    typing.ParamSpec: lambda encoder, value: f"variable({value.__name__})",
    typing.ForwardRef: lambda encoder, value: f"forward({value.__forward_arg__})",
    typing.NewType: lambda encoder, value: f"new({value.__name__},{encoder.encode(value.__supertype__)})",
}


def _enum(encoder: Encoder, value: enum.Enum) -> str:
    # A flag that is made of several, or of none, has no name of its own.
    named = value.name if not isinstance(value, enum.Flag) else encoder.encode(value.value)
    return f"{encoder.code(type(value))}.{named}"


def _pure_path(encoder: Encoder, value: pathlib.PurePath) -> str:
    return encoder.path(value) if isinstance(value, pathlib.Path) else f"path({value.as_posix()!r})"


def _fields(encoder: Encoder, value: Any) -> str:
    return f"{encoder.code(type(value))}{{{encoder.mapping(fields_of(value))}}}"


class _Dataclass(type):
    def __instancecheck__(cls, value: Any) -> bool:
        return dataclasses.is_dataclass(value) and not isinstance(value, type)


class _AnyDataclass(metaclass=_Dataclass):
    pass


class _Typing(type):
    def __instancecheck__(cls, value: Any) -> bool:
        return typing.get_origin(value) is not None or value is typing.Any or isinstance(value, type(typing.Optional))


class _AnyTyping(metaclass=_Typing):
    """`list[int]`, `int | None`, `Annotated[...]`, `Literal[...]` and their like."""


def _typing(encoder: Encoder, value: Any) -> str:
    origin = typing.get_origin(value)
    if origin is None:
        return str(value)
    arguments: tuple[Any, ...] = typing.get_args(value)
    if origin in (typing.Annotated, typing.Union, types.UnionType, typing.Literal):
        return f"{getattr(origin, '__name__', origin)}[{encoder.items(arguments)}]"
    return f"{encoder.encode(origin)}[{encoder.items(arguments)}]"


_CODE = (type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType)

_FAMILIES: tuple[tuple[Any, Callable[[Encoder, Any], str]], ...] = (
    (enum.Enum, _enum),
    (pathlib.PurePath, _pure_path),
    (BaseModel, _fields),
    (_AnyDataclass, _fields),
    (_AnyTyping, _typing),
    (_CODE, lambda encoder, value: encoder.code(value)),
)


def _is_users(cls: type) -> bool:
    return owner_of_class(cls).kind == "user"


def _extends(value: Any) -> bool:
    """Whether the type of another library extends one whose token would leave the extension out, such as a unit."""
    return isinstance(value, (dict, list, tuple, set, frozenset, complex, BaseException)) or _is_array(value)


def _is_array(value: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)


def _reduced(encoder: Encoder, value: Any) -> str:
    """An object by what pickle would make it anew of: the data of its base type, and its fields."""
    try:
        reduced = value.__reduce_ex__(4)
    except Exception as error:  # whatever a class raises when it cannot be pickled
        raise NoKey(
            f"A value of type {type_name(type(value))} has no deterministic key ({error}). "
            "Pass plain data instead, or give the class a `__dask_tokenize__` method."
        ) from None
    if isinstance(reduced, str):
        return repr(reduced)
    if isinstance(value, (set, frozenset)):
        return f"{_set(encoder, value)}{encoder.encode(_lasting(value, reduced[2]))}"
    maker, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
    rest = [item for item in arguments if item is not type(value)]
    made = encoder.encode(maker) if owner_of(maker.__module__).kind == "user" else maker.__qualname__
    # The pickle of an array leaves out what a subclass added.
    added = getattr(value, "__dict__", None) if _is_array(value) else None
    return f"{made},{encoder.items((rest, _lasting(value, state), list(items or ()), dict(pairs or ()), added))}"


def _lasting(value: Any, state: Any) -> Any:
    """The state without what cached properties keep: looking at one changes no value."""
    if not isinstance(state, dict):
        return state
    cls = type(value)
    return {k: v for k, v in state.items() if not isinstance(getattr(cls, str(k), None), functools.cached_property)}
