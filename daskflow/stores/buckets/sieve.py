"""What the JSON text of a work tells of it before it is read: most works that a query does not mean are left there."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from daskflow.model.jsons import Json, as_text
from daskflow.stores.buckets.paths import steps
from daskflow.stores.buckets.shelf import Query
from daskflow.stores.chapter import like

_COLUMNS = {"parameters": "in_payload", "results": "in_outcome"}
"""Fields of any shape, and the parts of statements that look into their texts."""
_COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}
_THERE = ("$regex", "$size", "$elemMatch")
"""Operators that hold for nothing where a path leads nowhere."""
_MOST, _LONGEST = 8, 500
"""So many patterns, of so many letters, are looked for in the database at most."""
_SMALL, _LARGE = 1e-3, 1e15
"""Numbers between these are written without an exponent, whoever writes them."""

Test: TypeAlias = Callable[[str, str], bool]
"""Whether a work may be meant, by the texts of its payload and of its outcome."""


class Hint(NamedTuple):
    """What a text has to hold if its work is meant."""

    column: str
    """Which text: the part of a statement that looks into it."""
    needles: tuple[str, ...]
    """One of these is in it."""
    test: Callable[[str], bool]
    """Whether the text may be that of such a work."""


class Sieve:
    """Keeps works that a query cannot mean from being read.

    Parameters
    ----------
    query
        It was checked.

    Notes
    -----
    It lets through whatever the query means, and some more: works are stored as `as_text` writes them, so a field that
    is asked for stands in the text with its name before it. Who lets it through looks at the work itself.
    """

    def __init__(self, query: Query) -> None:
        hints, tests = _hints(query)
        self.patterns: dict[str, list[str]] = {}
        """Patterns for LIKE, by the part of the statement: of each one has to fit."""
        for hint in sorted(hints, key=lambda hint: len(min(hint.needles, key=len))):
            if len(hint.needles) <= _MOST and max(map(len, hint.needles)) <= _LONGEST:
                self.patterns[hint.column] = [f"%{like(needle)}%" for needle in hint.needles]
        self._tests = [*map(_test_of, hints), *tests]

    def passes(self, payload: str, outcome: str) -> bool:
        """Whether a work may be meant."""
        return all(test(payload, outcome) for test in self._tests)


def _hints(query: Query) -> tuple[list[Hint], list[Test]]:
    """What has to hold for the texts, all of it."""
    hints: list[Hint] = []
    tests: list[Test] = []
    for path, wanted in query.items():
        if path == "$and":
            for each in wanted:
                inner, more = _hints(each)
                hints += inner
                tests += more
        elif path == "$or":
            tests += _either(wanted)
        elif not path.startswith("$"):
            parts = steps(path)
            if parts[0] in _COLUMNS:
                hints += _of_field(_COLUMNS[parts[0]], parts, wanted)
    return hints, tests


def _either(queries: list[Query]) -> list[Test]:
    """What has to hold for one of these queries; nothing, where one of them may be true of any text."""
    branches = []
    for query in queries:
        hints, tests = _hints(query)
        if not hints and not tests:
            return []
        branches.append([*map(_test_of, hints), *tests])
    return [lambda payload, outcome: any(all(test(payload, outcome) for test in tests) for tests in branches)]


def _test_of(hint: Hint) -> Test:
    test = hint.test
    if hint.column == "in_payload":
        return lambda payload, outcome: test(payload)
    return lambda payload, outcome: test(outcome)


def _of_field(column: str, parts: tuple[str, ...], wanted: Any) -> list[Hint]:
    # A number may be that of an element: the last name stands in the text.
    name = next(part for part in reversed(parts) if not part.isdigit())
    key = f"{as_text(name)}:"
    there = _holding(column, (key,))
    if not (isinstance(wanted, Mapping) and any(each.startswith("$") for each in wanted)):
        wanted = {"$eq": wanted}
    hints: list[Hint] = []
    for operation, operand in wanted.items():
        if operation in _COMPARED and isinstance(operand, int | float) and name == parts[-1]:
            hints.append(Hint(column, (key,), _comparing(key, _COMPARED[operation], operand)))
        elif operation in ("$eq", "$in"):
            values = operand if operation == "$in" else [operand]
            if values and None not in values:
                hints.append(_equal(column, key, values) if name == parts[-1] else there)
        elif operation == "$all":
            hints += [there] if operand and None not in operand else []
        # Each work has the field itself, if only as None.
        elif operation in (*_COMPARED, *_THERE) or (operation == "$exists" and operand and len(parts) > 1):
            hints.append(there)
    return hints


def _holding(column: str, needles: tuple[str, ...]) -> Hint:
    if len(needles) == 1:
        (needle,) = needles
        return Hint(column, needles, lambda text: needle in text)
    return Hint(column, needles, lambda text: any(needle in text for needle in needles))


def _equal(column: str, key: str, values: list[Json]) -> Hint:
    """A field that has one of these values, or a list in which it may be."""
    if len(values) == 1 and _has_texts(values[0]):
        return Hint(column, (key,), _comparing(key, operator.eq, values[0]))
    if len(values) > _MOST or any(isinstance(value, dict | list) or _has_texts(value) for value in values):
        return _holding(column, (key,))
    texts = dict.fromkeys(text for value in values for text in _texts(value))
    return _holding(column, (f"{key}[", *[f"{key}{text}" for text in texts]))


def _has_texts(value: Json) -> bool:
    """Whether a number is written in several ways: each version of a library has its own `1e-7`, `1e-07`, `1e+16`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value == 0:
        return False
    return not _SMALL <= abs(value) < _LARGE


def _texts(value: Json) -> list[str]:
    """The texts of all values that are equal to one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return [as_text(value)]
    if value == 0:
        return ["0", "-0.0"]  # what begins with 0 is among the first
    found = [as_text(value)]
    if isinstance(value, float) and value.is_integer():
        found.append(as_text(int(value)))
    elif isinstance(value, int) and float(value) == value:  # of at most 64 bits, as all in works
        found.append(as_text(float(value)))
    return found


def _comparing(key: str, compare: Callable[[Any, Any], bool], operand: float) -> Callable[[str], bool]:
    """Whether a number that fits follows on a key somewhere, or a list."""
    # A text begins with a quote, and so on: those are no numbers, and not compared with one.
    search = re.compile(re.escape(key) + r"(\[|-?\d[\d.eE+-]*)").findall

    def test(text: str) -> bool:
        return any(each == "[" or compare(_number(each), operand) for each in search(text))

    return test


def _number(text: str) -> float:
    return int(text) if text.lstrip("-").isdigit() else float(text)
