"""Takes nested structures apart: finds the jobs in them, copies the rest, and puts results in their places."""

from __future__ import annotations

import collections
import copy
import dataclasses
import functools
import types
from collections.abc import Callable
from typing import Any, NamedTuple

from pydantic import BaseModel

from daskflow.errors import UsageError


class Slot(NamedTuple):
    """Stands in a template for the result of the job's upstream number `index`, or for a part of it."""

    # The method of tuples that it hides is called by nobody.
    index: int  # type: ignore[assignment]
    path: tuple[tuple[str, Any], ...] = ()


class Nest(NamedTuple):
    """A container that holds slots somewhere inside."""

    content: Any
    text: str = ""
    """Digest of the canonical text of the content, slots included."""


ATOMS: frozenset[type] = frozenset({int, float, bool, type(None), str, bytes, complex, type, type(Ellipsis)})
"""Types whose values nobody can change and that hold nothing."""

_LEAVES = ATOMS | {Slot}


def transform(value: Any, leaf: Callable[[Any], Any]) -> Any:
    """A copy of a nested structure with `leaf` applied to everything that is not a container.

    Containers are lists, tuples, named tuples, sets, dicts, their kin in `collections`, dataclasses and pydantic
    models.
    """
    kind: Any = type(value)
    if kind in _LEAVES:
        return leaf(value)
    if kind in (list, tuple, set, frozenset):
        return kind([transform(item, leaf) for item in value])
    if kind is dict:
        return {transform(k, leaf): transform(v, leaf) for k, v in value.items()}
    if kind in (collections.OrderedDict, collections.defaultdict):
        made = value.copy()
        made.clear()
        made.update([(transform(k, leaf), transform(v, leaf)) for k, v in value.items()])
        return made
    if kind is collections.deque:
        return collections.deque([transform(item, leaf) for item in value], value.maxlen)
    if not _has_fields(kind):
        return leaf(value)
    return kind(*[transform(item, leaf) for item in value]) if issubclass(kind, tuple) else _record(value, leaf)


@functools.lru_cache(maxsize=4096)
def _has_fields(kind: type) -> bool:
    """Whether a class is one of named tuples, dataclasses or pydantic models; jobs are asked for very often."""
    named = issubclass(kind, tuple) and hasattr(kind, "_fields")
    return named or issubclass(kind, BaseModel) or dataclasses.is_dataclass(kind)


def _record(value: Any, leaf: Callable[[Any], Any]) -> Any:
    """A copy that keeps what validation would refuse: a job where its result will be."""
    made = value.model_copy() if isinstance(value, BaseModel) else copy.copy(value)
    for name, field in fields_of(value).items():
        changed = transform(field, leaf)
        for apart in (getattr(made, "__pydantic_private__", None), getattr(made, "__pydantic_extra__", None)):
            if apart and name in apart:
                apart[name] = changed
                break
        else:
            object.__setattr__(made, name, changed)
    return made


def fields_of(value: Any) -> dict[str, Any]:
    """What a dataclass or pydantic model holds, beside what cached properties keep."""
    cls = type(value)
    if isinstance(value, BaseModel):
        found = {name: getattr(value, name) for name in cls.model_fields if hasattr(value, name)}
        return {**found, **(value.model_extra or {}), **(value.__pydantic_private__ or {})}
    found = {item.name: getattr(value, item.name) for item in dataclasses.fields(value) if hasattr(value, item.name)}
    others = {
        name: item
        for name, item in getattr(value, "__dict__", {}).items()
        if not isinstance(getattr(cls, name, None), functools.cached_property)
    }
    return {**others, **found}


_FIXED = (type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType)


def snapshot(value: Any) -> Any:
    """A value that later changes of the original do not reach; immutable values are returned as they are.

    Raises
    ------
    UsageError
        A job is hidden in an object where it cannot be replaced by its result.
    """
    if type(value) in ATOMS or isinstance(value, _FIXED):
        return value
    try:
        return copy.deepcopy(value)
    except UsageError as error:
        raise UsageError(
            f"A {type(value).__qualname__} holds a job, which cannot be found in there. Pass jobs as arguments of "
            "their own, or in lists, tuples, dictionaries, dataclasses or pydantic models."
        ) from error
    except Exception:  # a value that cannot be copied is sent as it is when the job goes out
        return value


def fill(argument: Any, values: list[Any] | tuple[Any, ...]) -> Any:
    """An argument with the results of upstream jobs in its slots."""
    kind = type(argument)
    if kind is Slot:
        return follow(values[argument.index], argument.path)
    if kind is Nest:
        return transform(argument.content, lambda leaf: fill(leaf, values) if type(leaf) is Slot else leaf)
    return argument


def follow(value: Any, path: tuple[tuple[str, Any], ...]) -> Any:
    """The part of a value that a path of items and attributes leads to."""
    for kind, name in path:
        value = value[name] if kind == "item" else getattr(value, name)
    return value
