from __future__ import annotations

import datetime
from typing import Any

import pytest

from daskflow.execution.holding.waiting import Waiting
from daskflow.graph.conditions import Condition
from daskflow.graph.facts import at, available
from daskflow.graph.gate import Gatekeeper
from daskflow.graph.job import Job
from daskflow.graph.race import Racer
from daskflow.model.states import JobState
from tests.execution.handmade import job
from tests.graph.projects import FakeLauncher


def when(one: Job, condition: Condition, **terms: Any) -> Job:
    one.terms = one.terms._replace(condition=condition, **terms)
    return one


def lenient(one: Job) -> Job:
    one.terms = one.terms._replace(lenient=frozenset(up.key for up in one.upstream if isinstance(up, Job)))
    return one


def end(waiting: Waiting, one: Job, state: JobState = JobState.succeeded, reason: str = "") -> None:
    one.state, one.reason = state, reason
    waiting.note(one)


def ready(waiting: Waiting) -> list[str]:
    return [one.key for one in waiting.freed().ready]


def refused(waiting: Waiting) -> dict[str, str]:
    return {one.key: why for one, why in waiting.freed().refused}


def test_what_depends_on_a_job_in_doubt_is_in_doubt() -> None:
    told, waiting = job("told"), Waiting()
    doubted = when(job("doubted"), told.succeeded)
    below, beside = job("below", doubted), job("beside", told)
    free, kept = waiting.doubt([told, doubted, below, beside])
    assert [one.key for one in free] == ["told", "beside"]
    assert [one.key for one in kept] == ["doubted", "below"]
    assert "below" in waiting
    end(waiting, told)
    assert waiting.changed
    assert ready(waiting) == ["doubted", "below"]
    assert (len(waiting), waiting.changed) == (0, False)


def test_a_condition_that_can_never_hold_refuses_all_that_waited_for_it() -> None:
    told, waiting = job("told"), Waiting()
    doubted = when(job("doubted"), told.succeeded)
    below = job("below", doubted)
    waiting.doubt([doubted, below])
    end(waiting, told, JobState.failed)
    assert refused(waiting) == {"doubted": "told failed, so told.succeeded can never hold"}
    end(waiting, doubted, JobState.skipped, "a reason")
    assert refused(waiting) == {"below": "a reason"}
    end(waiting, below, JobState.skipped)
    assert len(waiting) == 0


def test_a_condition_that_is_decided_already_keeps_nobody() -> None:
    told, waiting = job("told"), Waiting()
    told.state = JobState.cached
    free, kept = waiting.doubt([when(job("yes"), told.succeeded), when(job("no"), told.failed)])
    assert [one.key for one in free] == ["yes"]
    assert [one.key for one in kept] == ["no"]
    assert list(refused(waiting)) == ["no"]


@pytest.mark.parametrize("state", [JobState.succeeded, JobState.failed, JobState.cancelled])
def test_who_takes_failures_as_values_waits_for_the_end_whatever_it_is(state: JobState) -> None:
    one, two, waiting = job("one"), job("two"), Waiting()
    user = lenient(job("user", one, two))
    waiting.doubt([user])
    end(waiting, one)
    assert ready(waiting) == []
    end(waiting, two, state)
    assert ready(waiting) == ["user"]


def test_what_the_run_performs_itself_keeps_those_below_until_it_has_a_result() -> None:
    verdict = Gatekeeper(FakeLauncher())("matter")
    verdict.number = 0
    below, beside, waiting = job("below", verdict), job("beside"), Waiting()
    going, begun = waiting.hold([verdict, below, beside])
    assert [one.key for one in going] == ["beside"]
    assert begun == [verdict]
    assert ready(waiting) == []
    end(waiting, verdict)
    assert ready(waiting) == ["below"]


def test_a_number_of_a_running_job_frees_who_waits_for_it() -> None:
    told, waiting = job("told"), Waiting()
    waiting.doubt([when(job("waits"), told.metric("chisq") < 1.1)])
    waiting.observe("told", "other", 1.0)
    waiting.observe("told", "chisq", 1.2)
    assert not waiting.changed
    waiting.observe("told", "chisq", 1.0)
    assert ready(waiting) == ["waits"]


def test_a_wider_condition_takes_the_place_of_the_first() -> None:
    one, two, waiting = job("one"), job("two"), Waiting()
    held = when(job("held"), one.succeeded)
    waiting.doubt([held])
    waiting.reconsider(when(held, one.succeeded | two.succeeded))
    end(waiting, two)
    assert ready(waiting) == ["held"]
    end(waiting, one, JobState.failed)
    assert not waiting.changed, "the first condition counts no more"


def test_only_clocks_and_sites_are_looked_at() -> None:
    told, waiting = job("told"), Waiting()
    waiting.doubt([when(job("a"), told.succeeded)])
    assert (waiting.patience, waiting.sites()) == (None, [])
    room = available("there")
    waiting.doubt([when(job("b"), room), when(job("c"), at(datetime.datetime.now() + datetime.timedelta(hours=1)))])
    assert waiting.patience is not None
    assert 0 < waiting.patience <= 1
    assert waiting.sites() == [room]
    room.hold()
    waiting.look()
    assert ready(waiting) == ["b"]
    assert waiting.sites() == []
    assert 3500 < (waiting.patience or 0) <= 3600
    waiting.clear()
    assert (len(waiting), waiting.sites()) == (0, [])


def test_a_clock_is_looked_at_no_more_when_its_time_has_come() -> None:
    told, waiting = job("told"), Waiting()
    past = at(datetime.datetime.now() - datetime.timedelta(hours=1))
    waiting.doubt([when(job("a"), told.succeeded & past)])
    waiting.look()
    assert waiting.patience is None
    end(waiting, told)
    assert ready(waiting) == ["a"]


def test_what_no_site_performs_is_waited_for_outside() -> None:
    told, far = job("told"), job("far")
    later = at(datetime.datetime.now() + datetime.timedelta(hours=1))
    for one, outward in [
        (when(job("after"), told.succeeded), False),
        (when(job("later"), later), True),
        (when(job("either"), told.succeeded | later), True),
        (when(job("below", far), later), False),
    ]:
        waiting = Waiting()
        waiting.doubt([one])
        assert (len(waiting), waiting.outward) == (1, outward), one.key
    waiting = Waiting()
    waiting.doubt([when(job("after"), told.succeeded)])
    told.state = JobState.succeeded
    waiting.note(told)
    assert waiting.outward, "it is to be planned"
    awaited = job("awaited")
    awaited.task = Gatekeeper(FakeLauncher())
    waiting = Waiting()
    waiting.hold([awaited])
    assert waiting.outward
    race = job("race", far)
    race.task = Racer(FakeLauncher())
    waiting = Waiting()
    waiting.hold([race])
    assert not waiting.outward, "its members decide it"
