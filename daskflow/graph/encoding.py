"""Writes values as canonical text: equal values give equal text in every process, on every machine.

The text is what keys are digests of, and what `daskflow why` shows. It never holds more than some hundred
characters of one value: longer strings, bytes and arrays stand in it by their digest.

Rules, in this order: plain data by their own text; jobs by key; functions and classes by fingerprint; paths by
file name and content; arrays and datasets by shape, type and bytes; enums, dataclasses, pydantic models and
objects of the user's classes by their fields; everything else by dask's deterministic token, or not at all.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import pathlib
import re
import types
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from blake3 import blake3
from pydantic import BaseModel

from daskflow.errors import NoKey
from daskflow.graph.distributions import owner_of
from daskflow.graph.structure import Nest, Slot

LONG = 200
"""Texts and bytes over this length stand in the encoding by their digest."""


def digest(data: Any) -> str:
    """BLAKE3 of bytes or text, 32 hexadecimal digits.

    References
    ----------
    https://github.com/BLAKE3-team/BLAKE3-specs
    """
    return blake3(data.encode() if isinstance(data, str) else data).hexdigest(length=16)


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
        rule = _RULES.get(type(value))
        if rule is not None:
            return rule(self, value)
        for base, rule in _FAMILIES:
            if isinstance(value, base):
                return rule(self, value)
        if hasattr(value, "key_text"):
            return str(value.key_text())
        return self._foreign(value)

    def items(self, values: Any) -> str:
        """The texts of several values, each ended by a comma."""
        return "".join([f"{self.encode(value)}," for value in values])

    def mapping(self, values: Mapping[Any, Any]) -> str:
        """The texts of keys and values, sorted: equal mappings are equal whatever their order."""
        return ",".join(sorted([f"{self.encode(k)}:{self.encode(v)}" for k, v in values.items()]))

    def _foreign(self, value: Any) -> str:
        cls = type(value)
        module = cls.__module__.partition(".")[0]
        if module in ("numpy", "xarray"):
            return _numeric(self, value)
        if callable(value) and (callable(getattr(value, "__wrapped__", None)) or isinstance(value, types.ModuleType)):
            return self._code(value)
        if hasattr(value, "__dask_tokenize__") or hasattr(value, "__dask_graph__"):
            return _token(value)
        if owner_of(cls.__module__).kind == "user":
            return f"{self._code(cls)}({self.encode(_state_of(value))})"
        return _token(value)

    def path(self, value: pathlib.Path) -> str:
        """A file or directory counts by its last name and its content, not by where it lies."""
        return f"file({value.name!r},{self._file_digest(value)})"

    def code(self, value: Any) -> str:
        """A function or class counts by its fingerprint."""
        return self._code(value)


def _text(value: str) -> str:
    return repr(value) if len(value) <= LONG else f"str({len(value)},{digest(value)})"


def _bytes(value: bytes) -> str:
    return repr(value) if len(value) <= LONG else f"bytes({len(value)},{digest(value)})"


_PLAIN: dict[type, Callable[[Any], str]] = {
    int: repr,
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
    return f"set({','.join(sorted(encoder.encode(item) for item in value))})"


_RULES: dict[type, Callable[[Encoder, Any], str]] = {
    list: lambda encoder, value: f"[{encoder.items(value)}]",
    tuple: lambda encoder, value: f"({encoder.items(value)})",
    dict: lambda encoder, value: f"{{{encoder.mapping(value)}}}",
    set: _set,
    frozenset: _set,
    bytearray: lambda encoder, value: f"bytearray({_bytes(bytes(value))})",
    range: lambda encoder, value: repr(value),
    slice: lambda encoder, value: f"slice({encoder.items((value.start, value.stop, value.step))})",
    datetime.datetime: lambda encoder, value: repr(value),
    datetime.date: lambda encoder, value: repr(value),
    datetime.time: lambda encoder, value: repr(value),
    datetime.timedelta: lambda encoder, value: repr(value),
    decimal.Decimal: lambda encoder, value: repr(value),
    fractions.Fraction: lambda encoder, value: repr(value),
    uuid.UUID: lambda encoder, value: repr(value),
    Slot: lambda encoder, value: f"slot({value.index},{value.path!r})",
    Nest: lambda encoder, value: encoder.encode(value.content),
    re.Pattern: lambda encoder, value: f"pattern({value.pattern!r},{value.flags})",
    functools.partial: _partial,
    types.MethodType: _method,
    types.MappingProxyType: lambda encoder, value: f"{{{encoder.mapping(value)}}}",
}


def _enum(encoder: Encoder, value: enum.Enum) -> str:
    return f"{encoder.code(type(value))}.{value.name}"


def _model(encoder: Encoder, value: BaseModel) -> str:
    fields = {name: getattr(value, name) for name in type(value).model_fields}
    return f"{encoder.code(type(value))}{{{encoder.mapping({**fields, **(value.model_extra or {})})}}}"


def _dataclass(encoder: Encoder, value: Any) -> str:
    fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return f"{encoder.code(type(value))}{{{encoder.mapping(fields)}}}"


class _Dataclass(type):
    def __instancecheck__(cls, value: Any) -> bool:
        return dataclasses.is_dataclass(value) and not isinstance(value, type)


class _AnyDataclass(metaclass=_Dataclass):
    pass


_CODE = (type, types.FunctionType, types.BuiltinFunctionType, types.GenericAlias, types.ModuleType)

_FAMILIES: tuple[tuple[Any, Callable[[Encoder, Any], str]], ...] = (
    (enum.Enum, _enum),
    (pathlib.PurePath, lambda encoder, value: encoder.path(pathlib.Path(value))),
    (BaseModel, _model),
    (_AnyDataclass, _dataclass),
    (_CODE, lambda encoder, value: encoder.code(value)),
)


def _numeric(encoder: Encoder, value: Any) -> str:
    import numpy  # noqa: PLC0415

    if isinstance(value, numpy.generic) and value.dtype.kind != "O":
        return f"numpy({value.dtype.str!r},{value.tobytes()!r})"
    if type(value) is numpy.ndarray and not value.dtype.hasobject:
        data = numpy.ascontiguousarray(value).reshape(-1).view(numpy.uint8) if value.size else b""
        return f"array({value.dtype.descr!r},{value.shape},{digest(data)})"
    if type(value).__module__.startswith("xarray"):
        return _xarray(encoder, value)
    return _token(value)


def _xarray(encoder: Encoder, value: Any) -> str:
    kind = type(value).__qualname__
    if kind == "Variable" or kind == "IndexVariable":
        data = value.values if value.chunks is None else value.data
        return f"Variable({encoder.items((value.dims, dict(value.attrs), data))})"
    if kind == "DataArray":
        coordinates = {name: item.variable for name, item in value.coords.items()}
        return f"DataArray({encoder.items((value.name, value.variable, coordinates))})"
    if kind == "Dataset":
        return f"Dataset({encoder.items((dict(value.variables), sorted(map(str, value.coords)), dict(value.attrs)))})"
    return _token(value)


_RANDOM = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _token(value: Any) -> str:
    """dask's own token, where it is deterministic.

    References
    ----------
    https://docs.dask.org/en/stable/custom-collections.html#deterministic-hashing
    """
    from dask.tokenize import TokenizationError, tokenize  # noqa: PLC0415

    name = f"{type(value).__module__}.{type(value).__qualname__}"
    graph = value.__dask_graph__() if hasattr(value, "__dask_graph__") else None
    if graph is not None and any(_RANDOM.search(str(key)) for key in value.__dask_keys__()):
        raise NoKey(f"A {name} has a random name, so it has no key. Make it by `dask.delayed(f, pure=True)(...)`.")
    try:
        return f"{name}({tokenize(value, ensure_deterministic=True)})"
    except (TokenizationError, TypeError, ValueError) as error:
        raise NoKey(
            f"A value of type {name} has no deterministic key ({error}). "
            "Pass plain data instead, or give the class a `__dask_tokenize__` method."
        ) from None


def _state_of(value: Any) -> Any:
    """The fields of an object of a user's class."""
    if hasattr(value, "__dask_tokenize__"):
        return value.__dask_tokenize__()
    state = value.__getstate__()
    if isinstance(value, dict):
        return (dict(value), state)
    if isinstance(value, (list, tuple, set, frozenset, str, int, float, bytes)):
        plain = next(base for base in type(value).__mro__ if base in _PLAIN or base in _RULES)
        return (plain(value), state)
    if state is None and type(value).__reduce_ex__ is not object.__reduce_ex__:
        raise NoKey(f"A value of type {type(value).__qualname__} has no deterministic key.")
    return state
