from __future__ import annotations

from typing import Any

import pytest

from daskflow.errors import BatchRefused, BatchSilent
from daskflow.sites.batch.system import Certificate, Phase, Standing
from daskflow.sites.pilots.ends import WITHDRAWN
from daskflow.sites.pilots.errands import Errands
from daskflow.sites.pilots.lives import Lives
from daskflow.sites.pilots.pilot import Pilot, Stage
from daskflow.sites.pilots.refusals import Refusals
from daskflow.sites.pilots.roll import Roll
from daskflow.sites.pilots.setbacks import Setbacks
from tests.sites.pilots.fleets import MemoryCrew, MemorySystem

NOW = 1e9


class Case:
    def __init__(self, patience: int = 2) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.system, self.crew, self.roll, self.errands = MemorySystem(), MemoryCrew(), Roll(), Errands("test")
        self.errands._give = lambda errand: errand()  # type: ignore[method-assign]
        self.lives = Lives(self.roll, lambda *event: self.events.append(event))
        self.setbacks = Setbacks(
            self.system,
            30.0,
            self.crew,
            lives=self.lives,
            refusals=Refusals("cedar", patience),
            errands=self.errands,
        )

    def pilot(self, id: str, stage: Stage = Stage.started) -> Pilot:
        pilot = self.lives.submitted(id, "small", "", NOW)
        pilot.stage = stage
        return pilot

    def ask(self, now: float) -> None:
        self.setbacks.ask_why(now)
        self.errands.listen()

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.events if kind != "pilot.submitted"]


@pytest.fixture
def case() -> Case:
    return Case()


def test_one_query_for_all_that_went_away(case: Case) -> None:
    for id in ("1", "2", "3"):
        case.pilot(id, Stage.submitted)
        case.system.records[id] = Certificate(id, "Cancelled", "CANCELLED")
        case.setbacks.went(id)
    case.setbacks.went("7")
    case.ask(NOW)
    assert case.system.queries == 1
    assert case.kinds == ["pilot.ended"] * 3
    case.ask(NOW + 100)
    assert case.system.queries == 1


def test_a_note_that_comes_late_says_more_than_the_record(case: Case) -> None:
    case.pilot("1")
    case.setbacks.went("1")
    case.setbacks.noted("1", 5, NOW)
    case.ask(NOW)
    assert case.system.queries == 0
    assert "exit code 5" in case.events[1][1]["reason"]
    case.setbacks.noted("1", 5, NOW)
    case.setbacks.noted("9", 5, NOW)
    assert case.kinds == ["pilot.failed", "pilot.ended"]


def test_a_note_while_the_record_is_asked_for(case: Case) -> None:
    case.pilot("1")
    case.setbacks.went("1")
    case.setbacks.ask_why(NOW)
    case.setbacks.noted("1", 5, NOW)
    case.errands.listen()
    assert case.kinds == ["pilot.failed", "pilot.ended"]


@pytest.mark.parametrize("error", [BatchSilent("no answer"), BlockingIOError(11, "Resource temporarily unavailable")])
def test_a_system_that_does_not_answer_is_asked_again(case: Case, error: Exception) -> None:
    for id in ("1", "2"):
        case.pilot(id)
        case.system.records[id] = Certificate(id, "Cancelled", "CANCELLED")
        case.setbacks.went(id)
    case.system.error = error
    case.ask(NOW)
    case.ask(NOW + 29)
    assert (case.system.queries, case.kinds) == (1, [])
    case.setbacks.noted("2", 5, NOW + 29)
    case.ask(NOW + 30)
    assert (case.system.queries, case.kinds) == (2, ["pilot.failed", "pilot.ended"])
    case.system.error = None
    case.ask(NOW + 60)
    assert case.events[-1][1]["error"] == "Cancelled"
    assert case.crew.given_up == {}


@pytest.mark.parametrize(("error", "after"), [(BatchSilent("no answer"), 600), (BatchRefused("not for you"), 0)])
def test_where_no_record_comes_it_was_a_failed_start(case: Case, error: Exception, after: int) -> None:
    case.pilot("1")
    case.setbacks.went("1")
    case.system.error = error
    for seconds in range(0, after, 30):
        case.ask(NOW + seconds)
    assert case.kinds == []
    case.ask(NOW + after)
    assert case.events[-1][1]["error"] == "StartupFailed"


def test_the_next_query_waits_for_the_answer_to_the_last(case: Case) -> None:
    errands: list[Any] = []
    case.errands._give = errands.append  # type: ignore[method-assign, assignment]
    case.pilot("1")
    case.setbacks.went("1")
    for seconds in range(0, 300, 30):
        case.ask(NOW + seconds)
    assert len(errands) == 1
    case.system.error = BatchSilent("no answer")
    errands[0]()
    case.errands.listen()
    case.ask(NOW + 300)
    assert len(errands) == 2


def test_one_pause_is_told_once(case: Case) -> None:
    for _ in range(3):
        case.setbacks.refused("small", BatchRefused("QOSMaxSubmitJobPerUserLimit"), serving=False, now=NOW)
    assert case.kinds == ["pool.paused"]
    case.setbacks.refused("small", BatchRefused("QOSMaxSubmitJobPerUserLimit"), serving=False, now=NOW + 60)
    assert case.kinds == ["pool.paused"] * 2


def test_the_end_of_one_that_had_arrived_is_no_setback(case: Case) -> None:
    case.pilot("1", Stage.arrived)
    case.setbacks.noted("1", 0, NOW)
    case.setbacks.went("1")
    case.ask(NOW)
    assert case.kinds == []
    assert case.lives.code("1") == 0


def test_with_a_pool_go_those_in_the_queue(case: Case) -> None:
    for id in ("1", "2", "3"):
        case.pilot(id)
    case.pilot("4", Stage.arrived)
    case.setbacks.refused("small", BatchRefused("no such queue"), serving=False, now=NOW)
    assert case.setbacks.doomed == {"1", "2", "3"}
    assert list(case.crew.given_up) == ["small"]
    # What was submitted meanwhile goes too.
    case.pilot("5", Stage.submitted)
    case.setbacks.clear("small")
    assert case.setbacks.doomed == {"1", "2", "3", "5"}
    case.setbacks.refused("small", BatchRefused("no such queue"), serving=False, now=NOW)
    assert case.kinds.count("pool.given_up") == 1


def test_one_that_is_late_is_cancelled_and_counts(case: Case) -> None:
    for id in ("1", "2"):
        case.setbacks.late(case.pilot(id), NOW)
    assert case.setbacks.doomed == case.setbacks.dismissed == {"1", "2"}
    assert list(case.crew.given_up) == ["small"]


def test_hopeless_ones(case: Case) -> None:
    standing = Standing("1", Phase.pending, "PENDING", reason="PartitionTimeLimit", hopeless=True)
    case.setbacks.hopeless(case.pilot("1", Stage.submitted), standing, NOW)
    text = str(case.crew.given_up["small"])
    for part in ("memory will never start", "'small'", "'cedar'", "PartitionTimeLimit", "daskflow site check cedar"):
        assert part in text


def test_who_is_dismissed_is_told_why(case: Case) -> None:
    case.setbacks.dismiss([case.pilot("1")], WITHDRAWN)
    assert case.events[-1] == (
        "pilot.ended",
        {"id": "1", "pool": "small", "node": "", "reason": WITHDRAWN.reason, "error": ""},
    )
