from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from daskflow.artifacts.values import Values
from daskflow.errors import BatchSilent
from daskflow.execution.worker.attempt import current
from daskflow.execution.worker.perform import perform
from daskflow.model.needs import Needs
from daskflow.sites.batch import batchsite, following
from daskflow.sites.batch.batchsite import BatchSite
from daskflow.sites.batch.folder import Begun, ErrandFolder
from daskflow.sites.batch.processes import Processes
from daskflow.sites.batch.system import Ask, Certificate, Phase
from daskflow.sites.batch.watch import Watch
from daskflow.sites.pools import Pool
from daskflow.sites.site import Node
from tests.execution.patience import alive, until
from tests.sites import deeds
from tests.sites.batch.papers import Ear, Paper, Silence, plan_in
from tests.sites.deeds import Deeds, noted


def add(a: int, b: int) -> int:
    return a + b


def shout(text: str) -> None:
    current().report.metric("loudness", 3.0)
    print(text)


class Camp:
    """A site on real processes, and sites that come after it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.system = Processes(str(directory / "processes"))
        self.deeds = Deeds(directory)
        self.ear = Ear()
        self.sites: list[BatchSite] = []
        self.watches: list[Watch] = []
        self.site = self.another()

    def another(self) -> BatchSite:
        """A site as another driver would open it."""
        watch = Watch(self.system, 0.2)
        self.watches.append(watch)
        site = BatchSite(
            "camp:batch", self.system, plan_in(self.directory), perform, boxes=self.deeds.boxes, watch=watch
        )
        self.sites.append(site)
        return site

    def node(self, name: str, function: Callable[..., Any], *arguments: Any, mark: str = "1", **needs: Any) -> Node:
        return self.deeds.node(name, function, *arguments)._replace(
            key=f"{name}-{mark}", name=name, run="a-run", needs=Needs(**needs)
        )

    def folders(self) -> list[str]:
        place = self.directory / "shared" / "jobs" / "a-run"
        return sorted(path.name for path in place.iterdir() if path.is_dir()) if place.is_dir() else []

    def count(self) -> int:
        """How many batch jobs were ever submitted."""
        return len([path for path in (self.directory / "processes").rglob("script*") if path.is_file()])

    def close(self) -> None:
        for site in self.sites:
            site.kill(list(site._errands))
            site.close()
        for watch in self.watches:
            watch.close()


@pytest.fixture
def camp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Camp]:
    monkeypatch.setattr(following, "LOOK", 0.05)
    monkeypatch.setattr(following, "_GAP", 0.1)
    made = Camp(tmp_path)
    yield made
    made.close()


def test_each_node_is_a_batch_job_of_its_own(camp: Camp) -> None:
    nodes = [camp.node("one", add, 1, 2), camp.node("two", shout, "HEY")]
    camp.site.submit(nodes, [], camp.ear, {})
    until(lambda: len(camp.ear.states) == 2)
    assert camp.ear.states == {"one": "succeeded", "two": "succeeded"}
    assert [(live.key, live.name) for live in camp.ear.live] == [("two", "loudness")]
    ids = {data["job"]: data["id"] for data in camp.ear.of("batch.submitted")}
    assert len(set(ids.values())) == 2
    assert {outcome.key: outcome.place for outcome in camp.ear.outcomes} == ids
    assert list(camp.site.running()) == []
    camp.site.release(["one-1", "two-1"])
    camp.site.close()
    assert camp.folders() == []
    assert list(Path(camp.deeds.boxes).iterdir()) == []


def test_values_of_dask_collections_are_computed_in_the_batch_job(camp: Camp) -> None:
    node = camp.deeds.after("sum", "b")._replace(name="sum", run="a-run")
    foreign = {"a": 20, "b": (add, "a", 1), "other": (add, "a", threading.Lock())}
    camp.site.submit([node], [], camp.ear, foreign)
    until(lambda: camp.ear.states)
    (outcome,) = camp.ear.outcomes
    assert outcome.state == "succeeded", outcome.failure
    assert outcome.value is not None
    assert Values(None).load(outcome.value) == 21


def test_a_killed_node_is_dead_with_all_that_it_started(camp: Camp, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    camp.site.submit([camp.node("stubborn", deeds.stubborn, str(pids))], [], camp.ear, {})
    until(lambda: len(noted(pids)) == 3)
    until(lambda: list(camp.site.running()) == ["stubborn-1"])
    assert camp.site.kill(["stubborn-1"]) == {"stubborn-1"}
    assert [pid for pid in noted(pids) if alive(pid)] == []
    assert (camp.ear.outcomes, camp.ear.losses) == ([], {})
    assert camp.folders() == []
    camp.site.submit([camp.node("stubborn", deeds.stubborn, str(pids))], [], camp.ear, {})
    assert camp.site._errands == {}, "what was killed before it came does not begin"


def test_what_runs_is_not_taken_back(camp: Camp, tmp_path: Path) -> None:
    gate, pids = tmp_path / "gate", tmp_path / "pids"
    camp.site.submit([camp.node("gate", deeds.wait_for, str(gate), str(pids))], [], camp.ear, {})
    until(lambda: noted(pids))
    assert camp.site.recall(["gate-1", "unknown"]) == set()
    gate.touch()
    until(lambda: camp.ear.states == {"gate": "succeeded"})


def test_who_resumes_a_run_adopts_its_batch_jobs(camp: Camp, tmp_path: Path) -> None:
    gate, pids = tmp_path / "gate", tmp_path / "pids"
    late = camp.node("late", deeds.wait_for, str(gate), str(pids))
    early = camp.node("early", add, 1, 2)
    camp.site.submit([early, late], [], camp.ear, {})
    until(lambda: camp.ear.states == {"early": "succeeded"} and noted(pids))
    # The driver has not taken note of the result when it ends.
    camp.site.close()
    ear, site = Ear(), camp.another()
    nodes = [node._replace(key=f"{node.name}-2") for node in (early, late)]
    site.submit(nodes, [], ear, {})
    until(lambda: len(ear.of("batch.adopted")) == 1 and list(site.running()) == ["late-2"])
    gate.touch()
    until(lambda: ear.states.get("late") == "succeeded")
    assert len(noted(pids)) == 1
    assert "late" not in [data["job"] for data in ear.of("batch.submitted")]
    assert camp.ear.states == {"early": "succeeded"}


def test_a_batch_job_that_dies_is_told_with_what_its_log_ended_with(camp: Camp) -> None:
    node = camp.node("dies", os.abort)
    camp.site.submit([node._replace(package=b"no pickle")], [], camp.ear, {})
    until(lambda: camp.ear.losses)
    reason, culprit = camp.ear.losses["dies-1"]
    assert culprit == "dies"
    assert reason.startswith("WorkerLost: batch job ")
    assert "UnpicklingError" in reason
    camp.site.release(["dies-1"])
    assert len(camp.folders()) == 1, "the log stays"


class Forgetful(Processes):
    """Its first job begins only when the second one is submitted, and nobody hears of its id."""

    def __init__(self, directory: str, begun: Callable[[], object]) -> None:
        super().__init__(directory)
        self.ids: list[str] = []
        self._begun = begun

    def submit(self, script: str, ask: Ask) -> list[str]:
        if not self.ids:
            self.ids.append("")
            raise BatchSilent("qsub did not answer within 60 s")
        (first,) = super().submit(script, ask)
        until(self._begun)
        (second,) = super().submit(script, ask)
        until(lambda: self.certificates([second]))
        self.ids = [first, second]
        return [second]


def test_a_batch_job_whose_answer_got_lost_is_not_lost(camp: Camp, tmp_path: Path) -> None:
    gate, pids = tmp_path / "gate", tmp_path / "pids"
    system = Forgetful(str(tmp_path / "processes"), lambda: noted(pids))
    camp.system = system
    site = camp.another()
    site.submit([camp.node("gate", deeds.wait_for, str(gate), str(pids))], [], camp.ear, {})
    until(lambda: camp.ear.of("batch.started") or camp.ear.losses)
    assert [data["id"] for data in camp.ear.of("batch.started")] == [system.ids[0]]
    gate.touch()
    until(lambda: camp.ear.states or camp.ear.losses)
    assert camp.ear.states == {"gate": "succeeded"}
    assert len(noted(pids)) == 1, "performed once"
    assert [data["id"] for data in camp.ear.of("batch.submitted")] == [system.ids[1]]


class Board:
    """A site on paper."""

    def __init__(self, directory: Path) -> None:
        self.ear, self.system, self.watch = Ear(), Paper(), Silence()
        self.site = BatchSite(
            "board:batch", self.system, plan_in(directory), perform, boxes="", watch=cast(Any, self.watch)
        )

    def submit(self, *names: str) -> None:
        nodes = [Node(f"{name}-1", b"", needs=Needs(), name=name, run="a-run") for name in names]
        self.site.submit(nodes, [], self.ear, {})

    @property
    def follower(self) -> Any:
        assert self.site._parts is not None
        return self.site._parts[0]


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Board]:
    monkeypatch.setattr(following, "LOOK", 0.01)
    monkeypatch.setattr(following, "_GAP", 0.01)
    monkeypatch.setattr(following, "_RECORD", 0.1)
    made = Board(tmp_path)
    yield made
    made.site.close()


def _submitted(board: Board, count: int) -> None:
    until(lambda: len(board.watch.followed) == count)


def test_pending_nodes_are_taken_back(board: Board) -> None:
    board.submit("a", "b")
    _submitted(board, 2)
    assert board.site.recall(["a-1"]) == {"a-1"}
    until(lambda: board.system.cancelled == ["1"])
    board.site.release(["b-1"])
    until(lambda: board.system.cancelled == ["1", "2"])
    assert (board.ear.outcomes, board.ear.losses) == ([], {})
    assert board.watch.followed == set()


def test_pending_nodes_die_at_once(board: Board) -> None:
    board.submit("a")
    _submitted(board, 1)
    assert board.site.kill(["a-1", "unknown"]) == {"a-1", "unknown"}
    until(lambda: board.system.cancelled == ["1"])


@pytest.mark.parametrize("error", ["NodeFailure", "Preempted"])
def test_what_was_lost_through_nobodys_fault_is_submitted_again_some_times(board: Board, error: str) -> None:
    board.submit("a")
    for number in range(1, batchsite.AGAIN + 2):
        until(lambda number=number: board.watch.followed == {str(number)})  # type: ignore[misc]
        board.system.ends[str(number)] = Certificate(str(number), error, "GONE", node="n3")
        board.follower.vanished(str(number))
    until(lambda: board.ear.losses)
    assert board.ear.losses["a-1"][0].startswith(f"{error}: batch job {batchsite.AGAIN + 1}: GONE, on n3")
    assert [outcome.final for outcome in board.ear.outcomes] == [False] * batchsite.AGAIN
    failures = {outcome.failure.type for outcome in board.ear.outcomes if outcome.failure}
    assert failures == {f"daskflow.errors.{error}"}


def test_other_ends_are_told(board: Board) -> None:
    board.submit("a")
    _submitted(board, 1)
    board.system.ends["1"] = Certificate("1", "Cancelled", "CANCELLED", reason="by uid 7")
    board.follower.vanished("1")
    until(lambda: board.ear.losses)
    assert board.ear.losses["a-1"] == ("Cancelled: batch job 1: CANCELLED, by uid 7. Its log is empty.", "a")
    assert len(board.system.asks) == 1


def test_what_cannot_be_killed_is_not_told_as_dead(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batchsite, "_DYING", 0.2)
    board.submit("a")
    _submitted(board, 1)
    errand = board.site._errands["a-1"]
    assert errand.folder is not None
    assert errand.folder.begin(Begun("1", "n1", "elsewhere", 3))
    monkeypatch.setattr(board.system, "cancel", lambda ids: None)
    board.system.phases["1"] = Phase.running
    start = time.monotonic()
    assert board.site.kill(["a-1"]) == set()
    assert time.monotonic() - start < 60


def test_who_is_killed_is_so_in_the_batch_job_that_performs_it(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "LOOK", 60.0)  # nobody has seen that another one was first
    board.submit("a")
    _submitted(board, 1)
    errand = board.site._errands["a-1"]
    assert errand.folder is not None
    assert errand.folder.begin(Begun("77", "n1", "elsewhere", 3))
    board.system.phases["77"] = Phase.running
    assert board.site.kill(["a-1"]) == {"a-1"}
    assert set(board.system.cancelled) == {"1", "77"}


def test_on_a_full_disk_losses_are_told_and_nodes_killed(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    board.submit("a", "b", "c")
    _submitted(board, 3)

    def refuse(folder: ErrandFolder) -> bool:
        raise OSError(122, "Disk quota exceeded")

    monkeypatch.setattr(ErrandFolder, "take_back", refuse)
    board.system.ends["1"] = Certificate("1", "Cancelled", "CANCELLED")
    board.follower.vanished("1")
    until(lambda: board.ear.losses)
    assert board.ear.losses["a-1"][0].startswith("Cancelled: ")
    assert board.site.recall(["b-1"]) == set(), "it may begin yet"
    assert board.site.kill(["c-1"]) == {"c-1"}
    until(lambda: board.system.cancelled == ["3"])


def test_who_leaves_hears_nothing_and_what_runs_goes_on(board: Board) -> None:
    board.submit("a")
    _submitted(board, 1)
    errand = board.site._errands["a-1"]
    board.site.leave(board.ear)
    assert board.site._errands == {}
    assert errand.folder is not None
    assert errand.folder.begun is None, "the next driver may adopt it"
    assert board.system.cancelled == []


def test_shapes_of_batch_jobs_decide_what_fits(tmp_path: Path) -> None:
    pools = (Pool("small", 2, 2**30, 600.0, nodes=1), Pool("large", 4, 8 * 2**30, 600.0, nodes=2))
    site = BatchSite("camp:batch", Paper(), plan_in(tmp_path, *pools), perform, boxes="", watch=cast(Any, Silence()))
    assert site.fit(Needs(cores=4, nodes=2)) == ""
    assert "'camp'" in site.fit(Needs(cores=5))
    larger = site.larger(Needs(cores=2))
    assert larger is not None
    assert larger.memory == 4 * 2**30
    assert site.larger(larger) is None
    assert site.larger(Needs(cores=50)) is None
    assert (site.bundles, site.chains, site.address()) == (False, False, "")
    site.rest()
    site.close()
