"""Benchmarks of what is remembered and of what it takes to hold: finished runs in new processes, driver memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median

from benchmarks.figures import Budget, Figure, interleaved
from benchmarks.fresh import procedure, python


@contextmanager
def _filled(jobs: int) -> Iterator[str]:
    """A store in which so many independent jobs are finished."""
    with tempfile.TemporaryDirectory(prefix="daskflow-bench-", ignore_cleanup_errors=True) as directory:
        if jobs:
            procedure("run", directory=directory, graph="fan-out", jobs=jobs)
        yield directory


def finished(*, quick: bool, rounds: int) -> list[Figure]:
    """Check runs that were finished before, in new processes."""
    sizes = {1_000: 0.5} if quick else {10_000: 0.5, 100_000: 5.0}
    return [_finished(jobs, limit, rounds) for jobs, limit in sizes.items()]


def _finished(jobs: int, limit: float, rounds: int) -> Figure:
    with _filled(jobs) as directory:
        ours, reference = interleaved(
            rounds,
            lambda _: procedure("run", directory=directory, graph="fan-out", jobs=jobs),
            lambda _: python("import daskflow"),
        )
    flow = median(said["flow"] for _, said in ours)
    cpu = median(lived.cpu for lived, _ in ours)
    started = ", A CLUSTER WAS STARTED" if any(said["cluster"] for _, said in ours) else ""
    return Figure(
        f"{jobs:,} jobs finished before",
        "s",
        tuple(lived.wall for lived, _ in ours),
        tuple(lived.wall for lived in reference),
        "import daskflow",
        Budget("difference", limit),
        note=f"the flow itself {flow:.3f} s; the process {cpu:.3f} s of CPU{started}",
    )


def driver_memory(*, quick: bool, rounds: int) -> list[Figure]:
    """Growth of the driver by a run whose jobs are remembered, and by one whose jobs are performed."""
    jobs = 2_000 if quick else 50_000
    return [
        _grown(f"driver memory, {jobs:,} remembered jobs", jobs, jobs, rounds),
        _grown(f"driver memory, {jobs:,} jobs in bundles", jobs, 0, rounds),
    ]


def _grown(what: str, jobs: int, known: int, rounds: int) -> Figure:
    found = []
    with _filled(known) as filled:
        for _ in range(rounds):
            with _filled(0) as empty:
                found.append(procedure("memory", directory=filled if known else empty, jobs=jobs, warm=100)[1])
    peak = median(each["peak"] for each in found)
    return Figure(
        what,
        "kB",
        tuple(each["each"] for each in found),
        budget=Budget("value", 2.0),
        note=f"for each job; meanwhile at most {peak:.2f} kB",
    )


ITEMS: dict[str, Callable[..., list[Figure]]] = {"finished": finished, "memory": driver_memory}
