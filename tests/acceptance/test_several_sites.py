"""One run over several sites: two partitions of a Slurm and this machine; one that is down holds only its own jobs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.shell import daskflow, environment
from tests.execution.patience import until
from tests.services.ports import free_port
from tests.services.slurm import Slurm

pytestmark = pytest.mark.integration

_FLOWS = '''
import os
import numpy as np
from daskflow import flow, site, task

@task
def make(n: int):
    return np.arange(n, dtype=float), os.environ.get("SLURM_JOB_PARTITION", "here")

@task
def double(made):
    values, place = made
    return 2 * values, [place, os.environ.get("SLURM_JOB_PARTITION", "here")]

@task
def total(pairs):
    return [[float(values.sum()), places] for values, places in pairs], os.environ.get("SLURM_JOB_PARTITION", "here")

@flow(site="here")
def study(n: int = 200_000):
    """The one of 1.6 MB crosses by the artifact store, the small one by the driver."""
    with site("debug"):
        sources = [make(n), make(3)]
    return total([double(source, site="main") for source in sources])

@flow(site="here")
def lame():
    near = [make(n) for n in (1, 2, 3)]
    far = make(4, site="far")
    return [len(made[0]) for made in [*[job.result() for job in near], far.result()]]
'''
_SITES = """
sites:
  here: {kind: processes, workers: 1}
  debug: {kind: slurm, queue: debug, cores: 1, memory: 512 MiB, walltime: 5 min, max_pilots: 1, interface: lo,
          worker_interface: lo}
  main: {kind: slurm, queue: main, cores: 2, memory: 1 GiB, walltime: 5 min, max_pilots: 1, interface: lo,
         worker_interface: lo}
  far: {kind: dask, address: "tcp://127.0.0.1:%d"}
"""


@pytest.fixture
def project(tmp_path: Path, slurm: Slurm, monkeypatch: pytest.MonkeyPatch) -> Path:
    slurm.activate(monkeypatch)
    (tmp_path / "flows.py").write_text(_FLOWS)
    (tmp_path / "daskflow.yaml").write_text(_SITES % 1)
    return tmp_path


def test_results_cross_between_partitions_and_this_machine(project: Path) -> None:
    made = json.loads(daskflow(project, "run", "flows.py:study", "--json"))
    pairs, where = made["value"]
    assert where == "here"
    assert pairs == [
        [float(200_000 * 199_999), ["debug", "main"]],
        [6.0, ["debug", "main"]],
    ]
    again = json.loads(daskflow(project, "run", "flows.py:study", "--json"))
    assert {state for states in again["counts"].values() for state in states} == {"cached"}
    pilots = json.loads(daskflow(project, "show", made["run"], "--json"))["pilots"]
    assert {pilot["site"] for pilot in pilots} == {"debug", "main"}


_SCHEDULER = """
import sys
from distributed import LocalCluster

if __name__ == "__main__":
    port = int(sys.argv[1])
    near = {"scheduler_port": port, "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(n_workers=1, threads_per_worker=1, **near) as cluster:
        print(cluster.scheduler.port, flush=True)
        sys.stdin.read()
"""


def _cluster(project: Path, port: int) -> subprocess.Popen[str]:
    """A cluster that is there until its standard input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", _SCHEDULER, str(port)],
        cwd=project,
        env=environment(PYTHONPATH=str(project)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert int(process.stdout.readline()) == port
    return process


def test_a_site_that_is_down_holds_only_its_own_jobs_until_it_is_there(project: Path) -> None:
    port = free_port()
    (project / "daskflow.yaml").write_text(_SITES % port)
    run = subprocess.Popen(
        [sys.executable, "-m", "daskflow", "run", "flows.py:lame", "--json"],
        cwd=project,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    until((project / ".daskflow" / "journal.db").exists)

    def near() -> bool:
        shown = json.loads(daskflow(project, "show", "last", "--json"))
        told = {event["kind"] for event in shown["events"]}
        return shown["counts"].get("make", {}).get("succeeded") == 3 and "site.down" in told

    until(lambda: (project / ".daskflow" / "journal.db").stat().st_size and near(), 120.0)
    assert run.poll() is None, "it waits for the other site"
    cluster = _cluster(project, port)
    try:
        out, _ = run.communicate(timeout=240)
    finally:
        run.kill()
        cluster.communicate("")
    made = json.loads(out)
    assert made["error"] == ""
    assert made["value"] == [1, 2, 3, 4]
    kinds = [event["kind"] for event in json.loads(daskflow(project, "show", "last", "--json"))["events"]]
    assert kinds.index("site.down") < kinds.index("site.up")
