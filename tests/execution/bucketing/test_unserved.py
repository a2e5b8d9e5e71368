"""Works that nobody performs are told of."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from daskflow.execution.bucketing import unserved
from daskflow.execution.bucketing.unserved import Unserved, Waiting
from tests.execution.bucketing.camp import Camp, add
from tests.execution.bucketing.clock import Clock
from tests.execution.patience import until


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(unserved, "time", made)
    return made


class Listener:
    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []

    def event(self, kind: str, **data: Any) -> None:
        self.heard.append({"kind": kind, **data})

    def waits(self, since: float, bucket: str = "some-work") -> Waiting:
        return Waiting(bucket, "camp", since, self, self.event)


def test_a_bucket_that_nobody_serves_is_told_of_more_and_more_seldom(
    camp: Camp, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    looking, one, two = Unserved(camp.buckets, ("--url", "works.db")), Listener(), Listener()
    waiting = [one.waits(1000.0), one.waits(1010.0), two.waits(1020.0), two.waits(1059.0, "other")]
    told = []
    for _ in range(16):
        clock.now += 30.0
        looking.look(waiting)
        told.append(len(one.heard))
    # After 60 s, then 120 s later, then 240 s later.
    assert [30.0 * (place + 1) for place, count in enumerate(told) if count > (told[place - 1] if place else 0)] == [
        60.0,
        180.0,
        420.0,
    ]
    command = "daskflow work run some-work --site camp --url works.db"
    assert one.heard[0] == {
        "kind": "bucket.unserved",
        "bucket": "some-work",
        "site": "camp",
        "waiting": 2,
        "seconds": 60.0,
        "command": command,
    }
    assert {each["bucket"] for each in two.heard} == {"some-work", "other"}
    (first, *_) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert first.startswith("2 jobs wait of a flow in the bucket 'some-work' for the site 'camp'")
    assert command in first


def test_who_waits_for_a_turn_is_not_told_of(camp: Camp, clock: Clock) -> None:
    camp.site.submit([camp.node("begun", add, 1, 2)], [], camp.ear, {})
    work, listener, looking = camp.next(), Listener(), Unserved(camp.buckets)
    for _ in range(10):
        clock.now += 60.0
        looking.look([listener.waits(1000.0)])
    assert listener.heard == []
    camp.perform(work)
    clock.now += 59.0
    looking.look([listener.waits(1000.0)])
    assert listener.heard == [], "somebody was there a minute ago"
    clock.now += 1.0
    looking.look([listener.waits(1000.0)])
    assert [each["seconds"] for each in listener.heard] == [660.0]


def test_it_is_not_looked_all_the_time(camp: Camp, clock: Clock) -> None:
    looking = Unserved(camp.buckets)
    assert looking.due()
    looking.look([])
    assert not looking.due()
    clock.now += 5.0
    assert looking.due()


def test_what_was_served_is_looked_at_anew(camp: Camp, clock: Clock) -> None:
    looking, listener = Unserved(camp.buckets), Listener()
    clock.now += 60.0
    looking.look([listener.waits(1000.0)])
    looking.look([])
    looking.look([listener.waits(clock.now)])
    clock.now += 60.0
    looking.look([listener.waits(clock.now - 60.0)])
    assert [each["seconds"] for each in listener.heard] == [60.0, 60.0]


def test_a_run_hears_of_works_without_an_agent(camp: Camp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unserved, "PATIENCE", 0.1)
    camp.site.submit([camp.node("one", add, 1, 2)], [], camp.ear, {})
    until(lambda: camp.ear.of("bucket.unserved"))
    told = camp.ear.of("bucket.unserved")[0]
    assert (told["job"], told["bucket"], told["site"], told["waiting"]) == ("one", "some-work", "camp", 1)
    camp.serve()
    until(lambda: camp.ear.states == {"one": "succeeded"})


def test_a_work_whose_agent_was_lost_waits_again(camp: Camp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unserved, "PATIENCE", 0.1)
    camp.site.submit([camp.node("one", add, 1, 2)], [], camp.ear, {})
    work = camp.next()
    until(camp.site.running)
    before = len(camp.ear.of("bucket.unserved"))
    camp.buckets.give_back(work)
    until(lambda: not camp.site.running())
    until(lambda: len(camp.ear.of("bucket.unserved")) > before)
    assert camp.site.recall(["one-1"]) == {"one-1"}
