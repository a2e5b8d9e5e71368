"""Reads how long batch jobs may take, as people and batch systems write it."""

from __future__ import annotations

import datetime
import re
from typing import Annotated, Any

from pydantic import BeforeValidator

from daskflow.model import quantities

_CLOCK = re.compile(r"(?:(?P<days>\d+)-)?(?P<hours>\d+):(?P<minutes>\d{1,2}):(?P<seconds>\d{1,2})")
_TWO_PARTS = re.compile(r"\d+:\d+|\d+-\d+(?::\d+)?")
_PART = re.compile(r"\s*([0-9.]+\s*[a-z]+)\s*,?", re.IGNORECASE)
_HOW = 'write "01:30:00" or "1-00:00:00" in quotes, or 90 min, 1 h 30 min, 2 days'


def walltime(value: Any) -> float:
    """How long a batch job may take [s], from a timedelta or a text.

    Raises
    ------
    ValueError
        The text is no amount of time, or may be read in two ways.

    Notes
    -----
    Whole numbers are refused: YAML reads 1:30 without quotes as the number 90, and batch systems count in minutes.

    Examples
    --------
    >>> walltime("1 h 30 min"), walltime("00:30:00"), walltime("1-12:00:00")
    (5400.0, 1800.0, 129600.0)
    """
    if isinstance(value, datetime.timedelta):
        found = value.total_seconds()
    elif isinstance(value, float):
        found = value
    elif isinstance(value, int):
        raise ValueError(  # noqa: TRY004, what pydantic takes for a value that does not fit
            f"{value} has no unit, or YAML made it of a time such as 1:30 without quotes; {_HOW}"
        )
    else:
        found = _read(str(value).strip())
    if not 0 < found < float("inf"):
        raise ValueError(f"a walltime is more than nothing, and has an end; {_HOW}")
    return found


def _read(text: str) -> float:
    if clock := _CLOCK.fullmatch(text):
        days, hours, minutes, seconds = (int(part or 0) for part in clock.group("days", "hours", "minutes", "seconds"))
        if minutes > 59 or seconds > 59:
            raise ValueError(f"{text!r} is not a walltime; {_HOW}")
        return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
    if _TWO_PARTS.fullmatch(text):
        # Slurm reads minutes and seconds, LSF hours and minutes.
        raise ValueError(f"{text!r} may mean hours and minutes, or minutes and seconds; {_HOW}")
    parts = _PART.findall(text)
    if not parts or _PART.sub("", text).strip():
        raise ValueError(f"{text!r} is not a walltime; {_HOW}")
    return sum(quantities.seconds(part) for part in parts)


Walltime = Annotated[float, BeforeValidator(walltime, json_schema_input_type=str)]
