"""The driver as a batch job: it stops before its own walltime, goes into the queue again, and goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.shell import daskflow
from tests.execution.patience import until
from tests.services.slurm import Slurm

_FLOWS = """
import pathlib
import time
from daskflow import flow, task

@task
def quick(number: int):
    with open(f"performed-{number}", "a") as file:
        file.write("once\\n")
    return number

@task
def last(numbers):
    with open("begun", "a") as file:
        file.write("once\\n")
    while not pathlib.Path("gate").exists():
        time.sleep(0.05)
    return sum(numbers)

@flow(site="two")
def study(n: int = 3):
    return last([quick(number) for number in range(n)])

@flow(site="two")
def broken():
    raise ValueError("no such thing")
"""
_SITES = """
sites:
  two: {kind: processes, workers: 2}
  cluster: {kind: slurm, queue: main, cores: 1, memory: 1 GiB, walltime: 5 min}
"""
_LONG = 280.0
"""A requeued job begins within a minute where nothing else runs; machines differ [s]."""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "flows.py").write_text(_FLOWS)
    (tmp_path / "daskflow.yaml").write_text(_SITES)
    return tmp_path


def _submit(project: Path, target: str, *options: str) -> str:
    made = json.loads(daskflow(project, "run", target, "--submit", "--json", *options))
    assert made["state"] == "created"
    assert made["driver"]["stage"] == "queued"
    return str(made["id"])


def _show(project: Path, run: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(daskflow(project, "show", run, "--json"))
    return found


def _listed(project: Path, run: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = json.loads(daskflow(project, "runs", "--json"))
    return next(record for record in found if record["id"] == run)


def _state(project: Path, run: str) -> str:
    return str(_listed(project, run)["state"])


def _check_performed_once(project: Path, run: str) -> None:
    """What was recorded was performed once; only what a start left unrecorded may have been begun again."""
    events = _show(project, run)["events"]
    unfinished = sum(event["kind"].startswith("driver.requeued") and event["data"]["finished"] < 3 for event in events)
    for number in range(3):
        lines = (project / f"performed-{number}").read_text().count("\n")
        assert 1 <= lines <= 1 + unfinished
    jobs = [job for job in _show(project, run)["jobs"] if job["task"] == "quick"]
    assert {job["state"] for job in jobs} <= {"succeeded", "cached"}


@pytest.mark.integration
def test_a_flow_longer_than_the_walltime_of_its_driver_ends_with_the_right_result(
    slurm: Slurm, monkeypatch: pytest.MonkeyPatch, project: Path
) -> None:
    slurm.activate(monkeypatch)
    run = _submit(project, "flows.py:study", "--at", "cluster", "--walltime", "1 min")
    until(lambda: _listed(project, run)["driver"]["starts"] >= 2, _LONG)
    (project / "gate").touch()
    until(lambda: _state(project, run) == "succeeded", _LONG)
    shown = _show(project, run)
    kinds = [event["kind"] for event in shown["events"]]
    assert "driver.requeued" in kinds
    assert "driver.stuck" not in kinds
    batches = {event["data"]["batch"] for event in shown["events"] if event["kind"].startswith("driver.")}
    assert batches - {""} == {shown["driver"]["batch"]}, "it keeps its id, which nobody knows when it is announced"
    _check_performed_once(project, run)
    assert "succeeded" in daskflow(project, "logs", run, "--driver")


@pytest.mark.integration
def test_a_driver_that_waits_or_runs_is_cancelled_with_its_run(
    slurm: Slurm, monkeypatch: pytest.MonkeyPatch, project: Path
) -> None:
    slurm.activate(monkeypatch)
    running = _submit(project, "flows.py:study", "--at", "cluster")
    until((project / "begun").exists)
    for node in slurm.nodes:
        slurm.drain(node)
    try:
        waiting = _submit(project, "flows.py:study", "--at", "cluster", "--set", "n=2")
        batch = _listed(project, waiting)["driver"]["batch"]
        assert "waits in the queue" in _listed(project, waiting)["driver"]["standing"]
        assert f"batch job {batch} at cluster waits" in daskflow(project, "runs")
        refused = daskflow(project, "resume", waiting, "--submit", "--at", "cluster", code=2)
        assert "has a driver already" in refused
        assert f"batch job {batch} of its driver is cancelled" in daskflow(project, "cancel", waiting)
        assert _state(project, waiting) == "cancelled"
        assert batch not in slurm.run("squeue", "-h", "-t", "PENDING,RUNNING", "-o", "%i").split()
    finally:
        for node in slurm.nodes:
            slurm.resume(node)
    daskflow(project, "cancel", running)
    assert _state(project, running) == "cancelled"
    until(lambda: running not in slurm.run("squeue", "-h", "-t", "RUNNING", "-o", "%j"))


def test_on_a_machine_without_batch_system_the_driver_goes_on_by_a_new_batch_job(project: Path) -> None:
    run = _submit(project, "flows.py:study", "--at", "local", "--walltime", "30 s")
    until(lambda: _listed(project, run)["driver"]["starts"] >= 2, _LONG)
    (project / "gate").touch()
    until(lambda: _state(project, run) == "succeeded", _LONG)
    events = [event for event in _show(project, run)["events"] if event["kind"] == "driver.submitted"]
    assert len({event["data"]["batch"] for event in events}) == len(events) >= 2
    _check_performed_once(project, run)


def test_a_flow_that_fails_is_not_begun_again(project: Path) -> None:
    run = _submit(project, "flows.py:broken", "--at", "local")
    until(lambda: _state(project, run) == "failed")
    shown = _show(project, run)
    assert [event["kind"] for event in shown["events"] if event["kind"].startswith("driver.")] == [
        "driver.announced",
        "driver.submitted",
        "driver.started",
    ]
    until(lambda: "no such thing" in daskflow(project, "logs", run, "--driver"))


def test_options_of_a_driver_that_is_not_submitted_are_refused(project: Path) -> None:
    assert "Say --submit as well" in daskflow(project, "run", "flows.py:study", "--walltime", "1 h", code=2)
    assert "--walltime or --memory" in daskflow(
        project, "run", "flows.py:study", "--submit", "--at", "local", "--walltime", "soon", code=2
    )
    assert "has no pool 'huge'" in daskflow(
        project, "run", "flows.py:study", "--submit", "--at", "cluster", "--pool", "huge", code=2
    )
    assert "no journal" in daskflow(project, "runs", code=2), "nothing was recorded"
