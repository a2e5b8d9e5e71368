"""Writes times, sizes and values as people read them."""

from __future__ import annotations

import math
import time
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
_LINES, _WIDTH = 20, 100


def duration(seconds: float | None) -> str:
    """A duration with about three digits; nothing for None.

    Examples
    --------
    >>> duration(0.0123), duration(3.21), duration(125), duration(8000)
    ('12 ms', '3.2 s', '2 min 5 s', '2 h 13 min')
    """
    if seconds is None or not math.isfinite(seconds):
        return ""
    if seconds < 0.9995:
        return f"{seconds * 1e3:.0f} ms" if seconds >= 0.0005 else f"{seconds * 1e6:.0f} µs"
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE:.0f} min {seconds % _MINUTE:.0f} s"
    if seconds < _DAY:
        return f"{seconds // _HOUR:.0f} h {seconds % _HOUR // _MINUTE:.0f} min"
    return f"{seconds // _DAY:.0f} d {seconds % _DAY // _HOUR:.0f} h"


def size(number: float) -> str:
    """A number of bytes in binary units.

    Examples
    --------
    >>> size(0), size(999), size(123_456_789)
    ('0 B', '999 B', '118 MiB')
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1024
    return f"{number:.3g} TiB"


def percent(part: float | None) -> str:
    """A part of something in per cent; nothing for None.

    Examples
    --------
    >>> percent(0.873), percent(0.004), percent(None)
    ('87 %', '0.4 %', '')
    """
    if part is None:
        return ""
    return f"{part * 100:.0f} %" if part >= 0.0995 else f"{part * 100:.1f} %"


def moment(seconds: float | None, zone: str | None = None) -> str:
    """A time in seconds since the epoch as date and time, local or of a time zone that is named; nothing for None.

    Examples
    --------
    >>> moment(1e9, "America/Vancouver")
    '2001-09-08 18:46:40 PDT'
    """
    if seconds is None:
        return ""
    if zone is None:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
    return datetime.fromtimestamp(seconds, ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M:%S %Z")


def number(value: Any) -> str:
    """A number with six digits; anything else as its text.

    Examples
    --------
    >>> number(3.14159265), number(2), number("nan")
    ('3.14159', '2', 'nan')
    """
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def shortened(value: Any) -> str:
    """A value as text that is no longer than a page."""
    from rich.pretty import pretty_repr

    lines = pretty_repr(value, max_width=_WIDTH, max_length=20, max_string=500, max_depth=6).splitlines()
    lines = [line if len(line) <= 2 * _WIDTH else f"{line[: 2 * _WIDTH]}..." for line in lines]
    return "\n".join(lines if len(lines) <= _LINES else [*lines[:_LINES], f"... ({len(lines) - _LINES} more lines)"])
