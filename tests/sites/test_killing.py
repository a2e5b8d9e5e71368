from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from daskflow.execution.worker.perform import load_again, perform
from daskflow.sites import Node
from daskflow.sites.cluster import ClusterSite
from daskflow.sites.clusters import local_cluster
from daskflow.sites.site import DEAD_UPSTREAM
from tests.execution.patience import alive, until
from tests.sites import deeds
from tests.sites.deeds import Deeds, Ear, noted

Opener = Callable[..., ClusterSite]


def _many(path: Path, count: int) -> bool:
    return len(noted(path)) == count


@pytest.fixture
def make(tmp_path: Path) -> Deeds:
    return Deeds(tmp_path)


@pytest.fixture
def opened(make: Deeds) -> Iterator[Opener]:
    sites = []

    def open_site(*, processes: bool = True, workers: int = 1, threads: int = 1) -> ClusterSite:
        connect = local_cluster(workers=workers, threads=threads, processes=processes, memory="auto", dashboard="")
        sites.append(ClusterSite("here", connect, perform, load_again, slots=1, boxes=make.boxes))
        return sites[-1]

    yield open_site
    deeds.GATE.set()
    for site in sites:
        site.close()
    deeds.GATE.clear()


def submit(site: ClusterSite, ear: Ear, *nodes: Node) -> None:
    site.submit(nodes, [node.key for node in nodes], ear, {})


def workers_of(site: ClusterSite) -> set[int]:
    return {worker.pid for worker in site._closing[0].scheduler.workers.values()}


def goes_on(site: ClusterSite, make: Deeds, ear: Ear) -> None:
    """The slot of what was killed performs the next node."""
    submit(site, ear, make.node("next", abs, -3))
    until(lambda: ear.states.get("next") == "succeeded")


@pytest.mark.parametrize("processes", [True, False])
def test_what_has_not_begun_is_taken_back(opened: Opener, make: Deeds, tmp_path: Path, processes: bool) -> None:
    site, ear, gate, began = opened(processes=processes), Ear(), tmp_path / "gate", tmp_path / "began"
    submit(site, ear, make.node("held", deeds.wait_for, str(gate), str(began)))
    until(partial(noted, began))
    nodes = [*(make.node(f"n{i}", abs, -i) for i in range(20)), make.after("last", "held")]
    keys = {node.key for node in nodes}
    submit(site, ear, *nodes)
    assert site.recall(["held", *keys, "unknown"]) == {*keys, "unknown"}
    gate.touch()
    goes_on(site, make, ear)
    assert ear.states == {"held": "succeeded", "next": "succeeded"}


def test_what_had_begun_when_others_were_taken_back_may_be_performed_anew(
    opened: Opener, make: Deeds, tmp_path: Path
) -> None:
    site, ear, gate, began = opened(workers=2), Ear(), tmp_path / "gate", tmp_path / "began"
    site.submit(
        [make.node("held", deeds.wait_for, str(gate), str(began)), make.after("last", "held")], ["last"], ear, {}
    )
    until(partial(noted, began))
    assert site.recall(["held", "last"]) == {"last"}
    (pid,) = noted(began)
    os.kill(pid, signal.SIGKILL)
    until(partial(_many, began, 2))
    gate.touch()
    until(lambda: ear.states.get("held") == "succeeded")
    assert "last" not in ear.states


def test_of_a_graph_only_what_depends_on_killed_nodes_is_lost(opened: Opener, make: Deeds) -> None:
    site, ear = opened(), Ear()
    submit(site, ear, make.node("first", abs, -1))
    until(lambda: ear.states.get("first") == "succeeded")
    assert site.kill(["first"]) == {"first"}
    submit(site, ear, make.after("second", "first"), make.node("third", abs, -3), make.after("fourth", "second"))
    until(lambda: len(ear.losses) == 2 and "third" in ear.states)
    assert set(ear.losses) == {"second", "fourth"}
    assert ear.states["third"] == "succeeded"


@pytest.mark.parametrize(
    ("deed", "limits", "outcome"),
    [
        (deeds.loop, {}, (1, True)),
        (deeds.loop_beside_a_program, {}, (2, True)),
        (deeds.compiled, {}, (1, False)),
        (deeds.program, {}, (3, False)),
        (deeds.stubborn, {"isolated": True}, (3, True)),
        (deeds.compiled, {"isolated": True}, (1, True)),
        (deeds.program, {"timeout": 500.0}, (3, True)),
    ],
)
def test_nothing_of_a_killed_node_is_alive(
    opened: Opener, make: Deeds, tmp_path: Path, deed: Any, limits: Any, outcome: tuple[int, bool]
) -> None:
    processes, worker_survives = outcome
    site, ear, pids = opened(), Ear(), tmp_path / "pids"
    submit(site, ear, make.node("bad", deed, str(pids), **limits))
    until(lambda: len(noted(pids)) == processes)
    submit(site, ear, make.node("queued", deed, str(tmp_path / "never")))
    before = workers_of(site)
    start = time.monotonic()
    assert site.kill(["bad", "queued", "unheard-of"]) == {"bad", "queued", "unheard-of"}
    assert time.monotonic() - start < 8
    assert not [pid for pid in noted(pids) if alive(pid) and pid not in before]
    assert [alive(pid) for pid in before] == [worker_survives]
    goes_on(site, make, ear)
    assert list(ear.states) == ["next"], "nothing is told of what was killed"
    assert (ear.losses, ear.errors) == ({}, [])
    assert not (tmp_path / "never").exists()
    site.release(["next"])
    until(lambda: not site._closing[0].scheduler.tasks)


def test_losers_of_a_race_die_together(opened: Opener, make: Deeds, tmp_path: Path) -> None:
    site, ear, pids = opened(workers=3), Ear(), tmp_path / "pids"
    keys = ["one", "two", "three"]
    submit(site, ear, *[make.node(key, deeds.stubborn, str(pids), isolated=True) for key in keys])
    until(lambda: len(noted(pids)) == 9)
    start = time.monotonic()
    assert site.kill(keys) == set(keys)
    assert time.monotonic() - start < 5
    assert not any(map(alive, noted(pids)))


def test_neighbours_on_a_killed_worker_are_performed_again_and_not_blamed(
    opened: Opener, make: Deeds, tmp_path: Path
) -> None:
    site, ear = opened(threads=2), Ear()
    gate, good = tmp_path / "gate", tmp_path / "good"
    submit(site, ear, make.node("good", deeds.wait_for, str(gate), str(good)))
    site._closing[0].scheduler.allowed_failures = 0
    for turn in range(2):
        until(partial(_many, good, turn + 1))
        bad = tmp_path / f"bad-{turn}"
        submit(site, ear, make.node(f"bad-{turn}", deeds.compiled, str(bad)))
        until(partial(noted, bad))
        assert site.kill([f"bad-{turn}"]) == {f"bad-{turn}"}
        assert not any(map(alive, noted(bad)))
    gate.touch()
    until(lambda: ear.states.get("good") == "succeeded")
    assert ear.losses == {}


def test_what_depends_on_a_killed_node_is_lost_and_what_it_depends_on_is_not(
    opened: Opener, make: Deeds, tmp_path: Path
) -> None:
    site, ear = opened(), Ear()
    gate = tmp_path / "gate"
    nodes = [
        make.node("first", deeds.wait_for, str(gate), str(tmp_path / "pids")),
        make.after("second", "first"),
        make.after("killed", "second"),
        make.after("later", "killed"),
        make.after("last", "later"),
    ]
    site.submit(nodes, ["last"], ear, {})
    until(lambda: noted(tmp_path / "pids"))
    assert site.kill(["killed"]) == {"killed"}
    assert ear.losses == dict.fromkeys(("later", "last"), (DEAD_UPSTREAM, ""))
    gate.touch()
    until(lambda: ear.states == {"first": "succeeded", "second": "succeeded"})
    site.release(["first", "second", "later", "last"])
    until(lambda: not site._closing[0].scheduler.tasks)
    assert ear.errors == []


def test_what_ended_in_a_killed_bundle_is_told(opened: Opener, make: Deeds, tmp_path: Path) -> None:
    site, ear = opened(), Ear()
    gate, pids = tmp_path / "gate", tmp_path / "pids"
    gate.touch()
    never = str(tmp_path / "never")
    calls = [("one", str(gate)), ("two", never, str(pids)), ("three", str(gate))]
    submit(site, ear, make.bundle("bundle", deeds.wait_for, calls))
    until(lambda: noted(pids))
    assert site.kill(["bundle"]) == {"bundle"}
    until(lambda: ear.states == {"one": "succeeded"})


def test_threads_that_do_not_listen_are_told_as_alive(opened: Opener, make: Deeds, tmp_path: Path) -> None:
    site, ear, pids = opened(processes=False, threads=2), Ear(), tmp_path / "pids"
    submit(site, ear, make.node("listens", deeds.loop, str(pids)), make.node("deaf", deeds.wait_for_gate))
    until(lambda: noted(pids))
    until(lambda: len(site.running()) == 2)
    assert site.kill(["listens", "deaf"]) == {"listens"}
    deeds.GATE.set()
    goes_on(site, make, ear)
    assert list(ear.states) == ["next"]


def test_where_nothing_is_open_nothing_is_alive(make: Deeds) -> None:
    site = ClusterSite("shut", lambda: 1 / 0, perform, load_again, slots=1, boxes=make.boxes)  # type: ignore[arg-type]
    assert site.kill(["a"]) == {"a"}
