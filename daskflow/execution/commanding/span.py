"""Ranges of parameters that hold their end, and no rounding errors."""

from __future__ import annotations

from decimal import Decimal

from daskflow.errors import ArgumentsInvalid

_MOST = 10_000_000


def span(start: float, stop: float, step: float = 1) -> list[float]:
    """The numbers from `start` to `stop`, both of them included where the step leads there.

    Parameters
    ----------
    start, stop
        The first number, and the last one.
    step
        From one to the next; may be negative.

    Returns
    -------
    list
        Of integers, where all three are; else of floats, each the one nearest to the decimal number that it stands for.

    Raises
    ------
    ArgumentsInvalid
        The step is zero or leads away from the end, or something is no finite number.

    Examples
    --------
    >>> span(0, 0.3, 0.1)
    [0.0, 0.1, 0.2, 0.3]
    >>> span(10, 4, -3)
    [10, 7, 4]
    """
    if all(type(number) is int for number in (start, stop, step)):
        count = _count(Decimal(start), Decimal(stop), Decimal(step))
        return [int(start + index * step) for index in range(count)]
    first, last, width = (_decimal(number) for number in (start, stop, step))
    return [float(first + index * width) for index in range(_count(first, last, width))]


def _decimal(number: float) -> Decimal:
    # The text of a float is the shortest decimal number that it stands for: what the user wrote.
    found = Decimal(repr(float(number)))
    if not found.is_finite():
        raise ArgumentsInvalid(f"span(): {number!r} is no finite number.")
    return found


def _count(start: Decimal, stop: Decimal, step: Decimal) -> int:
    if step == 0 or (stop - start) * step < 0:
        raise ArgumentsInvalid(f"span({start}, {stop}, {step}): the step does not lead from the start to the end.")
    if abs(stop - start) > abs(step) * _MOST:
        raise ArgumentsInvalid(f"span({start}, {stop}, {step}) has more than {_MOST} numbers.")
    return int((stop - start) // step) + 1
