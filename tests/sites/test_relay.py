from __future__ import annotations

import os
import pickle
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from daskflow.errors import SiteError
from daskflow.sites import Node
from daskflow.sites.cluster import ClusterSite, local_cluster
from daskflow.sites.relay import NAME
from tests.execution.counting import count, counted
from tests.execution.patience import until


class Ear:
    def __init__(self) -> None:
        self.records: list[bytes] = []
        self.batches = 0
        self.losses: dict[str, tuple[str, str]] = {}
        self.errors: list[Exception] = []

    def performed(self, records: Sequence[bytes]) -> None:
        self.batches += 1
        self.records.extend(records)

    def lost(self, key: str, reason: str, culprit: str) -> None:
        self.losses[key] = (reason, culprit)

    def fail(self, error: Exception) -> None:
        self.errors.append(error)


def act(package: bytes, *values: Any) -> tuple[Any, bytes, bytes]:
    """Performs a package that is an expression."""
    names = {"values": values, "os": os, "time": time, "count": count, "signal": signal, "until": until}
    value = eval(package.decode(), names)
    return value, package, pickle.dumps(value)


Opener = Callable[..., ClusterSite]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    sites = []

    def open_site(*, processes: bool, workers: int = 1) -> ClusterSite:
        connect = local_cluster(workers=workers, threads=1, processes=processes, memory="auto", dashboard="")
        sites.append(ClusterSite("here", connect, act, pickle.loads, slots=1, boxes=str(tmp_path / "boxes")))
        return sites[-1]

    yield open_site
    for site in sites:
        site.close()


def scheduler(site: ClusterSite) -> Any:
    return site._closing[0].scheduler


def relay(site: ClusterSite) -> Any:
    return scheduler(site).plugins[NAME]


def test_records_travel_in_batches(opened: Opener) -> None:
    site, ear = opened(processes=False), Ear()
    nodes = [Node(f"n{n}", str(n).encode()) for n in range(300)]
    site.submit(nodes, [node.key for node in nodes], ear, {})
    until(lambda: len(ear.records) == 300)
    assert sorted(map(int, ear.records)) == list(range(300))
    assert ear.batches < 150
    site.release([node.key for node in nodes])
    until(lambda: not relay(site)._again)
    assert not scheduler(site).tasks
    assert not any(scheduler(site).get_events(topic) for topic in site._topics.values()), "dask keeps no record"


def test_dask_keeps_nothing_of_the_records(opened: Opener) -> None:
    site, ear = opened(processes=False), Ear()
    site.submit([Node("a", b"'x' * 1000")], ["a"], ear, {})
    until(lambda: ear.records)
    assert not scheduler(site).tasks["a"].metadata


def test_a_node_that_raises_is_lost_with_all_that_depend_on_it(opened: Opener) -> None:
    site, ear = opened(processes=False), Ear()
    nodes = [Node("a", b"1"), Node("b", b"1 / 0", ("a",)), Node("c", b"2", ("b",)), Node("d", b"3", ("a",))]
    site.submit(nodes, ["c", "d"], ear, {})
    until(lambda: len(ear.losses) == 2 and len(ear.records) == 2)
    assert {key: culprit for key, (_, culprit) in ear.losses.items()} == {"b": "", "c": ""}
    assert all("division by zero" in reason for reason, _ in ear.losses.values())


def test_a_listener_that_left_hears_nothing(opened: Opener) -> None:
    site, ear = opened(processes=False), Ear()
    site.submit([Node("a", b"1")], ["a"], ear, {})
    until(lambda: ear.records)
    other = Ear()
    site.submit([Node("b", b"time.sleep(0.2)")], ["b"], ear, {})
    site.leave(ear)
    site.submit([Node("c", b"1", ("b",))], ["c"], other, {})
    until(lambda: other.records)
    assert len(ear.records) == 1
    site.leave(ear)


def test_values_of_a_killed_worker_are_loaded_again_not_made_again(opened: Opener, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    site, ear = opened(processes=True), Ear()
    made = f"count({str(notes)!r}, 'made') or ['value', os.getpid()]".encode()
    site.submit([Node("a", made), Node("b", b"values[0]", ("a",))], ["b"], ear, {})
    until(lambda: len(ear.records) == 2)
    (worker,) = scheduler(site).workers.values()
    os.kill(worker.pid, signal.SIGKILL)
    site.submit([Node("c", b"[*values[0], os.getpid()]", ("b",)), Node("d", b"values", ("c",))], ["d"], ear, {})
    until(lambda: len(ear.records) == 4)
    assert counted(notes) == {"made": 1}
    assert ear.losses == {}


def test_who_kills_its_worker_is_named(opened: Opener, tmp_path: Path) -> None:
    site, ear = opened(processes=True), Ear()
    boxes = str(tmp_path / "boxes")
    kill = (
        "__import__('daskflow.sites.blackbox', fromlist=['x'])"
        f".black_box({boxes!r}).note('a', 'the job') or os.kill(os.getpid(), signal.SIGKILL)"
    ).encode()
    site.submit([Node("a", kill), Node("b", b"1")], ["a", "b"], ear, {})
    until(lambda: ear.losses and ear.records)
    assert ear.losses["a"][1] == "the job"
    assert list(ear.losses) == ["a"], "the one that only waited is performed"


def test_tasks_that_are_cancelled_at_the_scheduler_are_told(opened: Opener, tmp_path: Path) -> None:
    site, ear, bystander = opened(processes=False), Ear(), Ear()
    gate = tmp_path / "gate"
    site.submit([Node("quick", b"1")], ["quick"], bystander, {})
    until(lambda: bystander.records)
    slow = Node("slow", f"until(lambda: os.path.exists({str(gate)!r}))".encode())
    site.submit([slow, Node("next", b"1", ("slow",))], ["next"], ear, {})
    site.open().cancel([site._futures["next"]], force=True)
    until(lambda: ear.errors)
    assert isinstance(ear.errors[0], SiteError)
    assert ear.errors[0].transient
    assert bystander.errors == []
    gate.touch()


def test_a_scheduler_that_is_gone_is_told_and_the_site_opens_again(opened: Opener) -> None:
    site, ear = opened(processes=False), Ear()
    site.submit([Node("a", b"1"), Node("b", b"1")], ["a", "b"], ear, {})
    until(lambda: len(ear.records) == 2)
    site.open().close()
    until(lambda: ear.errors)
    until(lambda: site._client is None)
    again = Ear()
    site.submit([Node("a", b"2")], ["a"], again, {})
    until(lambda: again.records)
    assert again.errors == []


@pytest.mark.parametrize("processes", [True, False])
def test_workers_that_gave_up_are_started_anew(opened: Opener, processes: bool) -> None:
    site, ear = opened(processes=processes), Ear()
    site.submit([Node("a", b"1")], ["a"], ear, {})
    until(lambda: ear.records)
    (cluster,) = site._closing
    (worker,) = cluster.workers.values()
    cluster.sync(worker.close)
    site.submit([Node("b", b"1")], ["b"], ear, {})
    until(lambda: len(ear.records) == 2)
    assert ear.errors == []
