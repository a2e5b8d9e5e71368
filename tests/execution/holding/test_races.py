from __future__ import annotations

from typing import Any

import pytest

from daskflow.execution.holding.races import Finish, Races, good_enough
from daskflow.graph.job import Job
from daskflow.graph.metrics import metric
from daskflow.graph.race import Racer, Rule
from daskflow.model.states import JobState
from tests.execution.handmade import job
from tests.graph.projects import FakeLauncher

first = Racer(FakeLauncher())


def begun(number: int, /, **given: Any) -> tuple[Races, list[Job], Job]:
    """A race of so many jobs."""
    members = [job(f"m{i}") for i in range(number)]
    races, race = Races(), first(members, **given)
    races.begin(race)
    return races, members, race


def end(races: Races, member: Job, *, good: bool = True) -> list[Finish]:
    """A member ends, and is judged; gives the races that ended by that."""
    member.state = JobState.succeeded if good else JobState.failed
    races.note(member)
    assert races.open
    found = [races.judged(race, one, good) for race, one in races.untested()]
    return [finish for finish in found if finish is not None]


def test_the_first_good_one_wins_and_the_others_lose() -> None:
    races, members, race = begun(3)
    assert end(races, members[1], good=False) == []
    assert end(races, members[2]) == [Finish(race, [members[2]], [members[0]])]
    members[0].state = JobState.cancelled
    races.note(members[0])
    assert not races.open, "the race is over"


def test_several_winners_stand_in_the_order_in_which_they_came() -> None:
    races, members, _ = begun(3, count=2)
    assert end(races, members[2]) == []
    (finish,) = end(races, members[0])
    assert finish.winners == [members[2], members[0]]
    assert finish.losers == [members[1]]


def test_a_race_is_lost_when_the_last_one_is_not_good_enough() -> None:
    races, members, race = begun(2, count=2)
    end(races, members[0])
    assert end(races, members[1], good=False) == [Finish(race, [members[0]], [])]


def test_members_that_ended_before_the_race_count() -> None:
    member, other = job("m0"), job("m1")
    member.state = JobState.cached
    races, race = Races(), first([member, other])
    races.begin(race)
    assert [one for _, one in races.untested()] == [member]


def test_a_number_decides_before_anybody_has_ended() -> None:
    races, members, race = begun(3, where=metric("chisq") < 1.1)
    races.observe("m1", "chisq", 1.2)
    races.observe("m1", "other", 1.0)
    races.observe("stranger", "chisq", 1.0)
    assert not races.open
    races.observe("m1", "chisq", 1.0)
    races.observe("m1", "chisq", 0.9)
    assert races.decided_early() == [Finish(race, [], [members[0], members[2]])]
    assert end(races, members[1])[0].winners == [members[1]]


def test_two_races_over_one_member_are_told_apart() -> None:
    members = [job(f"m{i}") for i in range(3)]
    races = Races()
    for some in (members[:2], members[1:]):
        races.begin(first(some))
    assert len(end(races, members[1])) == 2
    assert not races.open


def test_a_rule_that_raises_ends_the_race() -> None:
    races, members, race = begun(2)
    members[0].state = JobState.succeeded
    races.note(members[0])
    ((found, _),) = races.untested()
    error = ZeroDivisionError()
    assert races.failed(found, error) == Finish(race, [], [members[1]], error)


@pytest.mark.parametrize(
    ("state", "rule", "ahead", "good"),
    [
        (JobState.failed, Rule(None, 1), True, False),
        (JobState.cached, Rule(None, 1), False, True),
        (JobState.succeeded, Rule(lambda value: value > 1, 1), False, True),
        (JobState.succeeded, Rule(lambda value: value > 2, 1), False, False),
        (JobState.succeeded, Rule(metric("x") < 1, 1), False, False),
        (JobState.succeeded, Rule(metric("x") < 1, 1), True, True),
    ],
)
def test_who_is_good_enough(state: JobState, rule: Rule, ahead: bool, good: bool) -> None:
    member = job("m0")
    member.state = state
    assert good_enough(rule, member, lambda job: 2, ahead) is good
