from __future__ import annotations

import json
import os
import pickle
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from daskflow.model.needs import Needs
from daskflow.model.outcome import Outcome
from daskflow.sites.batch.processes import Processes
from daskflow.sites.batch.system import Certificate
from daskflow.sites.grip import CURRENT_GRIP, Killed
from daskflow.sites.pilots.pilot import Stage
from daskflow.sites.pilots.plan import SitePlan
from daskflow.sites.pilots.room import Room
from daskflow.sites.pilots.site import PilotSite
from daskflow.sites.pilots.undertaker import Verdict
from daskflow.sites.pools import Pool
from daskflow.sites.site import Node
from tests.sites.pilots.ward import until

ROOT = Path(__file__).parents[3]


class Ear:
    """A listener that remembers what it was told."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.struck: list[Outcome] = []
        self.losses: dict[str, str] = {}
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._lock = threading.Lock()

    def performed(self, records: Sequence[bytes]) -> None:
        for record in records:
            for item in pickle.loads(record):
                with self._lock:
                    if isinstance(item, Outcome):
                        self.struck.append(item)
                    else:
                        self.values[item[0]] = item[1]

    def lost(self, key: str, reason: str, culprit: str) -> None:
        self.losses[key] = reason

    def tell(self, kind: str, data: str) -> None:
        self.events.append((kind, json.loads(data)))

    def fail(self, error: Exception) -> None:
        raise AssertionError(error)

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.events]


def perform(package: bytes, *values: Any) -> tuple[Any, bytes, bytes]:
    """Performs a package that is a name and an expression."""
    name, code = pickle.loads(package)
    grip = CURRENT_GRIP.get()
    assert grip is not None
    try:
        value = grip.call(eval, code, {"values": values, "wait": wait})
    except Killed:
        return None, pickle.dumps([]), b""
    return value, pickle.dumps([(name, value)]), pickle.dumps(value)


def wait(path: str) -> str:
    """Wait until there is a file."""
    while not os.path.exists(path):
        time.sleep(0.02)
    return path


def node(key: str, code: str, *upstream: str, needs: Needs | None = None) -> Node:
    return Node(key, pickle.dumps((key, code)), upstream, needs or Needs(kind="work"), key, "a-run")


@pytest.fixture
def site_of(tmp_path: Path) -> Iterator[Callable[..., PilotSite]]:
    made: list[PilotSite] = []

    def make(*pools: Pool, **options: Any) -> PilotSite:
        plan = SitePlan(
            pools, str(tmp_path / "home"), interface="lo", dashboard="", environment={"PYTHONPATH": str(ROOT)}
        )
        system = Processes(str(tmp_path / "processes"))
        made.append(PilotSite("cedar", plan._replace(**options), system, perform, pickle.loads, boxes=""))
        return made[-1]

    yield make
    for site in made:
        site.close()


MAIN = Pool("main", 2, 1 << 30, 600.0, maximum=2)


def test_nodes_are_performed_by_pilots_that_go_with_the_site(site_of: Callable[..., PilotSite], tmp_path: Path) -> None:
    site, ear = site_of(MAIN), Ear()
    site.submit([node("a", "20"), node("b", "values[0] + 1", "a")], ["b"], ear, {})
    until(lambda: ear.values == {"a": 20, "b": 21})
    assert [pilot.stage for pilot in site.pilots()] == [Stage.arrived]
    assert site.address() == "" or "status" in site.address()
    ids = [pilot.id for pilot in site.pilots()]
    site.release(["a", "b"])
    site.rest()
    until(lambda: all(standing.phase == "ended" for standing in site.system.standings(ids).values()))
    assert not list((tmp_path / "home" / "certificates").glob("*/*")), "nobody is let in any more"
    assert {"pilot.submitted", "pilot.arrived"} <= set(ear.kinds())
    site.submit([node("c", "1")], ["c"], ear, {})
    until(lambda: ear.values.get("c") == 1)


def test_the_loss_of_a_pilot_is_told_with_its_certificate_and_its_nodes_are_performed_again(
    site_of: Callable[..., PilotSite], tmp_path: Path
) -> None:
    site, ear = site_of(MAIN), Ear()
    gate = str(tmp_path / "gate")
    site.submit([node("a", f"wait({gate!r})"), node("b", f"wait({gate!r})")], ["a", "b"], ear, {})
    until(lambda: set(site.running()) == {"a", "b"})
    first = site.pilots()[0].id
    site.system.cancel([first])
    until(lambda: len(ear.struck) == 2)
    assert {outcome.key for outcome in ear.struck} == {"a", "b"}
    assert {outcome.failure.type for outcome in ear.struck if outcome.failure} == {"daskflow.errors.Cancelled"}
    assert not any(outcome.final for outcome in ear.struck)
    Path(gate).touch()
    until(lambda: len(ear.values) == 2)
    assert ear.losses == {}
    until(lambda: any(kind == "pilot.ended" and data["error"] == "Cancelled" for kind, data in ear.events))


def test_nodes_are_killed(site_of: Callable[..., PilotSite], tmp_path: Path) -> None:
    site, ear = site_of(MAIN), Ear()
    gate = str(tmp_path / "never")
    site.submit([node("a", f"wait({gate!r})"), node("b", "5")], ["a", "b"], ear, {})
    until(lambda: "a" in site.running() and ear.values == {"b": 5})
    assert site.kill(["a"]) == {"a"}
    site.submit([node("c", "6", needs=Needs(2))], ["c"], ear, {})
    until(lambda: ear.values.get("c") == 6)
    assert [pilot.stage for pilot in site.pilots()] == [Stage.arrived]


def test_what_waits_is_taken_back_and_can_come_again(site_of: Callable[..., PilotSite], tmp_path: Path) -> None:
    site, ear = site_of(MAIN._replace(maximum=1)), Ear()
    gate = str(tmp_path / "gate")
    site.submit([node("a", f"wait({gate!r})", needs=Needs(2))], ["a"], ear, {})
    until(lambda: "a" in site.running())
    site.submit([node("b", "5", needs=Needs(2))], ["b"], ear, {})
    assert site.recall(["a", "b"]) == {"b"}
    site.submit([node("b-2", "6")], ["b-2"], ear, {})
    Path(gate).touch()
    until(lambda: ear.values == {"a": gate, "b-2": 6})


def test_pilots_that_never_come_up_are_given_up_with_their_log(site_of: Callable[..., PilotSite]) -> None:
    bad = MAIN._replace(queue=MAIN.queue._replace(prologue=("echo no such module >&2; false",)))
    site, ear = site_of(bad, patience=2), Ear()
    site.submit([node("a", "1")], ["a"], ear, {})
    until(lambda: ear.losses)
    assert ear.losses["a"].startswith("StartupFailed: ")
    assert "no such module" in ear.losses["a"]
    assert "pool.given_up" in ear.kinds()


def test_what_depends_on_a_collection_is_told_when_no_pilot_comes(site_of: Callable[..., PilotSite]) -> None:
    bad = MAIN._replace(queue=MAIN.queue._replace(prologue=("echo no such module >&2; false",)))
    site, ear = site_of(bad, patience=2), Ear()
    part: Any = ("part", 0)
    site.submit([node("a", "values[0]", part)], ["a"], ear, {part: (int, "1")})
    until(lambda: ear.losses)
    assert ear.losses["a"].startswith("StartupFailed: ")
    assert "no such module" in ear.losses["a"]


def test_what_depends_on_a_task_under_which_too_many_pilots_were_lost_is_told(
    site_of: Callable[..., PilotSite],
) -> None:
    never = MAIN._replace(queue=MAIN.queue._replace(prologue=("sleep 600",)))
    site, ear = site_of(never), Ear()
    part: Any = ("part", 0)
    site.submit([node("a", "values[0]", part)], ["a"], ear, {part: (int, "1")})
    until(site._placer.needs_waiting)
    room = Room(never, "0", node="n1", address="tcp://gone", ends=0.0)
    verdict = Verdict(part, "OutOfMemory", "Its pilots were lost", 0.0, 1.0, room, again=False)
    site._judged(room, Certificate("0", "OutOfMemory", "out of memory"), [verdict])
    until(lambda: ear.losses)
    assert ear.losses == {"a": "OutOfMemory: Its pilots were lost"}


def test_what_fits_nowhere_is_said_without_asking_anybody(site_of: Callable[..., PilotSite]) -> None:
    site = site_of(MAIN, MAIN._replace(name="big", cores=8))
    assert site.fit(Needs(8)) == ""
    assert "nearest is 'big'" in site.fit(Needs(9))
    assert site.pilots() == []


def test_the_next_pool_up_has_more_memory_for_those_who_said_nothing(site_of: Callable[..., PilotSite]) -> None:
    site = site_of(MAIN, MAIN._replace(name="big", memory=4 << 30), MAIN._replace(name="huge", memory=64 << 30))
    first = site.larger(Needs(1))
    assert first == Needs(1, memory=2 << 30)
    assert first is not None
    second = site.larger(first)
    assert second == Needs(1, memory=32 << 30)
    assert second is not None
    assert site.larger(second) is None
    assert site.larger(Needs(99)) is None
