"""Reads what is particular to one batch system: the values of the option `system`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from daskflow.model import quantities

_TRUTH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
"""Variables of the environment have texts for what YAML has a type."""


def particular(name: str, value: Any) -> Any:
    """The value of one of the options, as its batch system takes it; one that nobody knows stays as it is.

    Raises
    ------
    ValueError
        It does not fit.

    Examples
    --------
    >>> particular("timeout", "2 min"), particular("torque", "no"), particular("parallel", 2)
    (120.0, False, '2')
    """
    if name not in _READ:
        return value
    try:
        return _READ[name](value)
    except ValueError as error:
        raise ValueError(f"system.{name}: {error}") from None


def _some(read: Callable[[Any], float]) -> Callable[[Any], float]:
    """Reads an amount that is more than nothing."""

    def checked(value: Any) -> float:
        found = read(value)
        if found <= 0:
            raise ValueError(f"{value!r} is nothing; leave the option out for its default")
        return found

    return checked


def _truth(value: Any) -> bool:
    found = _TRUTH.get(str(value).lower())
    if found is None:
        raise ValueError(f"{value!r} is neither true nor false")
    return found


_READ: dict[str, Callable[[Any], Any]] = {
    "timeout": _some(quantities.seconds),
    "disk": _some(quantities.memory),
    "torque": _truth,
    "cluster": str,
    "parallel": str,
    "spanning": str,
    "memory": str,
}
