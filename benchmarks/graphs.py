"""Benchmarks of whole graphs: cold runs by daskflow and by dask, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.figures import Budget, Figure, interleaved
from benchmarks.sides import Side, Spent


class _Case(NamedTuple):
    graph: str
    what: str
    jobs: int
    quick: int
    plain: float | None
    """Budget without bundles."""
    bundled: float | None
    """Budget with bundles."""


CASES = {
    "fan-out": _Case("fan-out", "{} independent jobs", 10_000, 500, 1.0, 0.1),
    "chain": _Case("chain", "chain of {} jobs", 1_000, 100, 1.0, 0.2),
    "layered": _Case("layered", "{} jobs in 10 layers", 3_000, 300, None, None),
    "reduce": _Case("reduce", "{} jobs into one", 3_000, 300, None, None),
}


def compare(names: Sequence[str], *, quick: bool, rounds: int) -> list[Figure]:
    """Run the named graphs on both sides."""
    if not names:
        return []
    with Side("daskflow") as ours, Side("dask") as theirs:
        return [figure for name in names for figure in _compare(CASES[name], ours, theirs, quick, rounds)]


def _compare(case: _Case, ours: Side, theirs: Side, quick: bool, rounds: int) -> list[Figure]:
    jobs = case.quick if quick else case.jobs
    off, on, reference = interleaved(
        rounds,
        lambda _: ours.run(case.graph, jobs, bundling=False),
        lambda _: ours.run(case.graph, jobs, bundling=True),
        lambda _: theirs.run(case.graph, jobs),
    )
    what = case.what.format(f"{jobs:,}")
    return [
        _figure(f"{what}, no bundles", off, reference, case.plain),
        _figure(f"{what}, in bundles", on, reference, case.bundled),
    ]


def _figure(what: str, ours: list[Spent], reference: list[Spent], limit: float | None) -> Figure:
    return Figure(
        what,
        "s",
        tuple(spent.wall for spent in ours),
        tuple(spent.wall for spent in reference),
        "dask.delayed",
        Budget("ratio", limit) if limit else None,
        tuple(a.cpu / b.cpu for a, b in zip(ours, reference, strict=True)),
    )
