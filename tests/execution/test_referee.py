from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from daskflow.errors import RunFailed
from daskflow.execution.asking.questions import LOOK
from daskflow.execution.holding.races import Races
from daskflow.execution.referee import Referee, Ruling
from daskflow.execution.results import Results
from daskflow.graph.gate import Awaited, Gatekeeper
from daskflow.graph.job import Job
from daskflow.graph.question import Asker
from daskflow.graph.race import Racer
from daskflow.model.states import JobState, QuestionState
from tests.conftest import Lab
from tests.execution.handmade import ended, job
from tests.graph.projects import FakeLauncher

first, ask, keep = Racer(FakeLauncher()), Asker(FakeLauncher()), Gatekeeper(FakeLauncher())


class Court:
    """A referee, and what it needs to judge."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.races = Races()
        self.results = Results(lab.project, {}, threading.Condition())
        self.referee = Referee(
            lab.project.journal, "a-run", self.races, self.results, threading.Condition(threading.RLock())
        )

    def end(self, member: Job, value: Any = None, *, good: bool = True) -> None:
        member.state = JobState.succeeded if good else JobState.failed
        member.record = ended(member, str(member.state))
        if good:
            self.results._stored[member.key] = self.results.dump(value)
        self.races.note(member)

    def value(self, ruling: Ruling) -> Any:
        assert ruling.outcome is not None
        assert ruling.outcome.value is not None
        return self.lab.project.values.load(ruling.outcome.value)


@pytest.fixture
def court(lab: Lab) -> Court:
    return Court(lab)


def error(ruling: Ruling) -> str:
    assert ruling.outcome is not None
    assert ruling.outcome.failure is not None
    assert ruling.outcome.state == "failed"
    return f"{ruling.outcome.failure.type}: {ruling.outcome.failure.message}"


def members(count: int) -> list[Job]:
    return [job(f"member-{i}") for i in range(count)]


def test_the_winner_gives_the_race_its_value(court: Court) -> None:
    some = members(3)
    court.referee.begin([first(some, where=lambda value: value > 1)])
    court.end(some[0], 1)
    assert court.referee.work() == []
    court.end(some[2], 2)
    (ruling,) = court.referee.work()
    assert court.value(ruling) == 2
    assert ruling.losers == [some[1]]
    assert ruling.outcome is not None
    assert ruling.outcome.reason == "won by member-2"


def test_several_winners_make_a_list(court: Court) -> None:
    some = members(2)
    court.referee.begin([first(some, count=2)])
    court.end(some[1], "b")
    court.end(some[0], "a")
    (ruling,) = court.referee.work()
    assert court.value(ruling) == ["b", "a"]


def test_a_lost_race_tells_how_its_members_ended(court: Court) -> None:
    some = members(12)
    court.referee.begin([first(some)])
    for one in some:
        court.end(one, good=False)
    (ruling,) = court.referee.work()
    told = error(ruling)
    assert told.startswith("daskflow.errors.RaceLost: 0 of 12 jobs were good enough, and 1 had to be:")
    assert "member-0: failed" in told
    assert told.endswith("and 2 more")


def test_a_rule_that_raises_fails_the_race(court: Court) -> None:
    some = members(2)
    court.referee.begin([first(some, where=lambda value: value / 0)])
    court.end(some[0], 1)
    (ruling,) = court.referee.work()
    assert error(ruling).startswith("ZeroDivisionError")
    assert ruling.losers == [some[1]]


def test_a_question_is_looked_at_until_it_is_answered(court: Court) -> None:
    (record,) = court.referee.begin([ask.job("Go on?", schema=int)])
    assert court.referee.patience == LOOK
    assert court.referee.work() == []
    court.lab.project.journal.answer_question(record.id, "4", "somebody")
    (ruling,) = court.referee.work()
    assert court.value(ruling) == 4
    assert court.referee.patience is None


def test_questions_that_nobody_needs_are_withdrawn(court: Court) -> None:
    (record,) = court.referee.begin([ask.job("Go on?", schema=int)])
    court.referee.forget()
    assert court.lab.project.journal.question(record.id).state is QuestionState.withdrawn


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (RunFailed("3 jobs failed"), "daskflow.errors.RunFailed: 3 jobs failed"),
        (KeyError("x"), "daskflow.errors.JobFailed: The run child failed: KeyError('x')"),
    ],
)
def test_the_value_of_a_run_is_there_when_it_has_ended(court: Court, raised: Exception, told: str) -> None:
    good = SimpleNamespace(id="good", ended=False, result=lambda: 5)

    def fail() -> Any:
        raise raised

    bad = SimpleNamespace(id="child", ended=True, result=fail)
    court.referee.begin([keep(Awaited(good, "")), keep(Awaited(bad, ""))])
    (ruling,) = court.referee.work()
    assert error(ruling) == told
    good.ended = True
    (ruling,) = court.referee.work()
    assert court.value(ruling) == 5
