"""Reads amounts of time and memory as people write them: `"2 s"`, `"1.5 h"`, `"8 GiB"`."""

from __future__ import annotations

import datetime
import math
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

_SECONDS = {"ms": 1e-3, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "day": 86400.0, "days": 86400.0}
_BYTES = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_BYTES |= {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_AMOUNT = re.compile(r"\s*((?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?)\s*([a-z]*)\s*", re.IGNORECASE)


def seconds(value: Any) -> float:
    """An amount of time [s], from a number of seconds, a timedelta or a text.

    Raises
    ------
    ValueError
        The text is no amount of time, or the timedelta is negative.

    Examples
    --------
    >>> seconds("1.5 min")
    90.0
    """
    given = value.total_seconds() if isinstance(value, datetime.timedelta) else value
    return _amount(given, _SECONDS, "s", "an amount of time such as '90 s', '15 min' or '2 h'")


def memory(value: Any) -> int:
    """An amount of memory [bytes], from a number of bytes or a text.

    Raises
    ------
    ValueError
        The text is no amount of memory.

    Examples
    --------
    >>> memory("8 GiB")
    8589934592
    """
    return int(_amount(value, _BYTES, "b", "an amount of memory such as '512 MiB' or '8 GB'"))


def _amount(value: Any, units: dict[str, float] | dict[str, int], default: str, what: str) -> float:
    found = _AMOUNT.fullmatch(str(value))
    unit = (found.group(2).lower() or default) if found else ""
    if not found or unit not in units:
        raise ValueError(f"{value!r} is not {what}")
    amount = float(found.group(1)) * units[unit]
    if math.isinf(amount):
        raise ValueError(f"{value!r} is not {what}")
    return amount


Seconds = Annotated[float, BeforeValidator(seconds, json_schema_input_type=float | str)]
Bytes = Annotated[int, BeforeValidator(memory, json_schema_input_type=int | str)]


def enough(least: int) -> AfterValidator:
    """Has `Bytes` refused below an amount [bytes] that nobody can mean: most often their unit was forgotten.

    Examples
    --------
    >>> enough(2**20).func(8)
    Traceback (most recent call last):
    ValueError: 8 is 8 bytes, and less than 1 MiB is too little; write 8 GiB
    """

    def check(value: int) -> int:
        if value < least:
            meant = f"{value} {'GiB' if value < 1000 else 'MiB'}" if 0 < value < 2**20 else "16 GiB"
            raise ValueError(f"{value} is {value} bytes, and less than {as_bytes(least)} is too little; write {meant}")
        return value

    return AfterValidator(check)


def as_seconds(value: float) -> str:
    """An amount of time for people, in three digits.

    Examples
    --------
    >>> as_seconds(0.00123), as_seconds(75), as_seconds(7500)
    ('1.23 ms', '1 min 15 s', '2 h 5 min')
    """
    if value < 1:
        return f"{_digits(value * 1e3)} ms"
    if value < 60:
        return f"{value:.3g} s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def as_bytes(value: float) -> str:
    """An amount of memory for people, in three digits.

    Examples
    --------
    >>> as_bytes(512), as_bytes(3 * 2**30)
    ('512 B', '3 GiB')
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{_digits(value)} {unit}"
        value /= 1024
    return f"{value:.3g} TiB"


def _digits(value: float) -> str:
    # 1023 bytes are no "1.02e+03 B".
    return f"{value:.3g}" if value < 999.5 else f"{value:.0f}"
