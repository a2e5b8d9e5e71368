from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from daskflow.errors import BatchMissing, BatchRefused
from daskflow.sites.batch.steps import Ground, Steps, completed, ground
from daskflow.sites.batch.system import Ask, Phase
from tests.execution.patience import until
from tests.services.slurm import Slurm

_SRUN = """#!/bin/bash
echo "$@" >"$STEPS/srun-$ALLOCATION_STEP"
while [ "$1" != bash ]; do shift; done
exec "$@"
"""


@pytest.fixture
def steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Steps:
    """In a job of a Slurm whose srun starts everything here."""
    program = tmp_path / "srun"
    program.write_text(_SRUN)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("STEPS", str(tmp_path))
    monkeypatch.setenv("SLURM_JOB_ID", "42")
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", "2")
    monkeypatch.setenv("SLURM_JOB_CPUS_PER_NODE", "4(x2)")
    return Steps()


def _ask(directory: Path, count: int = 1) -> Ask:
    return Ask("pilot one", 2, 1 << 30, 60.0, str(directory / "logs" / "step-%s.log"), count=count)


def _ended(steps: Steps, *ids: str) -> bool:
    return all(standing.phase is Phase.ended for standing in steps.standings(ids).values())


def test_each_job_is_a_step_on_a_node(steps: Steps, tmp_path: Path) -> None:
    script = steps.script(_ask(tmp_path, 2), [f'echo "I am {steps.own_id}"', "exit ${FAIL:-0}"])
    ids = steps.submit(script, _ask(tmp_path, 2))
    assert len(ids) == 2
    until(lambda: _ended(steps, *ids))
    assert [(tmp_path / "logs" / f"step-{n}.log").read_text() for n in range(2)] == [f"I am {id}\n" for id in ids]
    called = (tmp_path / f"srun-{ids[0]}").read_text()
    assert "--nodes=1 --ntasks=1 --cpus-per-task=2 --mem=1024M --exact --job-name=pilot-one" in called
    assert {one.error for one in steps.certificates(ids).values()} == {""}
    assert list((tmp_path / "logs").glob(".step*")) == [], "nothing is left behind"
    assert steps.standings(["unknown"]) == {}
    assert steps.certificates(["unknown"]) == {}


def test_how_a_step_ended_is_told(steps: Steps, tmp_path: Path) -> None:
    (failed,) = steps.submit(steps.script(_ask(tmp_path), ["exit 7"]), _ask(tmp_path))
    (killed,) = steps.submit(steps.script(_ask(tmp_path), ["kill -9 $$"]), _ask(tmp_path))
    (endless,) = steps.submit(steps.script(_ask(tmp_path), ["touch $STEPS/began", "exec sleep 1000"]), _ask(tmp_path))
    until(lambda: _ended(steps, failed, killed) and (tmp_path / "began").exists())
    assert endless not in steps.certificates([endless])
    steps.cancel([endless, "unknown"])
    steps.cancel([endless])
    found = steps.certificates([failed, killed, endless])
    assert (found[failed].error, found[failed].exit_code) == ("WorkerLost", 7)
    assert (found[killed].error, found[killed].signal) == ("WorkerLost", 9)
    assert found[endless].error == "Cancelled"


def test_without_a_job_around_there_is_nothing(steps: Steps, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (limits,) = steps.limits()
    assert (limits.nodes, limits.cores) == (2, 4)
    steps.rehearse("")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BatchMissing, match="srun"):
        steps.alive()
    monkeypatch.delenv("SLURM_JOB_ID")
    assert ground() is None
    assert steps.limits() == []
    with pytest.raises(BatchRefused, match="runs in no job of Slurm"):
        steps.submit("", _ask(tmp_path))


def test_what_a_job_has_is_read_from_its_variables() -> None:
    told = {"SLURM_JOB_ID": "7", "SLURM_NNODES": "3", "SLURM_JOB_CPUS_PER_NODE": "8(x2),4", "SLURM_MEM_PER_CPU": "100"}
    assert ground(told) == Ground("7", 3, 4, 400 << 20, None)
    told |= {"SLURM_MEM_PER_NODE": "2000", "SLURM_JOB_END_TIME": "1700000000"}
    found = ground(told)
    assert found == Ground("7", 3, 4, 2000 << 20, 1.7e9)
    assert completed(found) is found


_WHERE = """
import os, time
from daskflow import flow, task

@task(cache=False)
def where(n: int):
    time.sleep(0.3)
    return os.environ["SLURMD_NODENAME"]

@flow(site="nodes")
def study():
    return [where(n) for n in range(12)]
"""


@pytest.mark.integration
def test_a_driver_in_an_allocation_computes_on_all_its_nodes(
    slurm: Slurm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    slurm.activate(monkeypatch)
    (tmp_path / "where.py").write_text(_WHERE)
    (tmp_path / "daskflow.yaml").write_text("sites: {nodes: {kind: allocation, interface: lo, worker_interface: lo}}\n")
    job = f"#!/bin/bash\ncd {tmp_path} && {sys.executable} -m daskflow run where.py:study --json >value 2>errors\n"
    (tmp_path / "job").write_text(job)
    options = ["--nodes=2", "--ntasks-per-node=1", "--cpus-per-task=2", "--mem=1500", "--time=5", "--output=/dev/null"]
    done = subprocess.run(["sbatch", "--wait", *options, str(tmp_path / "job")], check=False, timeout=280)
    assert done.returncode == 0, (tmp_path / "errors").read_text()
    assert len(set(json.loads((tmp_path / "value").read_text())["value"])) == 2
