"""Conditions of queries: what MongoDB's operators say of the values that a path leads to."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from daskflow.errors import WorkInvalid
from daskflow.model.jsons import Json, json_ready
from daskflow.stores.buckets.paths import found, steps
from daskflow.stores.buckets.patterns import compiled_pattern

Predicate: TypeAlias = Callable[[Json], bool]
"""Whether a work, or an element of a list, is meant."""
Condition: TypeAlias = Callable[[list[Json]], bool]
"""Whether it holds for what a path leads to."""

_ENDLESS = frozenset(map(json_ready, (math.inf, -math.inf, math.nan)))
"""What queries have in place of numbers that JSON has not: no bounds, as they would be compared with texts."""
JOINS: dict[str, Callable[[list[bool]], bool]] = {"$and": all, "$or": any, "$nor": lambda held: not any(held)}


def predicate(query: Mapping[str, Any], *, within: bool = False) -> Predicate:
    """What a query says.

    Parameters
    ----------
    within
        Whether it is about elements of a list, as in `$elemMatch`; else about works.

    Raises
    ------
    WorkInvalid
        It is none; the message names the operator.
    """
    if not isinstance(query, Mapping):
        raise WorkInvalid(f"{query!r:.100} is no query. Write {{'status': 'success'}}.")
    parts = [_part(name, wanted, within) for name, wanted in query.items()]
    return lambda value: all(part(value) for part in parts)


def _part(name: str, wanted: Any, within: bool) -> Predicate:
    if name in JOINS:
        if not isinstance(wanted, list) or not wanted:
            raise WorkInvalid(f"{name} takes a list of queries, and got {wanted!r:.100}.")
        parts = [predicate(each, within=within) for each in wanted]
        join = JOINS[name]
        return lambda value: join([part(value) for part in parts])
    if name.startswith("$"):
        raise WorkInvalid(f"{name:.100} is no operator between queries; {', '.join(JOINS)} are.")
    path, holds = steps(name, within=within), condition(wanted)
    return lambda value: holds(list(found(value, path)))


def condition(wanted: Any) -> Condition:
    """What is said of a field: a value that it equals, or operators.

    Raises
    ------
    WorkInvalid
    """
    if not _has_operators(wanted):
        return _equals(wanted)
    unknown = [name for name in wanted if name not in _OPERATORS and name != "$options"]
    if unknown:
        raise WorkInvalid(f"{unknown[0]!r:.100} is no operator; there are {', '.join(_OPERATORS)}.")
    if "$options" in wanted and "$regex" not in wanted:
        raise WorkInvalid("$options belongs to a $regex.")
    parts = [
        _regex(operand, wanted.get("$options", "")) if name == "$regex" else _OPERATORS[name](operand)
        for name, operand in wanted.items()
        if name != "$options"
    ]
    return lambda values: all(part(values) for part in parts)


def _has_operators(wanted: Any) -> bool:
    return isinstance(wanted, Mapping) and any(name.startswith("$") for name in wanted)


def same(one: Json, other: Json) -> bool:
    """Whether two values are equal; a truth value is no number, and a dictionary has no order."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def _some(test: Callable[[Json], bool]) -> Condition:
    """It holds for a value, or for an element of a list."""

    def holds(values: list[Json]) -> bool:
        return any(test(value) or (isinstance(value, list) and any(map(test, value))) for value in values)

    return holds


def _not(inner: Condition) -> Condition:
    return lambda values: not inner(values)


def _equals(wanted: Json) -> Condition:
    holds = _some(lambda value: same(value, wanted))
    # Who asks for None means what is not there, too.
    return holds if wanted is not None else lambda values: not values or holds(values)


def _ordered(name: str, compare: Callable[[Any, Any], bool]) -> Callable[[Any], Condition]:
    def make(operand: Any) -> Condition:
        if isinstance(operand, bool) or not isinstance(operand, int | float | str):
            raise WorkInvalid(f"{name} takes a number or a text, and got {operand!r:.100}.")
        if operand in _ENDLESS:
            raise WorkInvalid(f"{name} takes a bound, and {operand} is none: leave it out, or ask {{'$exists': True}}.")
        kind: Any = str if isinstance(operand, str) else int | float
        return _some(lambda value: isinstance(value, kind) and not isinstance(value, bool) and compare(value, operand))

    return make


def _list(name: str, operand: Any) -> list[Json]:
    if not isinstance(operand, list):
        raise WorkInvalid(f"{name} takes a list, and got {operand!r:.100}.")
    if any(map(_has_operators, operand)):
        raise WorkInvalid(f"{name} takes values, not operators: {operand!r:.100}.")
    return operand


def _in(operand: Any, name: str = "$in") -> Condition:
    parts = [_equals(value) for value in _list(name, operand)]
    return lambda values: any(part(values) for part in parts)


def _all(operand: Any) -> Condition:
    parts = [_equals(value) for value in _list("$all", operand)]
    return lambda values: bool(parts) and all(part(values) for part in parts)


def _exists(operand: Any) -> Condition:
    if type(operand) not in (bool, int) or operand not in (0, 1):
        raise WorkInvalid(f"$exists takes true or false, and got {operand!r:.100}.")
    return lambda values: bool(values) == bool(operand)


def _regex(operand: Any, options: Any = "") -> Condition:
    pattern = compiled_pattern(operand, options)
    return _some(lambda value: isinstance(value, str) and pattern.found_in(value))


def _size(operand: Any) -> Condition:
    if isinstance(operand, bool) or not isinstance(operand, int) or operand < 0:
        raise WorkInvalid(f"$size takes a number of elements, and got {operand!r:.100}.")
    return lambda values: any(isinstance(value, list) and len(value) == operand for value in values)


def _element(operand: Any) -> Condition:
    if not isinstance(operand, Mapping) or not operand:
        raise WorkInvalid(f"$elemMatch takes a query or operators, and got {operand!r:.100}.")
    if _has_operators(operand) and not JOINS.keys() & operand.keys():
        inner = condition(operand)
        fits: Predicate = lambda element: inner([element])  # noqa: E731, the other way is a function as well
    else:
        meant = predicate(operand, within=True)
        fits = lambda element: isinstance(element, Mapping | list) and meant(element)  # noqa: E731
    return lambda values: any(isinstance(value, list) and any(map(fits, value)) for value in values)


def _negated(operand: Any) -> Condition:
    if not _has_operators(operand):
        raise WorkInvalid(f"$not takes operators, as in {{'$not': {{'$gt': 3}}}}, and got {operand!r:.100}.")
    return _not(condition(operand))


def _value(name: str, operand: Any) -> Json:
    if _has_operators(operand):
        raise WorkInvalid(f"{name} takes a value, not operators: {operand!r:.100}.")
    return operand


_OPERATORS: dict[str, Callable[[Any], Condition]] = {
    "$eq": lambda operand: _equals(_value("$eq", operand)),
    "$ne": lambda operand: _not(_equals(_value("$ne", operand))),
    "$gt": _ordered("$gt", operator.gt),
    "$gte": _ordered("$gte", operator.ge),
    "$lt": _ordered("$lt", operator.lt),
    "$lte": _ordered("$lte", operator.le),
    "$in": _in,
    "$nin": lambda operand: _not(_in(operand, "$nin")),
    "$exists": _exists,
    "$regex": _regex,
    "$all": _all,
    "$size": _size,
    "$elemMatch": _element,
    "$not": _negated,
}
