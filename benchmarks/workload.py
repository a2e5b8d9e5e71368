"""The functions that jobs perform, and the graphs made of them, alike for daskflow and for dask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Wrap = Callable[[Callable[..., Any]], Any]
"""`daskflow.task` or `dask.delayed`."""


def nothing(x: Any) -> Any:
    return x


def first_of(a: Any, b: Any, c: Any) -> Any:
    return a


def total(values: list[int]) -> int:
    return sum(values)


def fan_out(wrap: Wrap, jobs: int, start: int) -> list[Any]:
    """Independent jobs."""
    call = wrap(nothing)
    return [call(start + index) for index in range(jobs)]


def chain(wrap: Wrap, jobs: int, start: int) -> list[Any]:
    """Each job depends on the one before."""
    call = wrap(nothing)
    last = call(start)
    for _ in range(jobs - 1):
        last = call(last)
    return [last]


def layered(wrap: Wrap, jobs: int, start: int) -> list[Any]:
    """Ten layers; each job depends on three of the layer before."""
    width = jobs // 10
    call = wrap(first_of)
    layer = [call(start + index, 0, 0) for index in range(width)]
    for _ in range(9):
        layer = [call(layer[i], layer[(i + 1) % width], layer[(i + 7) % width]) for i in range(width)]
    return layer


def wide_reduce(wrap: Wrap, jobs: int, start: int) -> list[Any]:
    """Independent jobs, and one that takes them all."""
    return [wrap(total)(fan_out(wrap, jobs, start))]


GRAPHS: dict[str, Callable[[Wrap, int, int], list[Any]]] = {
    "fan-out": fan_out,
    "chain": chain,
    "layered": layered,
    "reduce": wide_reduce,
}
