"""What an attempt at a work gave: results, products and plots, or why there are none."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from daskflow.model.jsons import Json, as_text, json_ready
from daskflow.model.quantities import as_bytes
from daskflow.model.work import LIMIT

_PAIR, _TRIPLE = 2, 3


class Outcome(NamedTuple):
    """What came out of an attempt. Holds only what JSON can hold, so that any process can read it."""

    results: Json = None
    products: list[str] | None = None
    plots: list[str] | None = None
    error: str | None = None
    """Why it failed; None: it did not."""
    final: bool = False
    """Whether another attempt would fail alike."""
    changes: dict[str, Any] | None = None
    """Other fields that a function changed which was called with the work itself."""
    refused: bool = False
    """Whether this agent may not perform it; another one may."""


class Unfit(Exception):
    """Another attempt would fail alike; the message says why."""


def in_short(error: str) -> str:
    r"""What an error says, in one line: the first one, and where that only leads to others what they say.

    Examples
    --------
    >>> in_short("It failed. Its standard error ended with:\nls: cannot access 'x'\nmore")
    "It failed. Its standard error ended with: ls: cannot access 'x'"
    """
    first, *rest = [line.strip() for line in error.splitlines() if line.strip()] or [""]
    if not first.endswith(":") or not rest:
        return first
    # The last line of a traceback says what happened.
    return f"{first} {rest[-1] if rest[0].startswith('Traceback ') else rest[0]}"


def outcome_of(value: Any) -> Outcome:
    """What a function gave.

    Parameters
    ----------
    value
        A dictionary is the results. `(results, products)` and `(results, products, plots)`, as a tuple or a list, are
        these by their places, where the first is a dictionary or None, or for a tuple no list either, and the others
        are lists of paths or None. In a tuple of three that begins with a dictionary or None a path that stands alone
        is a list of one. All else is the results as it is.

    Raises
    ------
    Unfit
        JSON cannot hold it, or it is too large.

    Examples
    --------
    >>> outcome_of(({"dm": 332.7}, [], ["fit.png"]))[:3]
    ({'dm': 332.7}, [], ['fit.png'])
    >>> outcome_of(({"dm": 332.7}, None, "fit.png"))[:3]
    ({'dm': 332.7}, None, ['fit.png'])
    >>> outcome_of([1, 2, 3])[:3]
    ([1, 2, 3], None, None)
    """
    results, products, plots = _parts(value)
    try:
        ready = json_ready(results, where="results")
    except ValueError as error:
        raise Unfit(f"What the function gave cannot be kept: {error}.") from None
    size = 0 if ready is None else len(as_text(ready).encode())
    if size > LIMIT:
        raise Unfit(
            f"The results take {as_bytes(size)} as JSON, and a work holds {as_bytes(LIMIT)} of it. Write them to a "
            "file, and name that among the products."
        )
    return Outcome(ready, _texts(products), _texts(plots))


def _parts(value: Any) -> tuple[Any, Any, Any]:
    if isinstance(value, tuple | list) and not hasattr(value, "_fields"):
        given = _listed(value)
        if isinstance(value, tuple) and len(given) == 1 and isinstance(given[0], Mapping):
            return given[0], None, None
        if len(given) in (_PAIR, _TRIPLE) and _leads(given[0], value) and all(map(_are_paths, given[1:])):
            return given[0], given[1], given[2] if len(given) == _TRIPLE else None
    return value, None, None


def _listed(value: tuple[Any, ...] | list[Any]) -> list[Any]:
    """What was given, with a list of one in place of each path that stands alone for products or plots.

    Two texts beside a number, or in a list, are more likely to be just that.
    """
    if isinstance(value, tuple) and len(value) == _TRIPLE and (value[0] is None or isinstance(value[0], Mapping)):
        return [value[0], *([each] if _is_path(each) else each for each in value[1:])]
    return list(value)


def _leads(first: Any, value: tuple[Any, ...] | list[Any]) -> bool:
    if first is None or isinstance(first, Mapping):
        return True
    return isinstance(value, tuple) and not isinstance(first, tuple | list)


def _are_paths(value: Any) -> bool:
    return value is None or (
        isinstance(value, tuple | list) and all(isinstance(each, str | os.PathLike) for each in value)
    )


def _is_path(value: Any) -> bool:
    # An empty text would name the working directory.
    return isinstance(value, os.PathLike) or (isinstance(value, str) and value != "")


def _texts(paths: Any) -> list[str] | None:
    return None if paths is None else [json_ready(os.fsdecode(path)) for path in paths]
