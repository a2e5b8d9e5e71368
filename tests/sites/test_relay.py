from __future__ import annotations

import os
import pickle
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from daskflow.errors import SiteError
from daskflow.sites import Node
from daskflow.sites.channel import CURRENT_CHANNEL
from daskflow.sites.cluster import ClusterSite
from daskflow.sites.clusters import local_cluster
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

    def told(self, records: int) -> bool:
        return len(self.records) == records

    def lost(self, key: str, reason: str, culprit: str) -> None:
        self.losses[key] = (reason, culprit)

    def tell(self, kind: str, data: str) -> None: ...

    def fail(self, error: Exception) -> None:
        self.errors.append(error)


def act(package: bytes, *values: Any) -> tuple[Any, bytes, bytes]:
    """Performs a package that is an expression."""
    names = {"values": values, "os": os, "time": time, "count": count, "signal": signal, "until": until}
    names["CURRENT_CHANNEL"] = CURRENT_CHANNEL
    value = eval(package.decode(), names)
    return value, package, pickle.dumps(value)


Opener = Callable[..., ClusterSite]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    sites = []

    def open_site(*, processes: bool, workers: int = 1, memory: str = "auto") -> ClusterSite:
        connect = local_cluster(workers=workers, threads=1, processes=processes, memory=memory, dashboard="")
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


def test_what_is_told_while_a_node_runs_comes_at_once_and_dask_keeps_none_of_it(opened: Opener, tmp_path: Path) -> None:
    for processes in (True, False):
        site, ear = opened(processes=processes), Ear()
        gate = tmp_path / f"gate-{processes}"
        tell = f"CURRENT_CHANNEL.get()(b'live') or until(lambda: os.path.exists({str(gate)!r})) or b'end'"
        site.submit([Node("a", tell.encode())], ["a"], ear, {})
        until(partial(ear.told, 1))
        assert ear.records == [b"live"]
        gate.touch()
        until(partial(ear.told, 2))
        assert not any(scheduler(site).get_events(topic) for topic in site._topics.values())


@pytest.mark.parametrize("processes", [True, False])
def test_a_node_that_was_released_while_it_ran_is_told_all_the_same(
    opened: Opener, tmp_path: Path, processes: bool
) -> None:
    site, ear = opened(processes=processes), Ear()
    gate = tmp_path / "gate"
    wait = f"until(lambda: os.path.exists({str(gate)!r}))".encode()
    site.submit([Node("a", wait)], ["a"], ear, {})
    until(lambda: site.running() == ["a"])
    site.release(["a"])
    until(lambda: not scheduler(site).tasks)
    # What ends before its worker has heard that nobody wants it is told in the usual way, and of no use to anybody.
    until(lambda: list(site.open().run(_state_of_a).values()) == ["cancelled"])
    gate.touch()
    until(lambda: ear.records == [wait])


def _state_of_a(dask_worker: Any) -> str:
    task = dask_worker.state.tasks.get("a")
    return str(task.state) if task is not None else ""


def _dying(boxes: str, death: str) -> bytes:
    note = f"__import__('daskflow.sites.blackbox', fromlist=['x']).black_box({boxes!r}).note('a', 'the job')"
    return f"{note} or {death}".encode()


@pytest.mark.parametrize(
    ("death", "reason"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "the last one was killed by SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "the last one was killed by SIGKILL, by somebody or by a machine"),
        ("os._exit(3)", "the last one exited with code 3"),
        ("len(bytearray(10**9)) and time.sleep(60)", "the last one was stopped because it used "),
    ],
)
def test_what_ended_a_worker_is_told(opened: Opener, tmp_path: Path, death: str, reason: str) -> None:
    site, ear = opened(processes=True, memory="600 MiB"), Ear()
    site.open()
    scheduler(site).allowed_failures = 1
    site.submit([Node("a", _dying(str(tmp_path / "boxes"), death))], ["a"], ear, {})
    until(lambda: ear.losses)
    assert ear.losses["a"][0].startswith(f"2 workers were lost while they performed it; {reason}")
    assert ear.losses["a"][1] == "the job"


def test_each_loss_of_a_worker_is_an_attempt_of_the_job_that_was_performed(opened: Opener, tmp_path: Path) -> None:
    site, ear = opened(processes=True), Ear()
    boxes, first = str(tmp_path / "boxes"), tmp_path / "first"
    once = f"os.path.exists({str(first)!r}) or open({str(first)!r}, 'w') and os.kill(os.getpid(), signal.SIGKILL)"
    package = _dying(boxes, once)
    site.submit([Node("a", package), Node("b", b"1")], ["a", "b"], ear, {})
    until(lambda: len(ear.records) == 3)
    (told,) = [record for record in ear.records if record not in (package, b"1")]
    (lost,) = pickle.loads(told)
    assert (lost.key, lost.state, lost.attempt, lost.final) == ("the job", "failed", 0, False)
    assert lost.failure is not None
    assert lost.failure.type == "daskflow.errors.WorkerLost"
    assert lost.failure.message.startswith("its worker was killed by SIGKILL")
    assert ear.records.index(told) < ear.records.index(package), "before the attempt that came after it"
    assert ear.losses == {}


def test_who_kills_its_worker_is_named(opened: Opener, tmp_path: Path) -> None:
    site, ear = opened(processes=True), Ear()
    boxes = str(tmp_path / "boxes")
    kill = _dying(boxes, "os.kill(os.getpid(), signal.SIGKILL)")
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
