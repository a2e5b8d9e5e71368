"""Benchmark of what is lost when Slurm ends pilots at their walltime: work that was done in vain."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.figures import Budget, Figure, interleaved
from benchmarks.fresh import environment
from tests.services.slurm import Slurm, running

_JOBS, _SECONDS, _TICK = 200, 5.0, 0.1
_PILOTS, _CORES = 3, 4
_PATIENCE = 1200.0
"""Whoever is not done by then has lost what he has done until then [s]."""

_WORK = """
import os
import time


def work(i):
    # A byte for each tenth of a second: what was done in vain is known whoever is killed, and when.
    path = os.path.join(os.environ["NOTES"], f"{i}-{os.getpid()}-{time.monotonic_ns()}")
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        time.sleep(TICK)
        with open(path, "ab") as file:
            file.write(b"x")
    return i
"""
_OURS = """
from daskflow import flow, task
from work import work


@task
def step(i: int) -> int:
    return work(i)


@task
def total(xs: list[int]) -> int:
    return sum(xs)


@flow
def study(n: int) -> int:
    return total([step(i) for i in range(n)])
"""
_PLAIN = """
import sys

from dask_jobqueue import SLURMCluster
from distributed import Client

from work import work

if __name__ == "__main__":
    # As its manual has it: workers retire by themselves a while before the walltime, not all at once.
    with SLURMCluster(
        queue="main", cores=CORES, processes=1, memory="2 GiB", walltime="00:01:00", interface="lo",
        log_directory="logs", local_directory="scratch",
        worker_extra_args=["--lifetime", "50s", "--lifetime-stagger", "8s"],
        scheduler_options={"dashboard_address": "127.0.0.1:0"},
    ) as cluster, Client(cluster) as client:
        cluster.adapt(minimum=PILOTS, maximum=PILOTS)
        print(sum(client.gather(client.map(work, range(int(sys.argv[1])), pure=False))))
"""


class _Spent(NamedTuple):
    """What one side needed."""

    lost: float
    """Work that was done in vain [core s]."""
    held: float
    """What its batch jobs had of the cluster [core s]."""
    wall: float
    """[s]"""
    done: bool


def walltime(*, quick: bool, rounds: int) -> list[Figure]:
    """Run jobs of 5 s on pilots whose walltime is a minute, beside dask-jobqueue with `--lifetime`."""
    jobs = _JOBS // 4 if quick else _JOBS
    with (
        tempfile.TemporaryDirectory(prefix="daskflow-bench-", ignore_cleanup_errors=True) as name,
        running(Path(name, "slurm"), nodes=_PILOTS, cpus=_CORES) as slurm,
    ):
        ours, reference = interleaved(
            rounds,
            lambda number: _measure(slurm, Path(name, f"daskflow-{number}"), jobs, _run_daskflow),
            lambda number: _measure(slurm, Path(name, f"dask-{number}"), jobs, _run_plain),
        )
    return [_figure(jobs, ours, reference)]


def _figure(jobs: int, ours: list[_Spent], reference: list[_Spent]) -> Figure:
    if not all(spent.done for spent in ours):
        raise RuntimeError("daskflow did not perform all jobs")
    useful = jobs * _SECONDS
    held, wall = (
        ", ".join(f"{sum(values) / len(values):.2f}" for values in sides)
        for sides in (
            [[spent.held / useful for spent in side] for side in (ours, reference)],
            [[spent.wall for spent in side] for side in (ours, reference)],
        )
    )
    failed = sum(not spent.done for spent in reference)
    return Figure(
        f"{jobs} jobs of {_SECONDS:.0f} s, pilots of 60 s: core-seconds lost",
        "s",
        tuple(spent.lost for spent in ours),
        # Nobody loses less than one look.
        tuple(max(spent.lost, _TICK) for spent in reference),
        "dask-jobqueue --lifetime 50s",
        Budget("ratio", 0.33),
        note=f"core-seconds held for each useful one: {held}; wall [s]: {wall}"
        + (f"; dask did not end in {failed} of {len(reference)} rounds" if failed else ""),
    )


def _measure(
    slurm: Slurm, directory: Path, jobs: int, run: Callable[[Path, dict[str, str], int], subprocess.Popen[str]]
) -> _Spent:
    notes = directory / "notes"
    notes.mkdir(parents=True)
    (directory / "work.py").write_text(_WORK.replace("SECONDS", str(_SECONDS)).replace("TICK", str(_TICK)))
    before = set(_jobs(slurm))
    began = time.monotonic()
    env = environment() | slurm.env | {"NOTES": str(notes), "PYTHONPATH": str(directory)}
    process = run(directory, env, jobs)
    try:
        said, _ = process.communicate(timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        said, _ = process.communicate()
    wall = time.monotonic() - began
    slurm.clear()
    done = process.returncode == 0 and re.search(rf'(^|"value": ){sum(range(jobs))},?$', said, re.MULTILINE) is not None
    held = sum(seconds for job, seconds in _jobs(slurm).items() if job not in before)
    # The longest of its attempts is what a job needed.
    spent: dict[str, list[float]] = {}
    for path in notes.iterdir():
        spent.setdefault(path.name.partition("-")[0], []).append(path.stat().st_size * _TICK)
    useful = sum(max(times) for times in spent.values()) if done else 0.0
    return _Spent(sum(map(sum, spent.values())) - useful, held, wall, done)


def _jobs(slurm: Slurm) -> dict[str, float]:
    """Core-seconds of each batch job that Slurm remembers."""
    found = {}
    for line in slurm.run("scontrol", "-o", "show", "jobs").splitlines():
        job = dict(word.split("=", 1) for word in line.split() if "=" in word)
        if "JobId" in job:
            days, _, clock = job["RunTime"].rpartition("-")
            hours, minutes, seconds = map(int, clock.split(":"))
            found[job["JobId"]] = (86400 * int(days or 0) + 3600 * hours + 60 * minutes + seconds) * int(job["NumCPUs"])
    return found


def _run_daskflow(directory: Path, env: dict[str, str], jobs: int) -> subprocess.Popen[str]:
    site = {
        "kind": "slurm",
        "queue": "main",
        "cores": _CORES,
        "memory": "2 GiB",
        "walltime": "60 s",
        "max_pilots": _PILOTS,
        "interface": "lo",
    }
    # Each JSON is YAML.
    (directory / "daskflow.yaml").write_text(json.dumps({"site": "pilots", "sites": {"pilots": site}}))
    (directory / "study.py").write_text(_OURS)
    return _start(directory, env, "-m", "daskflow", "run", "study.py:study", "--set", f"n={jobs}", "--json")


def _run_plain(directory: Path, env: dict[str, str], jobs: int) -> subprocess.Popen[str]:
    (directory / "plain.py").write_text(_PLAIN.replace("CORES", str(_CORES)).replace("PILOTS", str(_PILOTS)))
    return _start(directory, env, "plain.py", str(jobs))


def _start(directory: Path, env: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    with open(directory / "log", "wb") as log:
        return subprocess.Popen(
            [sys.executable, *arguments], cwd=directory, env=env, stdout=subprocess.PIPE, stderr=log, text=True
        )


ITEMS: dict[str, Callable[..., list[Figure]]] = {"walltime": walltime}
