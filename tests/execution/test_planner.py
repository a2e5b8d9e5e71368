from __future__ import annotations

import threading
from typing import Any

import pytest

from daskflow.execution.observer import Observer
from daskflow.execution.placing import Places
from daskflow.execution.planner import Batch, Planner
from daskflow.execution.results import Results
from daskflow.execution.sending.needing import Needing
from daskflow.graph.job import Job
from tests.conftest import Lab
from tests.execution.handmade import ended, job, stored
from tests.execution.test_roster import Desk


class Office:
    """A planner whose jobs nobody performs."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.roster = Desk().roster
        lock = threading.Condition()
        results = Results(lab.project, self.roster.stored, lock)
        observer = Observer(lab.project, self.roster, lock)
        places = Places(lab.project, "synchronous", Needing())
        self.planner = Planner(lab.project, self.roster, results, observer=observer, lock=lock, places=places)

    def know(self, *keys: str) -> None:
        found = stored()
        self.lab.project.journal.add_results(
            (key, "work", "code", None, "", found.digest, 5, found.format, found.inline, "before", 1.0, 2.0, 3)
            for key in keys
        )

    def plan(self, *jobs: Job, asked: tuple[str, ...] = ()) -> list[str]:
        self.roster.jobs.update((one.key, one) for one in jobs)
        self.planner.ask(asked)
        self.planner.plan(Batch(list(jobs), asked))
        return self.states()

    def go_on(self) -> list[str]:
        """Plan what waits no more."""
        while (batch := self.planner.next()).jobs:
            self.planner.plan(batch)
        return self.states()

    def end(self, one: Job, state: str = "succeeded") -> None:
        self.roster.take([ended(one, state)])

    def states(self) -> list[str]:
        return [str(one.state) for one in self.roster.jobs.values()]


@pytest.fixture
def office(lab: Lab) -> Office:
    return Office(lab)


def when(one: Job, condition: Any) -> Job:
    one.terms = one.terms._replace(condition=condition)
    return one


def test_what_is_known_needs_nothing_to_be_performed(office: Office) -> None:
    top = job("top")
    office.know("low")
    assert office.plan(top, job("low", top), job("other")) == ["created", "cached", "queued"]


def test_what_is_in_doubt_waits_even_where_it_is_known(office: Office) -> None:
    told = job("told")
    low = when(job("low"), told.failed)
    office.know("low")
    assert office.plan(told, low, job("below", low)) == ["queued", "waiting", "waiting"]
    office.end(told, "failed")
    assert office.go_on() == ["failed", "cached", "queued"]


def test_what_can_never_start_is_skipped_with_all_below_it(office: Office) -> None:
    told = job("told")
    low = when(job("low"), told.failed)
    office.plan(told, low, job("below", low))
    office.end(told)
    assert office.go_on() == ["succeeded", "skipped", "skipped"]
    assert office.roster.open == 0


def test_a_run_is_open_while_what_waits_no_more_is_planned(office: Office) -> None:
    """Whoever waits for the whole run must not find it finished in between."""
    told = job("told")
    office.plan(told, when(job("low"), told.succeeded))
    office.end(told)
    batch = office.planner.next()
    assert [one.key for one in batch.jobs] == ["low"]
    assert office.roster.open == 1
    office.planner.plan(batch)
    assert (office.states(), office.roster.open) == (["succeeded", "queued"], 1)
    office.end(batch.jobs[0])
    assert office.roster.open == 0


def test_what_was_known_counts_no_more_as_open_when_it_is_planned(office: Office) -> None:
    told = job("told")
    office.know("low")
    office.plan(told, when(job("low"), told.succeeded))
    office.end(told)
    assert office.go_on() == ["succeeded", "cached"]
    assert office.roster.open == 0


def test_what_only_a_known_result_needs_is_not_performed(office: Office) -> None:
    told, top = job("told"), job("top")
    low = when(job("low", top), told.succeeded)
    office.know("low")
    assert office.plan(told, top, low) == ["queued", "created", "waiting"]
    office.end(told)
    assert office.go_on() == ["succeeded", "created", "cached"]
