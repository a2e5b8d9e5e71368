"""Turns values into what JSON can hold, in SQLite, in PostgreSQL and over HTTP alike."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any, TypeAlias

from pydantic_core import to_json

Json: TypeAlias = Any
"""None, a truth value, a number, a text, or lists and dictionaries (by text) of these."""

_DEPTH = 100
"""Nesting that no record of a measurement has."""
_PLAIN = (bool, int, str, type(None))
_LONGEST = 2**63
"""Integers from this on, positive or negative, are not those of databases."""
_Place: TypeAlias = "str | tuple[_Place, str | int]"
"""Where a value lies, from the inside out; it becomes a text only where something is wrong."""


def json_ready(value: Any, *, where: str = "value") -> Json:
    """A value as JSON can hold it.

    Parameters
    ----------
    where
        What errors call the value.

    Returns
    -------
    Json
        Lists for tuples, sets and arrays of numpy; plain numbers for those of numpy. A number that JSON has not is a
        text that `float` reads: `"NaN"`, `"Infinity"`, `"-Infinity"`. NUL characters and halves of surrogate pairs,
        which no database holds, are U+FFFD.

    Raises
    ------
    ValueError
        Something is none of these, is nested too deeply, or is an integer of more than 64 bits; the message says where.

    Examples
    --------
    >>> json_ready({"dm": 332.7, "peaks": (1, 2), "snr": float("nan")})
    {'dm': 332.7, 'peaks': [1, 2], 'snr': 'NaN'}
    >>> json_ready({"found": [object()]}, where="results")
    Traceback (most recent call last):
    ValueError: results.found[0] is of the type object, which JSON cannot hold
    """
    return _ready(value, where, 0)


def _ready(value: Any, where: _Place, depth: int) -> Json:
    kind = type(value)
    if kind is str:
        return _text(value)
    if kind is bool or value is None:
        return value
    if isinstance(value, float):
        return _number(float(value))
    if isinstance(value, int):
        return _whole(int(value), where)
    if isinstance(value, str):
        return _text(str.__str__(value))
    if depth >= _DEPTH:
        raise ValueError(f"{_named(where)} is nested more than {_DEPTH} levels deep")
    if kind is dict or isinstance(value, Mapping):
        return {_key(key, where): _ready(each, (where, key), depth + 1) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_ready(each, (where, at), depth + 1) for at, each in enumerate(value)]
    return _foreign(value, where, depth)


def _foreign(value: Any, where: _Place, depth: int) -> Json:
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.generic | numpy.ndarray):
        plain = value.tolist()
        if type(plain) in (*_PLAIN, float, list):
            return _ready(plain, where, depth)
    dump = getattr(value, "model_dump", None)
    if callable(dump) and not isinstance(value, type):
        return _ready(dump(mode="json"), where, depth + 1)
    raise ValueError(f"{_named(where)} is of the type {type(value).__qualname__}, which JSON cannot hold")


def _named(where: _Place) -> str:
    parts: list[str] = []
    while isinstance(where, tuple):
        where, last = where
        parts.append(f"[{last}]" if isinstance(last, int) else f".{last}")
    return where + "".join(reversed(parts))


def _key(key: Any, where: _Place) -> str:
    if type(key) is str and key.isascii() and "\0" not in key:
        return key
    if not isinstance(key, str):
        where_and_what = f"{_named(where)} has the key {key!r:.100}, and keys of JSON are texts"
        raise ValueError(f"{where_and_what}; make a text of it: str(key)")  # noqa: TRY004
    return _text(str.__str__(key))


def _whole(value: int, where: _Place) -> int:
    if not -_LONGEST <= value < _LONGEST:
        raise ValueError(f"{_named(where)} is an integer of more than 64 bits")
    return value


def _number(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _text(value: str) -> str:
    if value.isascii() and "\0" not in value:
        return value
    return value.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def as_text(value: Json) -> str:
    """JSON text of what `json_ready` gave, without blanks; as there, a number that JSON has not is a text."""
    return to_json(value, inf_nan_mode="strings").decode()


def size_of(value: Json) -> int:
    """How long the JSON text of what `json_ready` gave is [bytes]."""
    return len(to_json(value, inf_nan_mode="strings"))
