from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daskflow.execution.notices.events import DROPPED, EventHub
from daskflow.model.records import EventRecord
from tests.conftest import Lab
from tests.execution.patience import until


def event(kind: str, run: str = "a-run", **data: Any) -> EventRecord:
    return EventRecord(run=run, kind=kind, time=1.0, data=data)


@pytest.fixture
def hub() -> Iterator[EventHub]:
    made = EventHub(limit=5)
    yield made
    made.close(10)


def test_subscribers_hear_in_order_what_they_asked_for(hub: EventHub) -> None:
    heard: dict[str, list[str]] = {"qa": [], "several": [], "run": []}
    hub.subscribe("qa.*", lambda e: heard["qa"].append(e.kind))
    hub.subscribe(["job.failed", "qa.low"], lambda e: heard["several"].append(e.kind))
    hub.subscribe("*", lambda e: heard["run"].append(e.kind), run="other")
    for kind, run in [("qa.low", "a-run"), ("job.failed", "other"), ("qa.import.low", "a-run"), ("qax", "a-run")]:
        hub.publish(event(kind, run))
    hub.close(10)
    assert heard == {"qa": ["qa.low", "qa.import.low"], "several": ["qa.low", "job.failed"], "run": ["job.failed"]}


def test_without_subscribers_nothing_is_made(hub: EventHub) -> None:
    hub.tell("a-run", "qa.low", 1.0, "", "this is not even read")
    hub.publish(event("qa.low"))
    assert hub._thread is None
    assert not hub._waiting


def test_a_row_becomes_an_event(hub: EventHub) -> None:
    heard: list[EventRecord] = []
    hub.subscribe("*", heard.append)
    hub.tell("a-run", "qa.low", 2.0, "fit-1", '{"score": 0.4}')
    hub.close(10)
    assert heard == [EventRecord(run="a-run", kind="qa.low", time=2.0, key="fit-1", data={"score": 0.4})]


def test_a_callback_that_raises_is_logged_and_called_again(hub: EventHub, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[str] = []

    def fragile(found: EventRecord) -> None:
        heard.append(found.kind)
        if found.kind == "b":
            sys.exit("no")
        raise ValueError(found.kind)

    hub.subscribe("*", fragile)
    hub.subscribe("*", lambda found: heard.append(f"{found.kind} again"))
    for kind in "abc":
        hub.publish(event(kind))
    hub.close(10)
    assert heard == ["a", "a again", "b", "b again", "c", "c again"]
    assert [record.getMessage() for record in caplog.records][:2] == [
        "A subscriber of * raised at a.",
        "A subscriber of * raised at b.",
    ]


def test_who_unsubscribed_hears_nothing_more(hub: EventHub) -> None:
    first, go_on = threading.Event(), threading.Event()
    heard: list[str] = []

    def slow(found: EventRecord) -> None:
        heard.append(found.kind)
        first.set()
        go_on.wait(10)

    end = hub.subscribe("*", slow)
    for kind in "ab":
        hub.publish(event(kind))
    assert first.wait(10)
    end()
    end()
    go_on.set()
    hub.publish(event("c"))
    hub.close(10)
    assert heard == ["a"], "not even what waited already"


def test_a_slow_callback_costs_the_oldest_events_and_says_so(hub: EventHub, caplog: pytest.LogCaptureFixture) -> None:
    first, go_on = threading.Event(), threading.Event()
    heard: list[EventRecord] = []

    def slow(found: EventRecord) -> None:
        heard.append(found)
        first.set()
        go_on.wait(10)

    hub.subscribe("*", slow)
    hub.publish(event("first"))
    assert first.wait(10)
    for number in range(8):
        hub.publish(event(f"e{number}"))
    go_on.set()
    hub.close(10)
    assert [found.kind for found in heard] == ["first", DROPPED, "e3", "e4", "e5", "e6", "e7"]
    assert heard[1].data == {"count": 3}
    assert caplog.record_tuples == [
        ("daskflow", logging.WARNING, "The subscribers of events are too slow: 3 events were dropped.")
    ]


def test_what_nobody_wants_drops_nothing(hub: EventHub) -> None:
    heard: list[str] = []
    hub.subscribe("qa.*", lambda found: heard.append(found.kind))
    with hub._changed:  # its thread takes nothing now
        hub.publish(event("qa.low"))
        for _ in range(20):
            hub.publish(event("job.skipped"))
    hub.close(10)
    assert heard == ["qa.low"]


def test_a_callback_may_publish_and_close(hub: EventHub) -> None:
    heard: list[str] = []
    closed = threading.Event()

    def callback(found: EventRecord) -> None:
        heard.append(found.kind)
        if found.kind == "a":
            hub.publish(event("b"))
        else:
            hub.close()
            closed.set()

    hub.subscribe("*", callback)
    hub.publish(event("a"))
    assert closed.wait(10)
    assert heard == ["a", "b"]


def test_closing_does_not_wait_for_ever_and_the_hub_can_be_used_again(hub: EventHub) -> None:
    stuck, go_on = threading.Event(), threading.Event()
    heard: list[str] = []

    def hang(found: EventRecord) -> None:
        stuck.set()
        go_on.wait(30)

    hub.subscribe("*", hang)
    hub.publish(event("a"))
    hub.publish(event("b"))
    assert stuck.wait(10)
    old = hub._thread
    assert old is not None
    hub.close(0.05)
    hub.subscribe("*", lambda found: heard.append(found.kind))
    hub.publish(event("c"))
    hub.close(10)
    assert heard == ["c"]
    go_on.set()
    old.join(10)
    assert not old.is_alive()


def test_many_threads_lose_nothing() -> None:
    hub, heard = EventHub(), []
    hub.subscribe("*", lambda found: heard.append((found.run, found.kind)))

    def publish(run: str) -> None:
        for number in range(200):
            hub.publish(event(str(number), run))

    threads = [threading.Thread(target=publish, args=(str(run),)) for run in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    hub.close(30)
    for run in range(5):
        assert [kind for found, kind in heard if found == str(run)] == [str(n) for n in range(200)]


def test_what_cannot_be_called_is_refused(hub: EventHub) -> None:
    with pytest.raises(TypeError, match="'print' cannot be called"):
        hub.subscribe("*", "print")  # type: ignore[arg-type]


def kinds(run: Any) -> list[str]:
    return [event.kind for event in run.events("run.*")]


def test_each_execution_of_a_run_has_a_start_and_an_end(lab: Lab, notes: str) -> None:
    heard: list[EventRecord] = []
    lab.project.hub.subscribe("run.*", heard.append)

    @lab.task
    def work() -> int:
        return 1 // len(os.listdir(notes))

    @lab.flow
    def study() -> Any:
        return work()

    first = study.submit()
    first.wait(60)
    assert kinds(first) == ["run.started", "run.failed"]
    Path(notes, "mended").touch()
    again = lab.launcher.resume(study, lab.project.journal.run(first.id), {}, background=True)
    assert again.result(60) == 1
    events = again.events("run.*")
    assert [event.kind for event in events] == ["run.started", "run.failed", "run.started", "run.succeeded"]
    assert "ZeroDivisionError" in events[1].data["error"]
    assert set(events[3].data) == {"seconds"}
    lab.project.hub.close(10)
    assert heard == events


@pytest.mark.parametrize("how", ["cancelled", "interrupted"])
def test_runs_that_are_stopped_say_so_once(lab: Lab, notes: str, how: str) -> None:
    @lab.task
    def wait() -> None:
        Path(notes, "began").touch()
        while True:
            time.sleep(0.005)

    @lab.flow(site="threads")
    def study() -> None:
        job = wait()
        if how == "interrupted":
            raise KeyboardInterrupt
        job.result()

    run = study.submit()
    if how == "cancelled":
        until(Path(notes, "began").exists)
        run.cancel()
    assert run.wait(60)
    assert kinds(run) == ["run.started", f"run.{how}"]
