from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from daskflow.errors import BatchMissing, BatchRefused, BatchSilent, StartupFailed
from daskflow.model.needs import Needs
from daskflow.sites.batch.slurm import Slurm
from daskflow.sites.batch.system import Ask, Certificate, Phase, Standing
from daskflow.sites.batch.watch import Watch
from daskflow.sites.pilots.crew import Post
from daskflow.sites.pilots.fleet import START, Fleet
from daskflow.sites.pilots.pilot import Stage
from daskflow.sites.pilots.plan import SitePlan
from daskflow.sites.pilots.room import Room
from daskflow.sites.pilots.starts import Notes
from daskflow.sites.pools import Queue
from tests.sites.pilots.fleets import MemoryCrew, MemorySystem, Scene, pool

LONG = Needs(seconds=3600.0)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_nothing_is_submitted_where_nothing_waits(scene: Scene) -> None:
    scene.wait(100)
    assert scene.system.asks == {}
    assert scene.events == []


def test_the_life_of_a_pilot(scene: Scene) -> None:
    scene.crew.needs = [LONG]
    scene.look()
    scene.begin("1", "n7")
    scene.look()
    scene.crew.needs = []
    scene.arrive("1", "n7")
    scene.busy("1", 100.0)
    scene.look()
    assert scene.fleet.node_of("1") == "n7"
    scene.wait(99)
    scene.arrive("1", "n7")
    scene.wait(61)
    assert scene.crew.closed == ["1"]
    assert set(scene.crew.dismissed) == {"1"}
    scene.crew.arrived.clear()
    scene.end("1", 0)
    scene.look()
    assert [kind for kind, _ in scene.events] == [
        "pilot.submitted",
        "pilot.started",
        "pilot.arrived",
        "pilot.ended",
    ]
    assert scene.told("pilot.ended") == [
        {"id": "1", "pool": "small", "node": "n7", "reason": "it had nothing to do", "error": ""}
    ]
    assert scene.system.cancelled == []


def test_several_pilots_are_one_array_and_asked_for_once(scene: Scene) -> None:
    scene.crew.needs = [LONG] * 12
    scene.wait(30)
    assert list(scene.system.asks) == ["1_0", "1_1", "1_2"]
    assert scene.system.asks["1_0"].count == 3
    assert len(scene.system.scripts) == 1
    assert [pilot.log[-10:] for pilot in scene.there()] == ["0001-0.log", "0001-1.log", "0001-2.log"]


def test_without_arrays_each_is_a_submission_of_its_own(tmp_path: Path) -> None:
    scene = Scene(tmp_path, arrays=False)
    scene.crew.needs = [LONG] * 12
    scene.look()
    assert list(scene.system.asks) == ["1", "2", "3"]


def test_each_job_goes_to_the_first_pool_that_holds_it(tmp_path: Path) -> None:
    scene = Scene(tmp_path, pool(), pool("large", cores=16), pool("gpu", gpus=1))
    scene.crew.needs = [LONG, LONG._replace(cores=8), LONG._replace(gpus=1)]
    scene.look()
    assert sorted(pilot.pool for pilot in scene.there()) == ["gpu", "large", "small"]


def test_the_limits_of_pool_and_site_hold(tmp_path: Path) -> None:
    scene = Scene(tmp_path, pool(maximum=3), pool("large", cores=16, maximum=3), max_jobs=4)
    scene.crew.needs = [LONG] * 100 + [LONG._replace(cores=16)] * 100
    scene.wait(60)
    assert len(scene.there("small")) == 2
    assert len(scene.there("large")) == 2


def test_jobs_of_which_nobody_knows_how_long_they_take_get_one_pilot_first(scene: Scene) -> None:
    scene.crew.needs = [Needs()] * 1000
    scene.wait(10)
    assert len(scene.there()) == 1
    scene.wait(120)
    assert len(scene.there()) == 10


def test_pilots_of_a_minimum_are_there_and_stay(tmp_path: Path) -> None:
    scene = Scene(tmp_path, pool(minimum=2))
    scene.look()
    assert len(scene.there()) == 2
    for pilot in scene.there():
        scene.arrive(pilot.id)
    scene.wait(200)
    assert len(scene.there()) == 2
    assert scene.crew.closed == []


def test_while_a_run_waits_for_a_person_there_are_none(tmp_path: Path) -> None:
    scene = Scene(tmp_path, pool(minimum=2))
    scene.look()
    first, second = scene.there()
    scene.arrive(first.id)
    scene.look()
    scene.fleet.rest()
    scene.wait(2)
    assert scene.crew.dismissed[:1] == [first.id]
    assert scene.system.cancelled == [[second.id]]
    scene.crew.arrived.clear()
    scene.wait(100)
    assert scene.there() == []
    scene.crew.needs = [LONG]
    scene.look()
    assert len(scene.there()) == 2


def test_a_pilot_in_the_queue_is_withdrawn_only_when_nothing_has_waited_for_a_while(scene: Scene) -> None:
    scene.crew.needs = [LONG]
    scene.wait(100)
    scene.crew.needs = []
    scene.wait(30)
    scene.crew.needs = [LONG]
    scene.look()
    scene.crew.needs = []
    scene.wait(58)
    assert scene.system.cancelled == []
    scene.wait(3)
    assert scene.system.cancelled == [["1"]]
    assert scene.there() == []


def test_a_pilot_that_came_while_it_was_cancelled_gets_nothing(scene: Scene) -> None:
    scene.crew.needs = [LONG]
    scene.look()
    scene.crew.needs = []
    scene.wait(61)
    scene.arrive("1")
    scene.look()
    assert scene.crew.closed == ["1"]
    assert scene.told("pilot.arrived") == []


def test_a_busy_pilot_is_replaced_before_its_end(scene: Scene) -> None:
    scene.crew.needs = [Needs(seconds=10.0)] * 40
    scene.look()
    for pilot in scene.there():
        scene.arrive(pilot.id)
    scene.wait(3)
    assert len(scene.there()) == 2
    for pilot in scene.there():
        scene.crew.arrived[pilot.id] = scene.crew.arrived[pilot.id]._replace(ends=scene.now + 20.0)
        scene.busy(pilot.id, 5.0)
    scene.wait(4)
    assert len(scene.there()) > 2


def test_a_pilot_in_which_nothing_fits_any_more_is_replaced_and_goes(tmp_path: Path) -> None:
    scene = Scene(tmp_path, pool(maximum=1))
    scene.crew.needs = [LONG]
    scene.look()
    scene.arrive("1", ends=scene.now + 600.0)
    scene.wait(7)
    assert set(scene.crew.dismissed) == {"1"}
    scene.crew.arrived.clear()
    scene.wait(2)
    assert [pilot.id for pilot in scene.there()] == ["2"]
    assert "too little of its time" in scene.told("pilot.ended")[0]["reason"]


def test_who_ends_soon_does_not_keep_its_replacement_out_of_the_queue(tmp_path: Path) -> None:
    scene = Scene(tmp_path, pool(maximum=1))
    scene.crew.needs = [Needs(seconds=10.0)] * 400
    scene.look()
    scene.arrive("1")
    scene.busy("1", 5.0)
    scene.wait(4)
    assert len(scene.there()) == 1
    scene.crew.arrived["1"] = scene.crew.arrived["1"]._replace(ends=scene.now + 11.0)
    scene.wait(4)
    assert len(scene.there()) == 2


def test_a_prologue_that_fails_ends_in_a_pool_that_is_given_up(scene: Scene) -> None:
    scene.crew.needs = [LONG] * 4
    for number in range(1, 4):
        scene.look()
        scene.begin(str(number), "n1")
        scene.look()
        scene.end(str(number), 3, "module: command not found\n")
        scene.look()
    error = scene.crew.given_up["small"]
    assert isinstance(error, StartupFailed)
    for part in ("3 pilots", "'small'", "on n1", "exit code 3", "module: command not found", "site check cedar"):
        assert part in str(error)
    assert len(scene.told("pilot.failed")) == 3
    assert scene.told("pilot.failed")[0]["log"] == "module: command not found"
    assert len(scene.told("pool.given_up")) == 1
    scene.wait(100)
    assert len(scene.system.asks) == 3


def test_the_rest_of_an_array_is_cancelled_with_its_pool(tmp_path: Path) -> None:
    scene = Scene(tmp_path, patience=1)
    scene.crew.needs = [LONG] * 12
    scene.look()
    scene.begin("1_1")
    scene.end("1_1", 1)
    scene.look()
    scene.look()
    assert "small" in scene.crew.given_up
    assert scene.system.cancelled == [["1_0", "1_2"]]
    assert scene.there() == []


def test_other_pools_serve_what_one_that_is_given_up_cannot(tmp_path: Path) -> None:
    scene = Scene(tmp_path, pool(), pool("large", cores=16), patience=1)
    scene.crew.needs = [LONG]
    scene.look()
    scene.begin("1")
    scene.end("1", 1)
    scene.look()
    scene.look()
    assert [pilot.pool for pilot in scene.there()] == ["large"]


def test_a_bad_node_is_avoided_where_others_serve(scene: Scene) -> None:
    scene.crew.needs = [LONG]
    scene.look()
    scene.arrive("1", "n2")
    scene.busy("1", 3600.0)
    for number in range(2, 5):
        scene.wait(4)
        scene.begin(str(number), "n1")
        scene.end(str(number), 1)
        scene.look()
    assert scene.told("node.avoided") == [{"pool": "small", "node": "n1"}]
    assert scene.crew.given_up == {}
    scene.wait(4)
    assert scene.system.asks["5"].avoid == ("n1",)


def test_what_the_batch_system_refuses_is_given_up_at_once(scene: Scene) -> None:
    scene.system.refuses = BatchRefused("invalid partition specified: compte")
    scene.crew.needs = [LONG]
    scene.look()
    assert scene.crew.given_up == {"small": scene.system.refuses}
    assert scene.told("pool.given_up") == [
        {"pool": "small", "error": "BatchRefused: invalid partition specified: compte"}
    ]


def test_a_system_that_is_not_installed_is_given_up_at_once(scene: Scene) -> None:
    scene.system.refuses = BatchMissing("There is no sbatch here.")
    scene.crew.needs = [LONG] * 12
    scene.wait(5)
    assert isinstance(scene.crew.given_up["small"], BatchMissing)


def test_smaller_arrays_are_tried(scene: Scene) -> None:
    scene.system.refuses, scene.system.largest = BatchRefused("Invalid job array specification"), 2
    scene.crew.needs = [LONG] * 20
    scene.wait(20)
    assert len(scene.there()) == 5
    assert scene.crew.given_up == {}


@pytest.mark.parametrize("limit", ["QOSMaxSubmitJobPerUserLimit", "AssocGrpSubmitJobsLimit", "QOSGrpSubmitJobsLimit"])
def test_what_there_is_room_for_is_submitted_and_the_rest_later(tmp_path: Path, limit: str) -> None:
    scene = Scene(tmp_path, pool(maximum=20))
    submit, asked, most = scene.system.submit, [], 3

    def limited(script: str, ask: Ask) -> list[str]:
        asked.append(ask.count)
        if len(scene.system.asks) + ask.count > most:
            raise BatchRefused(f"sbatch: error: {limit}")
        return submit(script, ask)

    scene.system.submit = limited  # type: ignore[method-assign]
    scene.crew.needs = [LONG] * 100
    scene.wait(50)
    assert len(scene.there()) == 3
    assert scene.crew.given_up == {}
    assert len(scene.told("pool.paused")) == 1
    assert len(asked) < 15, "while it is paused nothing is submitted"
    most = 1000
    scene.wait(120)
    assert len(scene.there()) == 20
    assert max(asked[-3:]) > 2, "arrays are large again"


def test_refusals_of_one_moment_are_one_pause(tmp_path: Path) -> None:
    scene = Scene(tmp_path, pool(maximum=20), arrays=False)
    scene.system.refuses = BatchRefused("sbatch: error: QOSMaxSubmitJobPerUserLimit")
    scene.crew.needs = [LONG] * 100
    scene.look()
    assert len(scene.told("pool.paused")) == 1
    scene.system.refuses = None
    scene.wait(61)
    assert len(scene.there()) == 20


@pytest.mark.parametrize(
    "error", [OSError(116, "Stale file handle"), BlockingIOError(11, "no process"), ValueError("?")]
)
def test_what_keeps_us_from_asking_is_no_refusal(scene: Scene, error: Exception) -> None:
    scene.system.error = error
    scene.crew.needs = [LONG]
    scene.wait(20)
    assert scene.crew.given_up == {}
    assert scene.told("site.silent") == [{"error": str(error)}]
    scene.system.error = None
    scene.wait(60)
    assert [pilot.id for pilot in scene.there()] == ["1"]


def test_ids_that_cannot_be_written_down_are_known(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def stale(self: Notes, ids: list[str]) -> None:
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(Notes, "submitted", stale)
    scene.crew.needs = [LONG] * 8
    scene.wait(5)
    assert [pilot.id for pilot in scene.there()] == list(scene.system.asks) == ["1_0", "1_1"]
    assert scene.crew.given_up == {}


class DeafSystem(MemorySystem):
    """A batch system that takes what is submitted, but whose answers get lost; the same script finds what it made."""

    def __init__(self) -> None:
        super().__init__()
        self.deaf = True
        self.made: dict[str, list[str]] = {}

    def submit(self, script: str, ask: Ask) -> list[str]:
        text = f"{script}{ask.log}"
        if text not in self.made:
            self.made[text] = super().submit(script, ask)
        if self.deaf:
            raise BatchSilent("Socket timed out on send/recv operation")
        return self.made[text]


def deaf(scene: Scene) -> DeafSystem:
    system = DeafSystem()
    scene.system = scene.fleet._system = scene.fleet._setbacks._system = system
    assert scene.fleet._desk is not None
    scene.fleet._desk._system = system
    return system


def test_lost_answers_make_no_more_pilots_than_there_may_be(tmp_path: Path) -> None:
    scene = Scene(tmp_path, pool(maximum=3), pool("large", cores=16, maximum=3), max_jobs=4)
    system = deaf(scene)
    scene.crew.needs = [LONG] * 100 + [LONG._replace(cores=16)] * 100
    scene.wait(300)
    assert len(system.asks) == 4
    # One of them starts, and tells its id itself.
    scene.begin("1_1")
    scene.wait(100)
    system.deaf = False
    scene.wait(100)
    assert len(system.asks) == len(scene.there()) == 4
    assert len(scene.told("site.answers")) == 1
    scene.fleet.close()
    assert sorted(system.cancelled[0]) == sorted(system.asks)
    assert not os.path.exists(scene.notes.owner)


def test_who_closes_without_an_answer_leaves_a_later_driver_something_to_look_for(scene: Scene) -> None:
    deaf(scene)
    scene.crew.needs = [LONG]
    scene.wait(3)
    scene.fleet.close()
    assert os.path.exists(scene.notes.owner)


def test_who_is_busy_for_nobody_knows_how_long_has_nothing_free(scene: Scene) -> None:
    # A clock that goes on while the fleet looks around, as clocks do.
    tick = iter(range(1, 1000000))
    scene.fleet.clock = lambda: scene.now + next(tick) * 1e-6
    room = Room(scene.plan.pools[0], "1", node="n1", address="tcp://n1:1", ends=scene.now + 1e6)
    scene.crew.needs = [Needs()] * 8
    scene.look()
    for number in range(4):
        room.take(str(number), Needs(), None)
    scene.crew.posts = lambda: {"1": room.post()._replace(ends=scene.now + 3600.0)}  # type: ignore[method-assign]
    scene.crew.needs = [Needs()] * 4
    scene.wait(60)
    assert len(scene.there()) == 2


def test_the_last_holder_of_what_another_pool_waits_for_stays(tmp_path: Path) -> None:
    scene = Scene(tmp_path, pool(), pool("gpu", gpus=1))
    scene.crew.needs = [LONG]
    scene.look()
    scene.arrive("1", needed=True)
    scene.crew.needs = [LONG._replace(gpus=1)]
    scene.wait(600)
    assert scene.crew.dismissed == []
    assert [pilot.pool for pilot in scene.there()] == ["small", "gpu"]
    assert scene.system.cancelled == []
    # Now there is somebody who takes what it holds.
    scene.arrive("2")
    scene.busy("2", 3600.0)
    scene.crew.needs = []
    scene.look()
    assert set(scene.crew.dismissed) == {"1"}


def test_pilots_that_went_while_the_batch_system_was_silent_are_no_failures(scene: Scene) -> None:
    scene.crew.needs = [LONG] * 12
    scene.look()
    ids = [pilot.id for pilot in scene.there()]
    for id in ids:
        scene.fleet.standing(Standing(id, Phase.ended, "CANCELLED"))
        scene.system.records[id] = Certificate(id, "Cancelled", "CANCELLED")
    scene.system.error = BatchSilent("Unable to contact slurm controller")
    scene.wait(120)
    assert scene.crew.given_up == {}
    scene.system.error = None
    scene.wait(60)
    assert [data["error"] for data in scene.told("pilot.ended")] == ["Cancelled"] * 3
    assert len(scene.there()) == 3


def test_a_batch_job_that_may_still_be_there_is_cancelled(scene: Scene) -> None:
    scene.crew.needs = [LONG]
    scene.look()
    scene.arrive("1")
    scene.look()
    scene.crew.arrived.clear()
    scene.look()
    scene.fleet.lost("1", "WorkerLost", "gone; the batch system has no record of its end")
    scene.wait(2)
    assert scene.system.cancelled == [["1"]]
    # It is heard of once more before it ends.
    scene.crew.arrived["1"] = Post(
        "1", "small", 0, None, 2e9, cores=4, memory=0, gpus=0, node="", address="", free_at=None
    )
    scene.look()
    assert scene.crew.closed == ["1"]


def test_a_batch_job_that_told_of_its_end_is_not_cancelled(scene: Scene) -> None:
    scene.crew.needs = [LONG]
    scene.look()
    scene.arrive("1")
    scene.look()
    scene.crew.arrived.clear()
    scene.end("1", 1)
    scene.look()
    scene.fleet.lost("1", "WorkerLost", "gone; the batch system has no record of its end")
    scene.wait(100)
    assert scene.system.cancelled == []


def test_who_has_enough_jobs_already_waits(scene: Scene) -> None:
    scene.system.refuses = BatchRefused("sbatch: error: AssocMaxSubmitJobLimit")
    scene.crew.needs = [LONG]
    scene.look()
    assert scene.crew.given_up == {}
    assert len(scene.told("pool.paused")) == 1
    scene.system.refuses = None
    scene.wait(50)
    assert scene.there() == []
    scene.wait(15)
    assert len(scene.there()) == 1


def test_submissions_wait_while_the_batch_system_is_silent(scene: Scene) -> None:
    scene.system.error = BatchSilent("Unable to contact slurm controller")
    scene.crew.needs = [LONG]
    scene.wait(60)
    assert scene.told("site.silent") == [{"error": "Unable to contact slurm controller"}]
    assert scene.crew.given_up == {}
    scene.system.error = None
    scene.wait(60)
    assert len(scene.there()) == 1
    assert len(scene.told("site.answers")) == 1


def test_a_cancel_that_was_not_heard_is_said_again(scene: Scene) -> None:
    scene.crew.needs = [LONG]
    scene.look()
    scene.crew.needs = []
    scene.system.error = BatchSilent("no answer")
    scene.wait(70)
    assert scene.there() == []
    scene.system.error = None
    scene.wait(60)
    assert scene.system.cancelled == [["1"]]


def test_a_hopeless_pilot_is_cancelled_and_its_pool_given_up(scene: Scene) -> None:
    scene.crew.needs = [LONG]
    scene.look()
    scene.fleet.standing(Standing("1", Phase.pending, "PENDING", reason="PartitionTimeLimit", hopeless=True))
    scene.wait(2)
    assert scene.system.cancelled == [["1"]]
    assert isinstance(scene.crew.given_up["small"], BatchRefused)
    assert "PartitionTimeLimit" in str(scene.crew.given_up["small"])


def test_where_others_of_the_pool_serve_a_hopeless_pilot_is_only_cancelled(scene: Scene) -> None:
    scene.crew.needs = [LONG]
    scene.look()
    scene.arrive("1")
    scene.busy("1", 3600.0)
    scene.wait(4)
    scene.fleet.standing(Standing("2", Phase.pending, "PENDING", reason="ReqNodeNotAvail", hopeless=True))
    scene.wait(20)
    assert scene.system.cancelled == [["2"]]
    assert scene.crew.given_up == {}
    assert len(scene.system.asks) == 2


def test_why_a_pilot_waits_is_told_once(scene: Scene) -> None:
    scene.crew.needs = [LONG] * 8
    scene.look()
    for _ in range(2):
        for pilot in scene.there():
            scene.fleet.standing(Standing(pilot.id, Phase.pending, "PENDING", reason="Priority"))
        scene.look()
    assert scene.told("pilot.waiting") == [{"id": "1_0", "pool": "small", "reason": "Priority"}]
    assert [pilot.reason for pilot in scene.fleet.pilots()] == ["Priority", "Priority"]


def test_a_start_that_only_the_batch_system_tells_of(scene: Scene) -> None:
    scene.crew.needs = [LONG]
    scene.look()
    scene.fleet.standing(Standing("1", Phase.running, "RUNNING", node="n3"))
    scene.look()
    assert scene.told("pilot.started") == [{"id": "1", "pool": "small", "node": "n3"}]


def test_a_pilot_that_went_away_without_a_note_is_asked_about(scene: Scene) -> None:
    scene.crew.needs = [LONG]
    scene.look()
    scene.system.records["1"] = Certificate("1", "WorkerLost", "FAILED", exit_code=1, node="n1")
    scene.fleet.vanished("1")
    scene.look()
    # Another one is on its way, before it is known why.
    assert [pilot.id for pilot in scene.there()] == ["2"]
    (failed,) = scene.told("pilot.failed")
    assert "FAILED" in failed["reason"]


def test_who_was_cancelled_by_somebody_did_not_fail(tmp_path: Path) -> None:
    scene = Scene(tmp_path, patience=1)
    scene.crew.needs = [LONG]
    scene.look()
    scene.system.records["1"] = Certificate("1", "Cancelled", "CANCELLED")
    scene.fleet.standing(Standing("1", Phase.ended, "CANCELLED"))
    scene.wait(2)
    assert scene.crew.given_up == {}
    assert scene.told("pilot.failed") == []
    assert scene.told("pilot.ended")[0]["error"] == "Cancelled"
    assert [pilot.id for pilot in scene.there()] == ["2"]


def test_the_batch_system_is_not_asked_more_often_than_it_may_be(scene: Scene) -> None:
    scene.crew.needs = [LONG]
    for number in range(1, 20):
        scene.wait(5)
        scene.fleet.vanished(str(number))
    # 95 s, and 30 s between two queries.
    assert scene.system.queries <= 4


def test_a_worker_that_does_not_arrive_is_not_waited_for_forever(scene: Scene) -> None:
    scene.crew.needs = [LONG]
    scene.look()
    scene.begin("1")
    scene.wait(START + 3)
    assert scene.system.cancelled == [["1"]]
    assert "did not arrive" in scene.told("pilot.failed")[0]["reason"]
    assert [pilot.id for pilot in scene.there()] == ["2"]


def test_a_pilot_of_which_the_submission_was_not_heard_is_adopted(scene: Scene) -> None:
    scene.begin("77", "n4")
    scene.look()
    (pilot,) = scene.there()
    assert (pilot.id, pilot.pool, pilot.node, pilot.stage) == ("77", "small", "n4", Stage.started)


def test_the_log_of_a_pilot_is_where_it_says_if_that_is_seen_here(scene: Scene, tmp_path: Path) -> None:
    here = tmp_path / "spool"
    here.write_text("hello")
    for number, log in enumerate((here, tmp_path / "not here")):
        Path(scene.notes.folder, f"{number}.began").write_text(f"n1\nsmall\n0\n{log}\n")
    scene.look()
    assert [pilot.log for pilot in scene.there()] == [str(here), ""]
    assert [scene.fleet.log_tail(id) for id in ("0", "1", "2")] == ["hello", "", ""]


def test_a_lost_worker_is_replaced_and_its_end_told_by_who_knows_it(scene: Scene) -> None:
    scene.crew.needs = [LONG]
    scene.look()
    scene.arrive("1")
    scene.look()
    scene.crew.arrived.clear()
    scene.look()
    scene.look()
    assert [pilot.id for pilot in scene.there()] == ["2"]
    scene.fleet.lost("1", "NodeFailure", "batch job 1: NODE_FAIL on n1")
    scene.look()
    assert scene.told("pilot.ended") == [
        {"id": "1", "pool": "small", "node": "n1", "reason": "batch job 1: NODE_FAIL on n1", "error": "NodeFailure"}
    ]


def test_a_lost_worker_of_which_nobody_knows_anything(scene: Scene) -> None:
    scene.crew.needs = [LONG]
    scene.look()
    scene.arrive("1")
    scene.look()
    scene.crew.arrived.clear()
    scene.wait(40)
    assert scene.told("pilot.ended")[0]["error"] == "WorkerLost"


def test_a_worker_that_comes_back_is_there_again(scene: Scene) -> None:
    scene.crew.needs = [LONG]
    scene.look()
    scene.arrive("1")
    scene.look()
    post = scene.crew.arrived.pop("1")
    scene.crew.needs = []
    scene.look()
    scene.crew.arrived["1"] = post
    scene.look()
    assert [pilot.id for pilot in scene.there()] == ["1"]
    assert len(scene.told("pilot.arrived")) == 2


def test_all_pilots_are_cancelled_by_one_call(scene: Scene) -> None:
    scene.crew.needs = [LONG] * 12
    scene.look()
    scene.begin("1_0")
    scene.arrive("1_1")
    scene.look()
    scene.fleet.close()
    assert scene.system.cancelled == [["1_0", "1_1", "1_2"]]
    assert {data["reason"] for data in scene.told("pilot.ended")} == {"its site was closed"}
    assert not os.path.exists(scene.notes.owner)


def test_of_a_lost_worker_the_batch_job_is_cancelled_too(scene: Scene) -> None:
    scene.crew.needs = [LONG]
    scene.look()
    scene.arrive("1")
    scene.look()
    scene.crew.arrived.clear()
    scene.crew.needs = []
    scene.look()
    scene.fleet.close()
    assert scene.system.cancelled == [["1"]]


def test_what_cannot_be_cancelled_is_left_to_a_later_driver(scene: Scene) -> None:
    scene.crew.needs = [LONG]
    scene.look()
    scene.system.error = BatchSilent("no answer")
    scene.fleet.close()
    assert os.path.exists(scene.notes.owner)


def test_a_fleet_of_its_own_thread_hears_a_nudge(tmp_path: Path) -> None:
    calm = Scene(tmp_path)
    heard = threading.Event()

    class Crew(MemoryCrew):
        def posts(self) -> Any:
            heard.set()
            return super().posts()

    fleet = Fleet("cedar", calm.plan, calm.system, calm.watch, Crew(), tell=lambda *_: None)
    fleet.open("tcp://10.0.0.1:8786", "")
    try:
        for _ in range(3):
            assert heard.wait(60)
            heard.clear()
            fleet.nudge()
    finally:
        fleet.close()
    assert fleet._thread is not None
    assert not fleet._thread.is_alive()


SLEEPER = """#!/bin/sh
trap 'exit 0' TERM
while :; do sleep 0.1; done
"""
DRIVER = """
import sys
from pathlib import Path
from tests.sites.pilots.test_fleet import LONG, RealScene
scene = RealScene(Path(sys.argv[1]))
scene.crew.needs = [LONG] * 2
scene.fleet.open("tcp://127.0.0.1:1", "")
scene.until(lambda: len(scene.told("pilot.started")) == 2)
print(*[pilot.id for pilot in scene.fleet.pilots()], flush=True)
sys.stdin.read()
"""


class RealScene:
    """A fleet on a real Slurm, whose pilots hold a program that only sleeps in place of a worker."""

    def __init__(self, directory: Path, **changes: Any) -> None:
        python = directory / "sleeper"
        if not python.exists():
            python.write_text(SLEEPER)
            python.chmod(0o755)
        of = pool(cores=1, memory=100 * 2**20, walltime=300.0, queue=Queue("main"))
        self.plan = SitePlan((of._replace(**changes),), str(directory), python=str(python), poll=1.0)
        self.system = Slurm()
        self.watch = Watch(self.system, 1.0)
        self.crew = MemoryCrew(self.plan.pools)
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.changed = threading.Condition()
        self.fleet = Fleet("hcedar", self.plan, self.system, self.watch, self.crew, tell=self.tell)

    def tell(self, kind: str, data: dict[str, Any]) -> None:
        with self.changed:
            self.events.append((kind, data))
            self.changed.notify_all()

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [data for found, data in list(self.events) if found == kind]

    def until(self, what: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(what, 120), self.events

    def ended(self, ids: Iterable[str]) -> bool:
        return all(one.phase is Phase.ended for one in self.system.standings(ids).values())

    def close(self) -> None:
        self.fleet.close()
        self.watch.close()


@pytest.fixture
def real(tmp_path: Path, slurm: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., RealScene]]:
    slurm.activate(monkeypatch)
    scenes: list[RealScene] = []

    def make(**changes: Any) -> RealScene:
        scenes.append(RealScene(tmp_path, **changes))
        return scenes[-1]

    yield make
    for scene in scenes:
        scene.close()


def soon(what: Callable[[], bool]) -> None:
    """Wait for what nobody tells of."""
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.integration
def test_pilots_on_a_real_slurm_start_and_go(real: Callable[..., RealScene]) -> None:
    scene = real()
    scene.crew.needs = [LONG] * 2
    scene.fleet.open("tcp://127.0.0.1:1", "")
    scene.until(lambda: len(scene.told("pilot.started")) == 2)
    first, second = scene.fleet.pilots()
    assert first.id.partition("_")[0] == second.id.partition("_")[0]
    assert scene.fleet.node_of(first.id).startswith("n")
    soon(lambda: os.path.exists(first.log))
    scene.close()
    soon(lambda: scene.ended([first.id, second.id]))
    assert [data["reason"] for data in scene.told("pilot.ended")] == ["its site was closed"] * 2


@pytest.mark.integration
def test_a_prologue_that_fails_on_a_real_slurm(real: Callable[..., RealScene]) -> None:
    scene = real(queue=Queue("main", prologue=("echo 'all is well'", "module_that_is_not_there load")))
    scene.crew.needs = [LONG]
    scene.fleet.open("tcp://127.0.0.1:1", "")
    scene.until(lambda: bool(scene.told("pool.given_up")))
    soon(lambda: bool(scene.crew.given_up))
    text = str(scene.crew.given_up["small"])
    for part in ("The last 3 pilots", "all is well", "module_that_is_not_there", "exit code 127", "`prologue`", "on n"):
        assert part in text


@pytest.mark.integration
def test_a_partition_that_is_not_there_on_a_real_slurm(real: Callable[..., RealScene]) -> None:
    scene = real(queue=Queue("nowhere"))
    scene.crew.needs = [LONG]
    scene.fleet.open("tcp://127.0.0.1:1", "")
    scene.until(lambda: bool(scene.told("pool.given_up")))
    soon(lambda: bool(scene.crew.given_up))
    assert isinstance(scene.crew.given_up["small"], BatchRefused)


@pytest.mark.integration
def test_who_is_cancelled_in_a_real_slurm_is_replaced(real: Callable[..., RealScene]) -> None:
    scene = real()
    scene.crew.needs = [LONG]
    scene.fleet.open("tcp://127.0.0.1:1", "")
    scene.until(lambda: bool(scene.told("pilot.started")))
    (first,) = scene.fleet.pilots()
    scene.system.cancel([first.id])
    scene.until(lambda: len(scene.told("pilot.started")) == 2)
    assert scene.crew.given_up == {}


@pytest.mark.integration
def test_pilots_of_a_driver_that_was_killed_are_cancelled_by_the_next(
    real: Callable[..., RealScene], tmp_path: Path
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    ids = process.stdout.readline().split()
    process.kill()
    process.communicate()
    assert len(ids) == 2
    scene = real()
    assert not scene.ended(ids)
    scene.fleet.open("tcp://127.0.0.1:1", "")
    scene.until(lambda: bool(scene.told("pilots.swept")))
    assert scene.told("pilots.swept") == [{"ids": ids}]
    soon(lambda: scene.ended(ids))
