from __future__ import annotations

import threading
from typing import Any

from daskflow.execution.canceller import Canceller
from daskflow.execution.holding.sequels import Left, Sequels
from daskflow.graph.job import Job
from daskflow.graph.race import Racer
from daskflow.model.outcome import Outcome
from daskflow.model.states import JobState
from tests.conftest import Lab


class Site:
    """Kills some of the nodes that it is asked to."""

    def __init__(self, immortal: set[str]) -> None:
        self.immortal = immortal
        self.asked: list[str] = []

    def kill(self, keys: Any) -> set[str]:
        self.asked += keys
        return set(keys) - self.immortal


class Bookkeeper:
    """A roster that performs all its jobs at one site, each in a node of its key."""

    def __init__(self, jobs: list[Job], site: Site) -> None:
        self.jobs = {job.key: job for job in jobs}
        self.site = site
        self.reasons: dict[str, str] = {}
        self.sequels = Sequels()

    def withdraw(self, jobs: list[Job]) -> dict[Site, list[str]]:
        return {self.site: [job.key for job in jobs]}

    def cancel(self, jobs: list[Job], reason: str) -> None:
        for job in jobs:
            job.state = JobState.cancelled
            self.reasons[job.key] = reason


class Silent:
    def forget(self, jobs: set[str]) -> None:
        self.forgotten = jobs


def canceller(jobs: list[Job], site: Site) -> tuple[Canceller, Bookkeeper, threading.Event]:
    keeper, ended = Bookkeeper(jobs, site), threading.Event()
    made = Canceller(keeper, Silent(), threading.Condition(threading.RLock()), on_end=ended.set)  # type: ignore[arg-type]
    return made, keeper, ended


def chain(lab: Lab) -> list[Job]:
    @lab.task
    def step(x: int) -> int:
        return x

    first = step(1)
    return [first, step(first), step(7)]


def test_what_has_ended_stays_as_it_is(lab: Lab) -> None:
    first, second, _ = jobs = chain(lab)
    first.state = JobState.succeeded
    site = Site(set())
    made, keeper, ended = canceller(jobs, site)
    made.cancel([first, second], "so it was said")
    assert (site.asked, keeper.reasons) == ([second.key], {second.key: "so it was said"})
    assert first.state is JobState.succeeded
    assert ended.is_set()


def test_what_cannot_be_killed_is_said(lab: Lab) -> None:
    first, *_ = jobs = chain(lab)
    made, keeper, _ = canceller(jobs, Site({first.key}))
    made.cancel([first], "late")
    assert keeper.reasons[first.key] == "late; what it does could not be stopped"


def test_losers_that_somebody_else_needs_are_not_killed(lab: Lab) -> None:
    needed, _, loser = jobs = chain(lab)
    site = Site(set())
    made, _, _ = canceller(jobs, site)
    made.drop([needed, loser], None)
    made.join()
    assert site.asked == [loser.key]


def test_losers_that_somebody_waits_for_are_not_killed(lab: Lab) -> None:
    _, awaited, loser = jobs = chain(lab)
    site = Site(set())
    made, _, _ = canceller(jobs, site)
    made.awaited[awaited.key] += 1
    made.drop([awaited, loser], None)
    made.join()
    assert site.asked == [loser.key]


def test_members_of_a_race_that_lost_have_lost_too(lab: Lab) -> None:
    first, second, third = jobs = chain(lab)
    race = Racer(lab.launcher)
    inner = race([second, third])
    outer = race([inner, first])
    site = Site(set())
    made, keeper, _ = canceller([*jobs, inner, outer], site)
    made.drop([inner], outer)
    made.join()
    assert set(keeper.reasons) == {inner.key, second.key, third.key}
    assert first.state is JobState.created, "it races on"


def test_what_a_cancelled_job_returned_is_cancelled_with_it(lab: Lab) -> None:
    outer, _, made = jobs = chain(lab)
    canceller_of, keeper, _ = canceller(jobs, Site(set()))
    keeper.sequels.begin(Left(outer, Outcome(outer.key, "waiting", 1, 0.0, 1.0, final=False), [made]))
    canceller_of.cancel([outer], "no more")
    assert set(keeper.reasons) == {outer.key, made.key}


def test_members_of_a_cancelled_race_are_cancelled(lab: Lab) -> None:
    first, second, third = jobs = chain(lab)
    race = Racer(lab.launcher)([first, third])
    canceller_of, keeper, _ = canceller([*jobs, race], Site(set()))
    canceller_of.cancel([race], "no more")
    assert set(keeper.reasons) == {race.key, third.key}, f"{second.key} needs the other one"
