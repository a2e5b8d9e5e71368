"""The two sides of a comparison: two drivers, each a process with a cluster of its own, that run graphs when asked.

`python -m benchmarks.sides SIDE` reads requests from standard input and answers on standard output, a line of JSON
each.
"""

from __future__ import annotations

import gc
import json
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NamedTuple, Self

import psutil

from benchmarks.fresh import environment
from benchmarks.laboratory import Laboratory, store, warm_site
from benchmarks.plain import plain_cluster
from benchmarks.workload import GRAPHS

PATIENCE = 300.0
"""A run that takes longer hangs [s]."""


class Spent(NamedTuple):
    """What one run of a graph took."""

    wall: float
    """[s]"""
    cpu: float
    """Of the driver and its workers together [s]."""


class Side:
    """A driver that stays, with its cluster warm.

    Parameters
    ----------
    name
        `daskflow` or `dask`.
    """

    def __init__(self, name: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.sides", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )

        self._runs = 0

    def __enter__(self) -> Self:
        self.run("fan-out", 100)
        self.run("chain", 10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def run(self, graph: str, jobs: int, **options: Any) -> Spent:
        """Run a graph; no two runs have a job in common.

        Raises
        ------
        RuntimeError
            The driver ended, or did not answer in time.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {"graph": graph, "jobs": jobs, "start": self._runs * 1_000_000, **options}
        self._runs += 1
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answered, _, _ = select.select([self._process.stdout], [], [], PATIENCE)
        answer = self._process.stdout.readline() if answered else ""
        if not answer:
            raise RuntimeError(f"a driver {'ended' if answered else 'hangs'}, asked for {request}")
        return Spent(*json.loads(answer))


def main(name: str) -> None:
    """Answer requests until there are no more."""
    with _daskflow() if name == "daskflow" else _dask() as perform:
        for line in sys.stdin:
            request = json.loads(line)
            gc.collect()
            before, start = _cpu(), time.perf_counter()
            perform(**request)
            wall = time.perf_counter() - start
            print(json.dumps(Spent(wall, _cpu() - before)), flush=True)


@contextmanager
def _daskflow() -> Iterator[Callable[..., None]]:
    with warm_site() as site:

        def perform(graph: str, jobs: int, start: int, bundling: bool = True) -> None:
            with store(bundling=bundling) as settings:
                laboratory = Laboratory(settings, site)
                laboratory.graph(graph, jobs, start)()
                laboratory.launcher.close()

        yield perform


@contextmanager
def _dask() -> Iterator[Callable[..., None]]:
    import dask  # noqa: PLC0415

    def perform(graph: str, jobs: int, start: int) -> None:
        dask.compute(*GRAPHS[graph](dask.delayed, jobs, start))

    with plain_cluster():
        yield perform


def _cpu() -> float:
    own = psutil.Process()
    spent = 0.0
    for process in [own, *own.children(recursive=True)]:
        times = process.cpu_times()
        spent += times.user + times.system
    return spent


if __name__ == "__main__":
    main(sys.argv[1])
