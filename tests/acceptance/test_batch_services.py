"""Services on a real Slurm: spawned, watched, killed and found again by name."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from daskflow import Site
from daskflow.errors import BatchRefused, BatchSilent
from daskflow.sites.batch.service import Progress, ServiceState
from daskflow.sites.batch.services import Services
from tests.acceptance.shell import daskflow, environment
from tests.execution.patience import until
from tests.services.images import make_rootfs
from tests.services.programs import needs
from tests.services.slurm import Slurm
from tests.services.slurmcalls import SlurmCalls

pytestmark = [pytest.mark.acceptance, pytest.mark.integration]

_LONG = 120.0
"""Whatever is slow: a job waits half a minute for its turn where many were submitted [s]."""
_SITE: dict[str, Any] = {
    "kind": "slurm",
    "shipping": False,
    "poll": "1 s",
    "pools": {
        "main": {"queue": "main", "cores": 2, "memory": "1 GiB", "walltime": "10 min", "nodes": 2},
        "later": {
            "queue": "main",
            "cores": 1,
            "memory": "1 GiB",
            "walltime": "10 min",
            "directives": ["--begin=now+1hour"],
        },
    },
}


@pytest.fixture
def open_site(slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Services]]:
    """Opens the site `hpc`, as a new process would."""
    slurm.activate(monkeypatch)
    monkeypatch.chdir(tmp_path)

    def open_again(**changes: Any) -> Services:
        # What JSON is, YAML is too.
        (tmp_path / "daskflow.yaml").write_text(json.dumps({"sites": {"hpc": {**_SITE, **changes}}}))
        return Site("hpc").batch

    yield open_again
    slurm.clear()


@pytest.fixture
def hpc(open_site: Callable[..., Services]) -> Services:
    return open_site()


def test_services_run_on_nodes(hpc: Services, slurm: Slurm, tmp_path: Path) -> None:
    spawned = hpc.spawn("echo $OWN $DASKFLOW_INDEX; exit $DASKFLOW_INDEX", name="x", count=2, env={"OWN": "a"}, cores=2)
    seen: list[Progress] = []
    done = hpc.monitor("^x-", on_progress=seen.append, timeout=_LONG)
    assert (done.completed, done.failed) == (1, 1)
    assert all(sum(progress.percent.values()) == 100 for progress in seen)
    assert [service.logs() for service in spawned] == ["a 0\n", "a 1\n"]
    assert spawned[0].standing().node in slurm.nodes
    assert slurm.job(spawned[0].id)["NumCPUs"] == "2"
    assert hpc.prune() == ["x-0"]
    assert hpc.kill_failed() == ["x-1"]


def test_who_comes_back_finds_services_whose_spawner_was_killed(hpc: Services, slurm: Slurm, tmp_path: Path) -> None:
    code = """
import os, signal
from daskflow import Site
Site("hpc").batch.spawn("until [ -e go ]; do sleep 0.1; done; echo went", name="x")
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    (found,) = hpc.ls()
    assert slurm.job(found.id)["JobName"] == "x"
    (tmp_path / "go").touch()
    assert hpc.get("x").wait(_LONG).state is ServiceState.completed
    assert hpc.logs("x") == "went\n"


def test_a_service_that_waits_is_killed_and_one_of_a_like_name_is_not(hpc: Services, slurm: Slurm) -> None:
    first, second = (hpc.spawn("true", name=name, pool="later") for name in ("x", "xx"))
    assert first.kill()
    assert (first.state, second.state) == (ServiceState.killed, ServiceState.pending)
    assert slurm.queued() == [second.id]


def test_a_service_that_runs_is_dead_when_its_killing_is_told(hpc: Services, slurm: Slurm) -> None:
    service = hpc.spawn(["sleep", "600"], name="x")
    until(lambda: service.state is ServiceState.running, _LONG)
    assert service.kill()
    assert service.state is ServiceState.killed
    until(lambda: slurm.queued() == [], _LONG)


def test_slurm_says_why_a_service_ended_that_could_not_say_it(hpc: Services, slurm: Slurm) -> None:
    line = "trap 'echo saving; exit 0' TERM; sleep 600 & wait"
    services = {name: hpc.spawn(line, name=name) for name in ("late", "cancelled", "on-a-bad-node")}
    until(lambda: set(hpc.states().values()) == {ServiceState.running}, _LONG)
    slurm.run("scancel", services["cancelled"].id)
    node = services["on-a-bad-node"].standing().node
    slurm.hurry(services["late"].id)
    found = {name: services[name].wait(_LONG) for name in ("late", "cancelled")}
    slurm.fail(node)
    found["on-a-bad-node"] = services["on-a-bad-node"].wait(_LONG)
    assert {one.state for one in found.values()} == {ServiceState.failed}
    assert {name: one.error for name, one in found.items()} == {
        "late": "WalltimeExceeded",
        "cancelled": "Cancelled",
        "on-a-bad-node": "NodeFailure",
    }
    assert "saving" in services["late"].logs()


def test_a_service_that_uses_too_much_is_told_so(hpc: Services) -> None:
    code = "import time; x = bytearray(400 << 20); x[::4096] = b'1' * len(x[::4096]); time.sleep(600)"
    found = hpc.spawn([sys.executable, "-c", code], name="x", memory="200 MiB").wait(_LONG)
    assert (found.state, found.error) == (ServiceState.failed, "OutOfMemory")


def test_a_service_spans_nodes(hpc: Services) -> None:
    service = hpc.spawn(
        "srun --mpi=none sh -c 'echo $SLURMD_NODENAME'; echo $DASKFLOW_NODES", name="x", nodes=2, tasks=2
    )
    assert service.wait(_LONG).state is ServiceState.completed
    *nodes, count = service.logs().split()
    assert (len(set(nodes)), count) == (2, "2")


def test_what_will_never_start_is_told_and_removed(hpc: Services, slurm: Slurm) -> None:
    service = hpc.spawn("true", name="x", queue="debug", walltime="1 h")
    until(lambda: service.standing().hopeless, _LONG)
    assert service.standing().reason.startswith("Partition")
    assert hpc.monitor(timeout=_LONG).failed == 1
    assert hpc.kill_failed() == ["x"]
    assert slurm.queued() == []


def test_what_slurm_refuses_leaves_nothing(hpc: Services, slurm: Slurm) -> None:
    with pytest.raises(BatchRefused, match="partition"):
        hpc.spawn("true", name="x", queue="nowhere", count=3)
    assert hpc.ls() == []
    assert slurm.queued() == []


def test_services_go_on_while_slurm_is_down(hpc: Services, slurm: Slurm, tmp_path: Path) -> None:
    service = hpc.spawn("until [ -e go ]; do sleep 0.1; done", name="x")
    until(lambda: service.state is ServiceState.running, _LONG)
    slurm.down()
    try:
        with pytest.raises(BatchSilent):
            hpc.spawn("true", name="y")
        (tmp_path / "go").touch()
        assert service.wait(_LONG).state is ServiceState.completed
        assert hpc.states()["y"] is ServiceState.killed
        said = daskflow(tmp_path, "batch", "ls", "--site", "hpc")
        assert "completed" in said
    finally:
        slurm.up()
    # The name of what was not spawned is free.
    assert hpc.spawn("true", name="y").wait(_LONG).state is ServiceState.completed


def test_slurm_is_asked_seldom_however_many_there_are(
    open_site: Callable[..., Services], slurm_calls: SlurmCalls
) -> None:
    hpc = open_site(poll="5 min")
    hpc.spawn("sleep 1", name="x", count=12, cores=1, memory="100 MiB")
    assert hpc.monitor("^x-", timeout=_LONG).completed == 12
    hpc.states()
    counts = slurm_calls.counts()
    assert counts["sbatch"] == 12
    assert counts.get("squeue", 0) <= 1
    assert counts.get("sacct", 0) + counts.get("scontrol", 0) <= 1


@needs("bwrap")
def test_a_service_runs_in_an_image(open_site: Callable[..., Services], tmp_path: Path) -> None:
    make_rootfs(tmp_path / "rootfs")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_text("of the host\n")
    hpc = open_site(containers=["bubblewrap"])
    line = "cat /etc/image /mnt/file; echo $OWN > made"
    service = hpc.spawn(line, name="x", image="./rootfs", binds=[f"{tmp_path}/data:/mnt"], env={"OWN": "own"})
    assert service.wait(_LONG).state is ServiceState.completed
    assert service.logs() == "a small image\nof the host\n"
    assert (tmp_path / "made").read_text() == "own\n"


@pytest.mark.parametrize("kind", ["sge", "pbs"])
def test_other_batch_systems_do_the_same(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request.getfixturevalue(kind).activate(monkeypatch)
    monkeypatch.chdir(tmp_path)
    site = {"kind": kind, "shipping": False, "poll": "1 s", "cores": 2, "memory": "512 MiB", "walltime": "10 min"}
    (tmp_path / "daskflow.yaml").write_text(json.dumps({"sites": {"hpc": site}}))
    batch = Site("hpc").batch
    batch.spawn("echo $OWN $DASKFLOW_INDEX; exit $DASKFLOW_INDEX", name="x", count=2, env={"OWN": "a"})
    killed, cancelled = (batch.spawn(["sleep", "600"], name=name) for name in ("killed", "cancelled"))
    try:
        done = batch.monitor("^x-", timeout=_LONG)
        assert (done.completed, done.failed) == (1, 1)
        assert [batch.logs(f"x-{number}") for number in range(2)] == ["a 0\n", "a 1\n"]
        until(lambda: killed.state == cancelled.state == ServiceState.running, _LONG)
        assert killed.kill()
        subprocess.run(["qdel", cancelled.id], check=True, capture_output=True)
        assert cancelled.wait(_LONG).state is ServiceState.failed
        assert batch.prune() == ["killed", "x-0"]
        assert batch.kill_failed() == ["cancelled", "x-1"]
    finally:
        for one in batch.ls():
            batch.kill(one.name)
