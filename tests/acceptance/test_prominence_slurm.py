"""PROMINENCE jobs on a real Slurm with a real S3 store: the processes that perform them are batch jobs as well."""

from __future__ import annotations

import json
import os
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from daskflow.compat.prominence import (
    Artifact,
    Dependency,
    InputFile,
    JobPolicies,
    ParameterSet,
    ParameterSweep,
    ProminenceClient,
    Resources,
    Workflow,
    WorkflowPolicies,
    starting,
)
from daskflow.settings.front import launcher
from tests.compat.prominence.jobs import made
from tests.execution.patience import alive, until
from tests.services.images import make_rootfs
from tests.services.programs import needs
from tests.services.s3 import S3
from tests.services.slurm import Slurm

pytestmark = [pytest.mark.acceptance, pytest.mark.integration]

_LONG = 120.0
"""More than anything here takes [s]."""
_POOL = {"queue": "main", "cores": 2, "memory": "1 GiB", "walltime": "10 min", "nodes": 2}
_SITE = {"kind": "slurm", **_POOL, "interface": "lo", "shipping": False, "poll": "1 s"}


@pytest.fixture(autouse=True)
def here(slurm: Slurm, s3: S3, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    launcher.close()
    slurm.activate(monkeypatch)
    configured = {
        "site": "hpc",
        "sites": {"hpc": _SITE},
        "artifacts": s3.url(prefix),
        "storage": s3.options,
        "containers": ["charliecloud", "bubblewrap"],
    }
    # What JSON is, YAML is too.
    (tmp_path / "daskflow.yaml").write_text(json.dumps(configured))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(starting.SITE, "hpc")
    launcher.project()
    yield tmp_path
    slurm.clear()
    launcher.close()


@needs("ch-run")
def test_a_job(here: Path, slurm: Slurm) -> None:
    make_rootfs(here / "image", ["sh", "cat", "wc", "cp", "mkdir"])
    data = os.urandom(300_000)
    (here / "large.dat").write_bytes(data)
    artifact = Artifact("large.dat", "large.dat", "/data/large")
    artifact.upload(here / "large.dat")
    job = made(
        "/bin/sh -c 'cat small /etc/image; wc -c < /data/large; mkdir plots; cp large.dat plots/out'",
        "/bin/sh -c 'echo on $SLURM_CLUSTER_NAME; echo oh >&2; exit 3'",
        "echo never",
    )
    job.tasks[0].image = "./image"
    job.input_files.append(InputFile("small", "small\n"))
    job.artifacts.append(artifact)
    job.output_files, job.output_directories = ["plots/o*"], ["plots"]
    job.policies = JobPolicies(placement={"requirements": {"sites": ["hpc"]}})
    job.create()
    assert job.wait(_LONG)
    assert (job.status, job.status_reason) == ("failed", "Task 1 ended with exit code 3"), job.error
    first, second = job.stdout().split("on ")
    assert first == "small\na small image\n300000\n"
    assert second.strip() != "", "the node itself has the variables of the batch job"
    assert job.stderr() == "oh\n"
    assert [task["exitCode"] for task in job.execution["tasks"]] == [0, 3]
    assert job.execution["host"] in slurm.nodes
    assert job.get_output_file("plots/out", text=False) == data
    job.get_output_directory("plots", save_as=here / "saved")
    assert (here / "saved" / "out").read_bytes() == data


@needs("mpirun")
def test_a_workflow(here: Path, slurm: Slurm) -> None:
    part = made("/bin/sh -c 'echo $x > part-$x; cat part-$x'", name="part", output_files=["part-$x"])
    total = made("echo total", name="total")
    again = made("/bin/sh -c 'test -e a || { touch a; exit 1; }; echo in the same place'", name="again")
    again.policies = JobPolicies(maximum_task_retries=1)
    anew = made(f"/bin/sh -c 'test ! -e a; touch a; echo >> {here}/anew; test $(wc -l < {here}/anew) = 3'", name="anew")
    wide = made(
        "/bin/sh -c 'echo $OMPI_COMM_WORLD_RANK $SLURMD_NODENAME'", "srun --ntasks-per-node=1 true", name="wide"
    )
    wide.resources = Resources(nodes=2, cpus=2)
    wide.tasks[0].type = "openmpi"
    never = made("true", name="never", resources=Resources(cpus=3))
    after = made("true", name="after")
    whole = Workflow()
    whole.name, whole.jobs = "whole", [part, total, again, anew, wide, never, after]
    whole.policies = WorkflowPolicies(maximum_retries=2)
    whole.factories = [ParameterSweep("xs", [part], [ParameterSet("x", 0, 0.2, 0.1)])]
    whole.dependencies = [Dependency(part, [total]), Dependency(never, [after])]
    whole.create()
    assert whole.wait(_LONG)
    told = {job.name.removeprefix("whole/"): (job.status, job.status_reason) for job in whole.get_jobs()}
    assert {name: status for name, (status, _) in told.items()} == {
        **dict.fromkeys(("part/0", "part/1", "part/2", "total", "again", "anew", "wide"), "completed"),
        "never": "failed",
        "after": "deleted",
    }, [job.error for job in whole.get_jobs()]
    assert told["never"][1] == "No matching resources"
    assert "lacks 3 cores (it has 2)" in never.error
    assert whole.progress == {"total": 9, "done": 7, "failed": 1, "queued": 0, "waiting": 1}
    assert [job.stdout() for job in whole.get_jobs("part")] == ["0\n", "0.1\n", "0.2\n"]
    assert whole.get_jobs("part")[1].get_output_file("part-0.1") == "0.1\n"
    ends = [job.events.end for job in whole.get_jobs("part")]
    assert total.events.start is not None
    assert all(end is not None and end <= total.events.start for end in ends)
    assert again.stdout() == "in the same place\n"
    assert (here / "anew").read_text() == "\n" * 3
    ranks = dict([line.split() for line in wide.stdout().splitlines()])
    assert sorted(ranks) == ["0", "1", "2", "3"]
    assert sorted(Counter(ranks.values()).values()) == [2, 2], "each node has equally many"


def test_what_runs_is_looked_at_and_deleted(here: Path, slurm: Slurm) -> None:
    pids = here / "pids"
    job = made(f"/bin/sh -c 'mkdir d; echo one > d/x; echo $$ >> {pids}; echo begun; sleep 1000'")
    job.create()
    until(lambda: job.status == "running" and job.stdout() == "begun\n", _LONG)
    assert job.execute("/bin/sh -c 'cat d/x; echo $PROMINENCE_JOB_ID'") == f"one\n{job.id}\n"
    job.get_snapshot("d", save_as=here / "d")
    assert (here / "d" / "x").read_text() == "one\n"
    client = ProminenceClient()
    client.create_snapshot(str(job.id), "d/x")
    with urllib.request.urlopen(client.get_snapshot_url(str(job.id))) as answer:
        assert answer.read() == b"one\n"
    assert job.delete()
    assert not alive(int(pids.read_text()))
    assert (job.status, job.status_reason) == ("deleted", "Job deleted by user")
    until(lambda: slurm.queued() == [], _LONG)


def test_a_process_that_the_batch_system_ends(here: Path, slurm: Slurm) -> None:
    pids = here / "pids"
    job = made(f"/bin/sh -c 'echo $$ >> {pids}; sleep 1000'")
    job.create()
    until(lambda: job.status == "running" and pids.exists() and pids.read_text(), _LONG)
    process = starting.services("hpc").get(f"prominence-job-{job.id}")
    slurm.run("scancel", process.id)
    assert job.wait(_LONG)
    assert (job.status, job.status_reason) == ("failed", "Job was evicted")
    until(lambda: not alive(int(pids.read_text())), _LONG)
