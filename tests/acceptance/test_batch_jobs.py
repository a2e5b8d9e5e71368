"""Jobs that are batch jobs of their own, on a real Slurm: nothing is lost, and nothing submitted twice."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.shell import daskflow, environment, ran, run
from tests.execution.counting import counted
from tests.execution.patience import until
from tests.services.programs import needs
from tests.services.slurm import Slurm

pytestmark = pytest.mark.integration

SITE = """
site: cluster
sites:
  cluster:
    kind: slurm
    queue: main
    cores: 2
    memory: 1 GiB
    walltime: 10 min
    nodes: 2
    interface: lo
    poll: 2 s
"""

MELT = """
from daskflow import CommandJob, InputFile, Resources, flow, task

# All nodes of this Slurm are one machine, on which ranks of different nodes cannot share memory.
MPI = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_pml": "ob1",
    "OMPI_MCA_btl": "self,tcp",
    "OMPI_MCA_btl_tcp_if_include": "lo",
}
INPUT = '''
units lj
atom_style atomic
lattice fcc 0.8442
region box block 0 6 0 6 0 6
create_box 1 box
create_atoms 1 box
mass 1 1.0
velocity all create 1.44 87287
pair_style lj/cut 2.5
pair_coeff 1 1 1.0 1.0 2.5
fix 1 all nve
run {steps}
'''


@task
def how_long(n: int) -> int:
    return 10 * n


@task
def energy(melt, log) -> dict:
    text = log.open().read().decode()
    grid = [line.strip() for line in text.splitlines() if "MPI processor grid" in line]
    return {"grid": grid[0], "steps": "for 50 steps with 864 atoms" in text, "nodes": melt.stdout().split()}


@flow
def study(n: int = 5) -> dict:
    melt = CommandJob(
        [
            "mpirun -n $DASKFLOW_TASKS lmp -in melt.in -log melt.log > /dev/null",
            "echo $DASKFLOW_NODES $DASKFLOW_TASKS $SLURM_JOB_NUM_NODES; scontrol show hostnames",
        ],
        input_files=[InputFile("melt.in", INPUT)],
        output_files=["melt.log"],
        parameters={"steps": how_long(n)},
        env=MPI,
        resources=Resources(nodes=2, tasks=4, walltime="2 min"),
    )
    return energy(melt, melt.file("melt.log"))
"""

GATES = """
import os
import time

from daskflow import Resources, flow, task


def count(name):
    descriptor = os.open(os.path.join(os.environ["NOTES"], name), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, b"x")
    os.close(descriptor)


@task(placement="batch", resources=Resources(walltime="5 min"))
def gate(i: int) -> int:
    count(f"gate-{i}")
    while not os.path.exists(os.path.join(os.environ["NOTES"], "open")):
        time.sleep(0.05)
    return i * i


@task(placement="batch")
def first() -> int:
    count("first")
    return 100


@flow
def study(n: int = 3) -> int:
    start = first().result()
    return start + sum(job.result() for job in [gate(i) for i in range(n)])
"""


@pytest.fixture
def place(tmp_path: Path, slurm: Slurm, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project on the Slurm of the tests."""
    slurm.activate(monkeypatch)
    (tmp_path / "daskflow.yaml").write_text(SITE)
    (tmp_path / "melt.py").write_text(MELT)
    (tmp_path / "gates.py").write_text(GATES)
    (tmp_path / "notes").mkdir()
    yield tmp_path
    slurm.clear()


def _events(place: Path, kind: str) -> list[dict[str, Any]]:
    path = place / ".daskflow/journal.db"
    if not path.exists():
        return []
    with closing(sqlite3.connect(path, timeout=60)) as database:
        try:
            rows = database.execute("SELECT data FROM events WHERE kind = ? ORDER BY rowid", (kind,)).fetchall()
        except sqlite3.OperationalError:  # there are no tables yet
            return []
    return [json.loads(data) for (data,) in rows]


def _driver(place: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "daskflow", *arguments],
        cwd=place,
        env=environment(NOTES=str(place / "notes")),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _begun(place: Path, count: int) -> bool:
    return sum(counted(place / "notes").values()) == count


def _run_of(place: Path) -> str:
    with closing(sqlite3.connect(place / ".daskflow/journal.db", timeout=60)) as database:
        (found,) = database.execute("SELECT id FROM runs ORDER BY created LIMIT 1").fetchone()
    return str(found)


def _of_run(place: Path, slurm: Slurm) -> set[str]:
    """Ids of all batch jobs of the run, as Slurm knows them."""
    lines = slurm.run("squeue", "-h", "--states=all", "-o", "%i %j").splitlines()
    return {line.split()[0] for line in lines if _run_of(place) in line}


def _errors(place: Path) -> list[tuple[str, str]]:
    """The failed attempts that are recorded."""
    with closing(sqlite3.connect(place / ".daskflow/journal.db", timeout=60)) as database:
        return database.execute("SELECT error_type, error_message FROM attempts WHERE state = 'failed'").fetchall()


@needs("lmp", "mpirun")
def test_a_program_on_two_nodes_stands_between_two_tasks_and_is_remembered(place: Path, slurm: Slurm) -> None:
    outcome = run(place, "melt.py:study")
    value = outcome["value"]
    assert re.fullmatch(r"[124] by [124] by [124] MPI processor grid", value["grid"])
    assert value["steps"]
    assert value["nodes"][:3] == ["2", "4", "2"]
    assert len(set(value["nodes"][3:])) == 2
    (submitted,) = _events(place, "batch.submitted")
    assert submitted["nodes"] == 2
    assert slurm.job(submitted["id"])["NumNodes"] == "2"
    again = run(place, "melt.py:study")
    assert (again["value"], ran(again)) == (value, set())
    assert len(_events(place, "batch.submitted")) == 1


def test_a_resumed_run_adopts_what_runs_and_submits_nothing_twice(place: Path, slurm: Slurm) -> None:
    notes = place / "notes"
    with _driver(place, "run", "gates.py:study") as driver:
        until(lambda: _begun(place, 4), 120)
        driver.kill()
    running = set(slurm.queued())
    assert len(running) == 3
    with _driver(place, "resume", _run_of(place)) as driver:
        until(lambda: len(_events(place, "batch.adopted")) == 3, 120)
        assert {data["id"] for data in _events(place, "batch.adopted")} == running
        assert set(slurm.queued()) == running
        (notes / "open").touch()
        text, _ = driver.communicate(timeout=120)
        assert driver.returncode == 0, text
    done = counted(notes)
    done.pop("open", None)
    assert done == {"first": 1, "gate-0": 1, "gate-1": 1, "gate-2": 1}
    assert _of_run(place, slurm) == {data["id"] for data in _events(place, "batch.submitted")}
    shown = json.loads(daskflow(place, "show", _run_of(place), "--json"))
    assert shown["run"]["state"] == "succeeded"


def test_a_result_of_a_time_without_driver_is_found(place: Path, slurm: Slurm) -> None:
    with _driver(place, "run", "gates.py:study") as driver:
        until(lambda: _begun(place, 4), 120)
        driver.kill()
    (place / "notes" / "open").touch()
    until(lambda: not slurm.queued(), 120)
    text = daskflow(place, "resume", _run_of(place), NOTES=str(place / "notes"))
    assert "105" in text
    submitted = {data["id"] for data in _events(place, "batch.submitted")}
    assert _of_run(place, slurm) == submitted
    assert len(submitted) == 4


def test_batch_jobs_of_a_cancelled_run_are_cancelled(place: Path, slurm: Slurm) -> None:
    with _driver(place, "run", "gates.py:study") as driver:
        until(lambda: _begun(place, 4), 120)
        daskflow(place, "cancel", _run_of(place))
        driver.communicate(timeout=120)
    until(lambda: not slurm.queued(), 60)
    states = {id: slurm.job(id)["JobState"] for id in _of_run(place, slurm)}
    assert sorted(states.values()) == ["CANCELLED"] * 3 + ["COMPLETED"]


def test_who_ends_a_batch_job_is_told_by_the_error_of_its_job(place: Path, slurm: Slurm) -> None:
    with _driver(place, "run", "gates.py:study", "--set", "n=1", "--json") as driver:
        until(lambda: _begun(place, 2), 120)
        (id,) = slurm.queued()
        slurm.run("scancel", id)
        text, _ = driver.communicate(timeout=120)
    assert driver.returncode == 1
    assert "daskflow.errors.Cancelled" in text
    assert f"batch job {id}: CANCELLED" in text


def test_a_walltime_that_is_over_is_told_by_the_error_of_its_job(place: Path, slurm: Slurm) -> None:
    with _driver(place, "run", "gates.py:study", "--set", "n=1", "--json") as driver:
        until(lambda: _begun(place, 2), 120)
        (id,) = slurm.queued()
        slurm.hurry(id)
        text, _ = driver.communicate(timeout=180)
    assert driver.returncode == 1
    assert "daskflow.errors.WalltimeExceeded" in text
    assert f"batch job {id}: TIMEOUT" in text


def test_a_prologue_that_fails_is_told_by_the_error_of_the_job(place: Path, slurm: Slurm) -> None:
    (place / "daskflow.yaml").write_text(SITE + "    prologue: [module load of-the-moon]\n")
    text = daskflow(place, "run", "gates.py:study", code=1, NOTES=str(place / "notes"))
    assert "StartupFailed" in text
    ((kind, message),) = _errors(place)
    assert kind == "daskflow.errors.StartupFailed"
    assert "a line of the prologue failed, with exit code 127" in message


def test_a_batch_job_is_submitted_again_when_its_node_fails(place: Path, slurm: Slurm) -> None:
    with _driver(place, "run", "gates.py:study", "--set", "n=1", "--json") as driver:
        until(lambda: _begun(place, 2), 120)
        (id,) = slurm.queued()
        slurm.fail(slurm.job(id)["NodeList"])
        until(lambda: _begun(place, 3), 120)
        (place / "notes" / "open").touch()
        text, _ = driver.communicate(timeout=120)
    assert driver.returncode == 0, text
    first, again = [data["id"] for data in _events(place, "batch.submitted") if data["job"].startswith("gate")]
    assert first == id
    assert {slurm.job(first)["JobState"], slurm.job(again)["JobState"]} == {"NODE_FAIL", "COMPLETED"}
    ((kind, message),) = _errors(place)
    assert kind == "daskflow.errors.NodeFailure"
    assert f"batch job {id}: NODE_FAIL" in message
