"""Takes nested structures apart: finds the jobs in them, copies the rest, and puts results in their places."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

from pydantic import BaseModel


class Slot(NamedTuple):
    """Stands in a template for the result of the job's upstream number `index`, or for a part of it."""

    index: int
    path: tuple[tuple[str, Any], ...] = ()


class Nest(NamedTuple):
    """A container that holds slots somewhere inside."""

    content: Any


ATOMS = frozenset({int, float, bool, type(None), str, bytes, complex, type, type(Ellipsis)})
"""Types whose values nobody can change and that hold nothing."""

_LEAVES = ATOMS | {Slot}


def transform(value: Any, leaf: Callable[[Any], Any]) -> Any:
    """A copy of a nested structure with `leaf` applied to everything that is not a container.

    Containers are lists, tuples, named tuples, sets, dicts, dataclasses and pydantic models.
    """
    kind = type(value)
    if kind in _LEAVES:
        return leaf(value)
    if kind in (list, tuple, set, frozenset):
        return kind([transform(item, leaf) for item in value])
    if kind is dict:
        return {transform(k, leaf): transform(v, leaf) for k, v in value.items()}
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return kind(*[transform(item, leaf) for item in value])
    if isinstance(value, BaseModel):
        # The copy keeps what validation would refuse: a job where its result will be.
        return value.model_copy(update={name: transform(getattr(value, name), leaf) for name in kind.model_fields})
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _dataclass(value, leaf)
    return leaf(value)


def _dataclass(value: Any, leaf: Callable[[Any], Any]) -> Any:
    made = copy.copy(value)
    for field in dataclasses.fields(value):
        object.__setattr__(made, field.name, transform(getattr(value, field.name), leaf))
    return made


def snapshot(value: Any) -> Any:
    """A value that later changes of the original do not reach; immutable values are returned as they are."""
    if type(value) in ATOMS or callable(value) or hasattr(value, "__dask_graph__"):
        return value
    try:
        return copy.deepcopy(value)
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
