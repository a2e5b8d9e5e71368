from __future__ import annotations

from typing import Any

import pytest

from daskflow.sites.pilots.crew import Post
from daskflow.sites.pilots.ends import IDLE, Ending
from daskflow.sites.pilots.lives import EXPLAINED, LINGERING, Lives
from daskflow.sites.pilots.pilot import Pilot, Stage
from daskflow.sites.pilots.roll import Roll

POST = Post("1", "small", 0, 0.0, 1000.0, cores=4, memory=1, gpus=0, node="n1", address="tcp://n1:1", free_at=0.0)


class Told:
    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.lives = Lives(Roll(), lambda *event: self.events.append(event))

    def pilot(self, stage: Stage = Stage.submitted) -> Pilot:
        pilot = self.lives.submitted("1", "small", "/log", 0.0)
        if stage is not Stage.submitted:
            self.lives.started(pilot, "n1", 1.0)
        if stage is Stage.arrived:
            self.lives.arrived(pilot, POST, 2.0)
        self.events.clear()
        return pilot

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.events]


@pytest.fixture
def told() -> Told:
    return Told()


def test_each_step_is_told_once(told: Told) -> None:
    for _ in range(2):
        pilot = told.lives.submitted("1", "small", "/log", 0.0)
        told.lives.started(pilot, "n1", 1.0)
    told.lives.arrived(pilot, POST, 2.0)
    assert told.kinds == ["pilot.submitted", "pilot.started", "pilot.arrived"]
    assert (pilot.stage, pilot.node, pilot.address, pilot.ends) == (Stage.arrived, "n1", "tcp://n1:1", 1000.0)


def test_a_worker_may_arrive_before_its_start_is_told(told: Told) -> None:
    pilot = told.pilot()
    told.lives.arrived(pilot, POST, 2.0)
    assert told.kinds == ["pilot.started", "pilot.arrived"]


def test_the_log_of_an_adopted_pilot_is_learned_later(told: Told) -> None:
    pilot = told.lives.submitted("1", "small", "", 0.0)
    assert told.lives.submitted("1", "small", "/log", 1.0) is pilot
    assert pilot.log == "/log"


def test_reasons_are_told_when_they_change(told: Told) -> None:
    pilot = told.pilot()
    for reason in ("None", "", "Priority", "Priority", "Resources"):
        told.lives.waits(pilot, reason)
    assert [data["reason"] for _, data in told.events] == ["Priority", "Resources"]


@pytest.mark.parametrize("known", [True, False])
def test_who_was_sent_away_ended_as_it_should(told: Told, known: bool) -> None:
    pilot = told.pilot(Stage.arrived)
    told.lives.closes(pilot, IDLE)
    if known:
        told.lives.known("1", Ending("its worker went away", "WorkerLost"), 9.0)
    else:
        told.lives.missing(pilot, 10.0)
    assert told.kinds == ["pilot.ended"]
    assert (told.events[0][1]["reason"], told.events[0][1]["error"]) == (IDLE.reason, "")


def test_who_is_missing_is_gone_at_once_and_explained_later(told: Told) -> None:
    pilot = told.pilot(Stage.arrived)
    told.lives.missing(pilot, 10.0)
    assert pilot.stage is Stage.gone
    assert told.lives.unsure() == {"1"}
    told.lives.settle(10.0 + EXPLAINED - 1)
    assert told.events == []
    told.lives.known("1", Ending("batch job 1: PREEMPTED", "Preempted"), 9.0)
    assert told.events[0][1] == {
        "id": "1",
        "pool": "small",
        "node": "n1",
        "reason": "batch job 1: PREEMPTED",
        "error": "Preempted",
    }
    told.lives.settle(1e9)
    told.lives.known("1", Ending("again"), 9.0)
    assert told.kinds == ["pilot.ended"]


def test_where_nobody_explains_its_own_note_counts(told: Told) -> None:
    pilot = told.pilot(Stage.arrived)
    told.lives.told(pilot, 0)
    told.lives.missing(pilot, 990.0)
    assert told.lives.unsure() == set()
    told.lives.settle(990.0 + EXPLAINED)
    assert told.events[0][1]["reason"] == "its time was over"


@pytest.mark.parametrize("error", ["WorkerLost", "WalltimeExceeded"])
def test_the_batch_job_of_one_that_is_only_presumed_to_be_lost_lingers(told: Told, error: str) -> None:
    told.lives.missing(told.pilot(Stage.arrived), 10.0)
    assert told.lives.lingering(11.0) == set()
    told.lives.known("1", Ending("gone; the batch system has no record of its end", error), 11.0)
    assert told.lives.unsure() == {"1"}
    assert told.lives.lingering(11.0) == {"1"}
    assert told.lives.lingering(1e9) == told.lives.unsure() == set()


@pytest.mark.parametrize("error", ["", "Cancelled", "NodeFailure", "OutOfMemory", "Preempted"])
def test_an_end_that_was_recorded_is_one(told: Told, error: str) -> None:
    told.lives.missing(told.pilot(Stage.arrived), 10.0)
    told.lives.known("1", Ending("batch job 1: gone", error), 11.0)
    assert told.lives.unsure() == told.lives.lingering(1e9) == set()


@pytest.mark.parametrize("closing", [True, False])
@pytest.mark.parametrize("note", [True, False])
def test_of_whom_nobody_tells_anything_the_note_is_waited_for(told: Told, closing: bool, note: bool) -> None:
    pilot = told.pilot(Stage.arrived)
    if closing:
        told.lives.closes(pilot, IDLE)
    told.lives.missing(pilot, 10.0)
    told.lives.settle(10.0 + EXPLAINED)
    assert told.lives.lingering(9.0 + LINGERING) == set()
    if note:
        told.lives.told(pilot, 0)
    assert told.lives.lingering(10.0 + LINGERING) == (set() if note else {"1"})


def test_who_comes_back_does_not_linger(told: Told) -> None:
    pilot = told.pilot(Stage.arrived)
    told.lives.missing(pilot, 10.0)
    told.lives.arrived(pilot, POST, 11.0)
    assert told.lives.lingering(1e9) == set()


@pytest.mark.parametrize(
    ("error", "lost"), [("Cancelled", 10.0), ("NodeFailure", 10.0), ("WalltimeExceeded", None), ("", None)]
)
@pytest.mark.parametrize("missed", [True, False])
def test_who_went_before_its_time_is_lost(told: Told, error: str, lost: float | None, missed: bool) -> None:
    pilot = told.pilot(Stage.arrived)
    if missed:
        told.lives.missing(pilot, 10.0)
    told.lives.known("1", Ending("batch job 1: gone", error), 10.0)
    assert pilot.lost == lost
    assert told.lives.roll.lost("small", 10.0) == (lost is not None)
    assert told.lives.roll.lost("small", 11.0) == told.lives.roll.lost("large", 0.0) == 0


def test_who_was_sent_away_is_not_lost(told: Told) -> None:
    pilot = told.pilot(Stage.arrived)
    told.lives.closes(pilot, IDLE)
    told.lives.missing(pilot, 10.0)
    assert pilot.lost is None


def test_who_comes_back_was_not_lost(told: Told) -> None:
    pilot = told.pilot(Stage.arrived)
    told.lives.missing(pilot, 10.0)
    told.lives.arrived(pilot, POST, 11.0)
    told.lives.settle(1e9)
    assert told.kinds == ["pilot.arrived"]
    assert told.lives.unsure() == set()
    assert pilot.lost is None


def test_who_is_not_there_yet_is_not_missing(told: Told) -> None:
    pilot = told.pilot(Stage.started)
    told.lives.missing(pilot, 10.0)
    told.lives.known("1", Ending("it is gone", "WorkerLost"), 9.0)
    told.lives.known("7", Ending("it is gone", "WorkerLost"), 9.0)
    assert pilot.stage is Stage.started
    assert told.events == []


def test_a_start_that_failed_is_told_with_its_log(told: Told) -> None:
    told.lives.failed(told.pilot(Stage.started), Ending("no python", "StartupFailed"), "the log")
    assert told.kinds == ["pilot.failed", "pilot.ended"]
    assert told.events[0][1]["log"] == "the log"


def test_a_blameless_end_is_no_failure(told: Told) -> None:
    told.lives.failed(told.pilot(), Ending("somebody cancelled it", "Cancelled"), "")
    assert told.kinds == ["pilot.ended"]
