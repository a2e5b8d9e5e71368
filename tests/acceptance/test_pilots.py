"""Pilots on a real Slurm: whoever is lost is told why, and nobody else has to suffer for it."""

from __future__ import annotations

import json
import random
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from tests.acceptance.clusters import Cluster
from tests.execution.patience import until
from tests.services.slurm import Slurm

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

JOBS = 100
FLOW = """
import os
import time

from daskflow import Resources, flow, task


@task
def step(i: int, seconds: float) -> int:
    time.sleep(seconds)
    return i


@task
def total(xs: list[int]) -> int:
    return sum(xs)


@flow
def study(n: int = 100, seconds: float = 1.0) -> int:
    return total([step(i, seconds) for i in range(n)])


@task
def where(i: int) -> list[str]:
    return [os.environ["SLURM_JOB_PARTITION"], os.environ["SLURMD_NODENAME"]]


@task
def both(small: list[list[str]], large: list[list[str]]) -> dict[str, list[list[str]]]:
    return {"small": small, "large": large}


@flow
def shapes() -> dict[str, list[list[str]]]:
    large = where.options(resources=Resources(memory="2 GiB", gpus=1))
    return both([where(i) for i in range(6)], [large(i) for i in range(10, 13)])


@task(resources=Resources(memory="300 MB"))
def grow(beside: str) -> int:
    while not os.path.exists(beside):
        time.sleep(0.01)
    held = []
    for _ in range(100):
        held.append(bytearray(os.urandom(1 << 20) * 16))
        time.sleep(0.05)
    return len(held)


@task(resources=Resources(memory="300 MB"))
def live_on(beside: str, until: str) -> int:
    open(beside, "w").close()
    while not os.path.exists(until):
        time.sleep(0.01)
    return os.getppid()


@flow
def neighbours(beside: str, until: str) -> list[int]:
    return [grow(beside), live_on(beside, until)]
"""


@pytest.fixture
def cluster(slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    slurm.activate(monkeypatch)
    slurm.clear()
    made = Cluster(tmp_path / "work", slurm)
    made.write(FLOW)
    return made


def _result(process: subprocess.Popen[str], code: int = 0) -> dict[str, object]:
    said, complaint = process.communicate(timeout=600)
    assert process.returncode == code, complaint
    found: dict[str, object] = json.loads(said)
    return found


def _succeeded(cluster: Cluster) -> int:
    return sum(attempt.state == "succeeded" for attempt in cluster.attempts())


def test_no_job_fails_because_pilots_are_cancelled(cluster: Cluster) -> None:
    cluster.configure(max_pilots=4, poll="2 s")
    chance = random.Random(20261122)
    process = cluster.start("run", "flow.py:study", "--json", "--set", f"n={JOBS}")
    cancelled: set[str] = set()
    while process.poll() is None:
        done = _succeeded(cluster)
        with suppress(AssertionError):
            until(lambda: _succeeded(cluster) >= done + 12 or process.poll() is not None, 30)  # noqa: B023
        running = [pilot["id"] for pilot in cluster.events("pilot.arrived") if pilot["id"] not in cancelled]
        living = sorted(set(running) & set(cluster.slurm.queued("--state=RUNNING")))
        if living and process.poll() is None:
            victim = chance.choice(living)
            cluster.slurm.run("scancel", victim)
            cancelled.add(victim)
    outcome = _result(process)
    assert outcome["value"] == sum(range(JOBS))
    assert len(cancelled) >= 3
    attempts = cluster.attempts()
    assert _succeeded(cluster) == JOBS + 1
    lost = [attempt for attempt in attempts if attempt.state != "succeeded"]
    assert lost, "pilots were cancelled under jobs that ran"
    assert {attempt.error for attempt in lost} == {"Cancelled"}
    assert all(any(f"batch job {victim}:" in attempt.message for victim in cancelled) for attempt in lost)
    ended = {pilot["id"]: pilot["error"] for pilot in cluster.events("pilot.ended")}
    assert {ended[victim] for victim in cancelled} == {"Cancelled"}


def test_each_job_goes_to_the_pool_that_has_what_it_needs(cluster: Cluster) -> None:
    cluster.configure(
        pools={
            "small": {"queue": "debug", "cores": 2, "memory": "1 GiB", "walltime": "5 min"},
            "large": {"queue": "main", "cores": 2, "memory": "3 GiB", "gpus": 1, "max_pilots": 1},
        }
    )
    outcome = json.loads(cluster.daskflow("run", "flow.py:shapes", "--json"))
    assert outcome["value"] == {"small": [["debug", "n1"]] * 6, "large": [["main", "n4"]] * 3}
    assert {pilot["pool"] for pilot in cluster.events("pilot.arrived")} == {"small", "large"}


def test_a_job_that_grows_is_ended_and_its_neighbour_goes_on(cluster: Cluster, tmp_path: Path) -> None:
    cluster.configure(max_pilots=1)
    beside, end = tmp_path / "beside", tmp_path / "end"
    process = cluster.start("run", "flow.py:neighbours", "--json", "--set", f"beside={beside}", "--set", f"until={end}")
    until(
        lambda: any(attempt.state != "succeeded" for attempt in cluster.attempts()) or process.poll() is not None, 120
    )
    end.touch()
    _result(process, 1)
    grown, lived = sorted(cluster.attempts(), key=lambda attempt: attempt.task)
    assert (grown.task, grown.error) == ("grow", "OutOfMemory")
    assert (lived.task, lived.state) == ("live_on", "succeeded")
    assert grown.place == lived.place
    assert [pilot["id"] for pilot in cluster.events("pilot.submitted")] == [grown.place]


def test_what_fits_no_pool_is_told_before_anything_runs(cluster: Cluster) -> None:
    cluster.configure(memory="500 MB")
    said = cluster.daskflow("run", "flow.py:shapes", code=2)
    assert "The nearest is 'default'" in said
    assert "lacks 2 GiB of memory" in said
    assert cluster.events("pilot.submitted") == []
