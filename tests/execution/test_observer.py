from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from daskflow.execution.observer import Observer
from daskflow.graph.facts import available
from daskflow.graph.metrics import MetricFact, metric
from daskflow.graph.race import Racer
from daskflow.model.outcome import Live
from daskflow.model.policy import Resources
from daskflow.model.states import JobState
from tests.execution.handmade import PaperSite, job
from tests.graph.projects import FakeLauncher


class Watched:
    """What an observer tells: the roster, the book and the sites in one."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.paper = PaperSite("paper", slots=4)
        self.facts: list[Any] = []
        self.waiting = self
        self.flights = self
        self.sent = 0
        self.recorded: list[tuple[str, str, str]] = []

    def observe(self, *told: Any) -> None:
        self.told.append(told)

    def emitted(self, *told: Any) -> None:
        self.told.append(told)

    def site(self, name: str) -> PaperSite:
        return self.paper

    def sites(self) -> list[Any]:
        return self.facts

    @property
    def journal(self) -> Watched:
        return self

    def metrics(self, keys: list[str]) -> list[tuple[str, str, str]]:
        return [row for row in self.recorded if row[0] in keys]

    def count(self, site: PaperSite) -> int:
        return self.sent


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.fixture
def observer(watched: Watched) -> Observer:
    return Observer(watched, watched, threading.Condition(threading.RLock()))  # type: ignore[arg-type]


def test_numbers_go_to_those_who_wait_and_events_to_the_book(observer: Observer, watched: Watched) -> None:
    observer.hear(Live("fit-1", "metric", "chisq", json.dumps({"value": 2.5, "unit": ""}), 1.0), watched)  # type: ignore[arg-type]
    observer.hear(Live("fit-1", "event", "qa.low", "{}", 2.0), watched)  # type: ignore[arg-type]
    observer.observe("fit-1", "chisq", float("nan"))
    assert watched.told == [("fit-1", "chisq", 2.5), ("fit-1", "qa.low", "{}", 2.0)]


@pytest.mark.parametrize(("sign", "limit", "truth"), [("<", 1.5, True), (">", 2.5, True), (">", 3.5, None)])
def test_who_asks_late_hears_what_was_told_before(
    observer: Observer, sign: str, limit: float, truth: bool | None
) -> None:
    for value in (2.0, 1.0, 3.0, 2.0):
        observer.observe("fit-1", "chisq", value)
    fact = MetricFact(job("fit-1"), "chisq", sign, limit)
    observer.watch(fact)
    assert fact.truth() is truth


def test_who_waits_hears_what_is_told_later(observer: Observer) -> None:
    fact = MetricFact(job("fit-1"), "chisq", "<", 1.1)
    observer.watch(fact)
    observer.observe("fit-2", "chisq", 1.0)
    observer.observe("fit-1", "other", 1.0)
    assert fact.truth() is None
    observer.observe("fit-1", "chisq", 1.0)
    assert fact.truth() is True


def test_a_site_has_room_where_enough_of_it_is_idle(observer: Observer, watched: Watched) -> None:
    watched.paper.executing = ["a", "b"]
    watched.facts = [available("paper", Resources(cores=3)), available("paper", Resources(cores=2))]
    observer.ask_sites()
    assert [fact.truth() for fact in watched.facts] == [None, True]
    watched.paper.executing = []
    watched.sent = 2
    observer.ask_sites()
    assert watched.facts[0].truth() is None, "what was sent a moment ago does not run yet, but it will"
    watched.sent = 1
    observer.ask_sites()
    assert watched.facts[0].truth() is True


def test_what_a_cached_job_reported_when_it_was_performed_counts(observer: Observer, watched: Watched) -> None:
    watched.recorded = [("fit-1", "chisq", '{"value": 1.0}'), ("fit-2", "chisq", '{"value": 1.0}')]
    fit, other = job("fit-1"), job("fit-2")
    fact = MetricFact(fit, "chisq", "<", 1.1)
    observer.watch(fact)
    observer.learn([fit, other])
    assert fact.truth() is True
    assert watched.told == [("fit-1", "chisq", 1.0)], "nobody asks for those of the other"
    fit.state = JobState.cached
    late = MetricFact(fit, "chisq", "<", 1.1)
    observer.watch(late)
    assert late.truth() is True


def test_a_race_hears_what_its_members_told_before(observer: Observer, watched: Watched) -> None:
    fit = job("fit-1")
    race = Racer(FakeLauncher())([fit], where=metric("chisq") < 1.1)
    observer.observe("fit-1", "chisq", 1.0)
    observer.observe("else", "chisq", 1.0)
    watched.told.clear()
    observer.replay(race)
    assert watched.told == [("fit-1", "chisq", 1.0)] * 2, "the smallest and the largest"
