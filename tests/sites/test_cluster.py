from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from distributed import LocalCluster

from daskflow.errors import SiteError
from daskflow.settings.options import SiteSettings
from daskflow.settings.parts import make_site
from daskflow.sites import Node, Site
from daskflow.sites.cluster import ClusterSite
from daskflow.sites.clusters import local_cluster, running_cluster
from tests.conftest import Lab
from tests.execution.counting import count, counted

NEAR = {"protocol": "tcp://", "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
"""Where a cluster of threads listens: its workers would everywhere."""


class Ear:
    """A listener that remembers what it was told."""

    def __init__(self) -> None:
        self.records: list[bytes] = []
        self.losses: list[tuple[str, str]] = []
        self._changed = threading.Condition()

    def performed(self, records: Sequence[bytes]) -> None:
        with self._changed:
            self.records.extend(records)
            self._changed.notify_all()

    def lost(self, key: str, reason: str, culprit: str) -> None:
        with self._changed:
            self.losses.append((key, reason))
            self._changed.notify_all()

    def tell(self, kind: str, data: str) -> None: ...

    def fail(self, error: Exception) -> None:
        raise AssertionError(error)

    def wait(self, records: int = 0, losses: int = 0) -> None:
        with self._changed:
            done = self._changed.wait_for(lambda: len(self.records) >= records and len(self.losses) >= losses, 60)
        assert done, (self.records, self.losses)


def echo(package: bytes, *values: Any) -> tuple[Any, bytes, bytes]:
    """Performs a package that is an expression of the values."""
    value = eval(package.decode(), {"values": values, "os": os})
    return value, pickle.dumps((package, value)), pickle.dumps(value)


@pytest.fixture
def boxes(tmp_path: Path) -> str:
    return str(tmp_path / "boxes")


@pytest.fixture(params=["processes", "threads"])
def site(request: pytest.FixtureRequest, boxes: str) -> Any:
    processes = request.param == "processes"
    connect = local_cluster(workers=1, threads=1, processes=processes, memory="auto", dashboard="")
    made = ClusterSite("a-site", connect, echo, pickle.loads, slots=1, boxes=boxes)
    yield made
    made.close()


def test_nodes_get_the_values_of_those_they_depend_on(site: Site) -> None:
    ear = Ear()
    nodes = [Node("a", b"1 + 1"), Node("b", b"values[0] * 10", ("a",)), Node("c", b"values", ("b", "a"))]
    site.submit(nodes, ["c"], ear, {})
    ear.wait(3)
    assert {pickle.loads(record) for record in ear.records} == {
        (b"1 + 1", 2),
        (b"values[0] * 10", 20),
        (b"values", (20, 2)),
    }
    site.submit([Node("d", b"sum(values[0])", ("c",))], ["d"], ear, {})
    ear.wait(4)
    assert pickle.loads(ear.records[-1]) == (b"sum(values[0])", 22)
    site.release(["c", "d"])
    site.leave(ear)


def test_a_site_opens_at_the_first_submit_and_can_be_used_again_after_it_was_closed(site: Site) -> None:
    assert site.running() == ()
    assert site.address() == ""
    for _ in range(2):
        ear = Ear()
        site.submit([Node("a", b"7")], ["a"], ear, {})
        ear.wait(1)
        site.close()


def test_workers_go_only_where_nothing_is_to_be_performed(site: Site) -> None:
    ear = Ear()
    site.submit([Node("a", b"1")], ["a"], ear, {})
    ear.wait(1)
    site.rest()
    assert site.address() or site.running() == [], "its value may be needed"
    site.submit([Node("b", b"values[0] + 1", ("a",))], ["b"], ear, {})
    ear.wait(2)
    site.release(["a", "b"])
    site.rest()
    assert site.running() == ()
    site.submit([Node("c", b"5")], ["c"], ear, {})
    ear.wait(3)
    assert pickle.loads(ear.records[-1]) == (b"5", 5)


def test_each_listener_hears_of_its_own_nodes(site: Site) -> None:
    ears = [Ear(), Ear()]
    for number, ear in enumerate(ears):
        site.submit([Node(f"n{number}", str(number).encode())], [f"n{number}"], ear, {})
    for number, ear in enumerate(ears):
        ear.wait(1)
        assert [pickle.loads(record)[1] for record in ear.records] == [number]


def test_a_package_that_cannot_be_performed_is_lost_with_its_reason(site: Site) -> None:
    ear = Ear()
    site.submit([Node("a", b"1 / 0"), Node("b", b"values", ("a",))], ["b"], ear, {})
    ear.wait(losses=2)
    assert {key for key, _ in ear.losses} == {"a", "b"}
    assert all("division by zero" in reason for _, reason in ear.losses)


def test_no_scheduler_at_the_address(boxes: str) -> None:
    site = ClusterSite("far", _refuse, echo, pickle.loads, slots=1, boxes=boxes)
    with pytest.raises(SiteError, match=r"'far' does not open: ConnectionRefusedError: nobody"):
        site.submit([Node("a", b"1")], ["a"], Ear(), {})


def _refuse() -> tuple[Any, Sequence[Any]]:
    raise ConnectionRefusedError("nobody listens")


def test_a_scheduler_that_runs_already(boxes: str) -> None:
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, **NEAR) as cluster:
        site = ClusterSite(
            "there", running_cluster(cluster.scheduler_address), echo, pickle.loads, slots=1, boxes=boxes
        )
        ear = Ear()
        site.submit([Node("a", b"6 * 7")], ["a"], ear, {})
        ear.wait(1)
        assert pickle.loads(ear.records[0])[1] == 42
        site.close()
        assert cluster.scheduler.status.name == "running"


@pytest.fixture
def fragile(lab: Lab) -> Any:
    """A laboratory with a process site of its own, whose workers may be killed."""
    site = make_site("local", SiteSettings(workers=2), str(lab.settings.logs / "boxes"))
    lab.project._sites["local"] = site
    yield lab
    site.close()


def test_a_killed_worker_costs_nothing_that_was_recorded(fragile: Lab, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    directory = str(notes)

    @fragile.task
    def quick(i: int) -> list[int]:
        count(directory, f"quick-{i}")
        return [i] * 10

    @fragile.task
    def slow(parts: list[list[int]], i: int) -> int:
        count(directory, f"pid-{os.getpid()}")
        while not os.path.exists(f"{directory}/go"):
            threading.Event().wait(0.01)
        return sum(map(sum, parts)) + i

    @fragile.flow(site="local")
    def study() -> Any:
        parts = [quick(i) for i in range(6)]
        return [slow(parts, i) for i in range(4)]

    run = study.submit()
    _until(lambda: len([n for n in counted(notes) if n.startswith("pid-")]) == 2)
    _until(lambda: sum(j.state.final for j in run.jobs) == 6)
    victim = int(next(n for n in counted(notes) if n.startswith("pid-")).removeprefix("pid-"))
    os.kill(victim, signal.SIGKILL)
    (notes / "go").touch()
    assert run.result(60) == [150, 151, 152, 153]
    performed = {name: times for name, times in counted(notes).items() if name.startswith("quick-")}
    assert performed == {f"quick-{i}": 1 for i in range(6)}, "a lost value is read again, not made again"
    attempts = fragile.project.journal.attempts(run.id)
    assert sorted(a.number for a in attempts if a.state == "succeeded") == list(range(10)), "each job is recorded once"
    (lost,) = [a for a in attempts if a.state == "failed"]
    assert (lost.attempt, lost.pid) == (1, victim)
    assert "killed by SIGKILL" in lost.error_message
    assert [a.attempt for a in attempts if a.number == lost.number] == [1, 2]


def test_a_job_that_kills_its_worker_fails_and_takes_nobody_along(fragile: Lab) -> None:
    @fragile.task
    def work(i: int) -> int:
        if i == 13:
            os.kill(os.getpid(), signal.SIGKILL)
        return i

    @fragile.flow(site="local")
    def study(n: int) -> Any:
        return [job.result(90, raise_on_failure=False) for job in [work(i) for i in range(n)]]

    results = study(40)
    assert [r for r in results if isinstance(r, int)] == [i for i in range(40) if i != 13]
    assert "WorkerLost" in str(results[13])


def _until(done: Any) -> None:
    pause = threading.Event()
    for _ in range(6000):
        if done():
            return
        pause.wait(0.01)
    raise AssertionError("waited for a minute")


def test_a_script_without_a_main_guard_does_not_start_itself_again(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from daskflow import flow, task\n"
        "print('top of the script')\n"
        "@task\n"
        "def double(x):\n    return 2 * x\n"
        "@flow\n"
        "def study(n: int):\n    return [double(i) for i in range(n)]\n"
        "print(study(3))\n"
    )
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout == "top of the script\n[0, 2, 4]\n", done.stderr
    assert done.stderr == ""


def test_the_scheduler_forgets_what_is_done(boxes: str) -> None:
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, **NEAR) as cluster:
        site = ClusterSite(
            "there", running_cluster(cluster.scheduler_address), echo, pickle.loads, slots=1, boxes=boxes
        )
        for turn in range(2):
            ear = Ear()
            nodes = [Node(f"{turn}-0", b"0")]
            nodes += [Node(f"{turn}-{i}", b"values[0] + 1", (f"{turn}-{i - 1}",)) for i in range(1, 30)]
            site.submit(nodes, [nodes[-1].key], ear, {})
            ear.wait(30)
            assert max(pickle.loads(record)[1] for record in ear.records) == 29
            site.release([nodes[-1].key])
            _until(lambda: not cluster.scheduler.tasks)
        site.close()


@pytest.mark.parametrize("processes", [True, False])
def test_its_address_is_that_of_its_dashboard(processes: bool, boxes: str) -> None:
    connect = local_cluster(workers=1, threads=1, processes=processes, memory="auto", dashboard="127.0.0.1:0")
    site = ClusterSite("a-site", connect, echo, pickle.loads, slots=1, boxes=boxes)
    try:
        site.open()
        assert site.address().startswith("http://127.0.0.1:")
        with urllib.request.urlopen(site.address(), timeout=30) as page:
            assert page.status == 200
    finally:
        site.close()


def test_the_nodes_of_a_run_stand_together_on_the_dashboard(site: ClusterSite) -> None:
    ear = Ear()
    site.submit([Node("a", b"1", run="one-run"), Node("b", b"2", run="one-run")], ["a", "b"], ear, {})
    ear.wait(records=2)
    assert site.open().run_on_scheduler(_spans) == {("one-run",)}


def _spans(dask_scheduler: Any) -> set[tuple[str, ...]]:
    return {span.name for span in dask_scheduler.extensions["spans"].spans.values()}
