"""Benchmarks of command jobs: a sweep beside plain `subprocess.run` on dask's workers, and what making one costs."""

from __future__ import annotations

import itertools
import subprocess
import time
from typing import Any

from benchmarks.figures import Budget, Figure, interleaved
from benchmarks.laboratory import Laboratory, store, warm_site
from benchmarks.plain import plain_cluster
from daskflow.execution.commanding.job import CommandJob


def _plain(number: int) -> bytes:
    return subprocess.run(["echo", str(number)], capture_output=True, check=True).stdout


def sweep(*, quick: bool, rounds: int) -> list[Figure]:
    """A sweep of `echo` jobs, each with a scratch directory, its output kept and remembered."""
    jobs = 100 if quick else 1_000
    starts = itertools.count(0, jobs)
    with warm_site() as site, plain_cluster() as client:

        def ours(_: int) -> float:
            with store() as settings:
                laboratory = Laboratory(settings, site)
                start = next(starts)
                seconds = _timed(laboratory.flow(lambda: _jobs(laboratory, range(start, start + jobs))))
                laboratory.launcher.close()
                return seconds

        def plain(_: int) -> float:
            start = next(starts)
            return _timed(lambda: client.gather(client.map(_plain, range(start, start + jobs), pure=False)))

        ours(0), plain(0)
        found, reference = interleaved(rounds, ours, plain)
    return [
        Figure(
            f"sweep of {jobs:,} echo commands",
            "s",
            tuple(found),
            tuple(reference),
            "subprocess.run on dask's workers",
            Budget("ratio", 1.3),
        )
    ]


def making(*, quick: bool, rounds: int) -> list[Figure]:
    """Making the jobs of a sweep, their keys included, without performing them."""
    jobs = 1_000 if quick else 10_000
    found = []
    with store() as settings:
        laboratory = Laboratory(settings)
        laboratory.launcher.project()
        for number in range(rounds):
            start = number * jobs
            found.append(_timed(lambda start=start: [j.key for j in _jobs(laboratory, range(start, start + jobs))]))
        laboratory.launcher.close()
    return [
        Figure(
            f"making {jobs:,} command jobs", "µs", tuple(1e6 * seconds / jobs for seconds in found), note="for each job"
        )
    ]


def _jobs(laboratory: Laboratory, numbers: range) -> list[Any]:
    kind = type("CommandJob", (CommandJob,), {"__slots__": (), "launcher": laboratory.launcher})
    pattern: CommandJob = kind([["echo", "{number}"]])
    return pattern.map(number=numbers)


def _timed(work: Any) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


ITEMS = {"sweep": sweep, "making": making}
