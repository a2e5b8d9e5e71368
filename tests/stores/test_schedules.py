"""Schedules, on each database: each due time has exactly one run."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from daskflow.errors import NotFound, PipelineInvalid
from daskflow.model.pipeline import ScheduleRecord, ScheduleState
from daskflow.model.records import RunRecord
from daskflow.model.states import RunState
from daskflow.stores import Database, Journal
from daskflow.stores.schedules import Schedules


@pytest.fixture
def schedules(database: Database) -> Schedules:
    return Schedules(database)


def record(id: str = "s-1", **fields: Any) -> ScheduleRecord:
    given = {"name": id, "cron": "* * * * *", "timezone": "UTC", "lives": -1, "document": "{}", "created": 1.0}
    return ScheduleRecord.model_validate({"id": id, "due": 60.1, **given, **fields})


def test_what_is_recorded_is_found_again(schedules: Schedules) -> None:
    made = schedules.add_schedule(record("s-12", document='{"name": "\u03bb\'; DROP TABLE runs; --"}'))
    assert schedules.schedules() == [made]
    assert schedules.schedule("s-1") == made
    assert schedules.due(60.0) == []
    assert schedules.due(60.1) == [made]
    for none in ("s-2", "", "%"):
        with pytest.raises(NotFound):
            schedules.schedule(none)
    schedules.add_schedule(record("s-13"))
    with pytest.raises(NotFound, match="any of 2"):
        schedules.schedule("s-1")


def test_a_pipeline_has_one_schedule_that_has_not_expired(schedules: Schedules) -> None:
    schedules.add_schedule(record("s-1", name="p", state=ScheduleState.expired))
    schedules.add_schedule(record("s-2", name="p"))
    with pytest.raises(PipelineInvalid, match="s-2"):
        schedules.add_schedule(record("s-3", name="p"))
    schedules.remove("s-2")
    schedules.add_schedule(record("s-3", name="p"))


def test_lives_are_used_up(schedules: Schedules) -> None:
    schedules.add_schedule(record(lives=2))
    for number in (1, 2):
        found = schedules.schedule("s-1")
        assert schedules.claim(found, 60.0 * (number + 1), lambda number=number: f"r-{number}") == f"r-{number}"  # type: ignore[misc]
    found = schedules.schedule("s-1")
    assert (found.lives, found.state, found.latest) == (0, ScheduleState.expired, "r-2")
    assert schedules.due(1e9) == []
    assert schedules.claim(found, 1.0, lambda: pytest.fail("it has expired")) is None


def test_one_without_a_next_time_expires(schedules: Schedules) -> None:
    schedules.add_schedule(record())
    assert schedules.claim(schedules.schedule("s-1"), None, lambda: "r-1") == "r-1"
    assert schedules.schedule("s-1").state is ScheduleState.expired


def test_a_run_that_cannot_be_recorded_leaves_the_time_due(schedules: Schedules) -> None:
    made = schedules.add_schedule(record(lives=3))

    def fails() -> str:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        schedules.claim(made, 120.0, fails)
    assert schedules.schedule("s-1") == made


def test_a_clock_that_is_put_back_starts_no_time_twice(schedules: Schedules) -> None:
    made = schedules.add_schedule(record())
    assert schedules.claim(made, 120.0, lambda: "r-1") == "r-1"
    later = schedules.schedule("s-1")
    assert schedules.move(later, made.due)
    back = schedules.schedule("s-1")
    assert back.due == made.due
    assert schedules.claim(back, 120.0, lambda: pytest.fail("this time had its run")) is None
    assert schedules.schedule("s-1").due == 120.0


def test_of_many_who_claim_at_once_one_does(database: Database, schedules: Schedules) -> None:
    schedules.add_schedule(record())
    url = database.url if database.url.startswith("postgres") else database.place
    won: list[str] = []
    ready = threading.Barrier(6)

    def claims(name: str) -> None:
        with Database(url) as own:
            mine = Schedules(own)
            for number in range(5):
                found = mine.schedule("s-1")
                ready.wait(30)
                run = mine.claim(found, 60.0 * (number + 2), lambda number=number: f"{number}")  # type: ignore[misc]
                if run is not None:
                    won.append(run)
                ready.wait(30)

    threads = [threading.Thread(target=claims, args=(str(each),)) for each in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(won) == ["0", "1", "2", "3", "4"]


def test_paused_ones_start_nothing_until_they_go_on(schedules: Schedules) -> None:
    schedules.add_schedule(record())
    with pytest.raises(PipelineInvalid, match="active, not paused"):
        schedules.unpause("s-1", lambda found: 1.0)
    assert schedules.pause("s-1").state is ScheduleState.paused
    assert schedules.due(1e9) == []
    with pytest.raises(PipelineInvalid, match="paused, not active"):
        schedules.pause("s-1")
    again = schedules.unpause("s-1", lambda found: 300.0)
    assert (again.state, again.due) == (ScheduleState.active, 300.0)


def test_runs_that_have_not_ended_are_found_though_their_schedule_is_gone(
    database: Database, schedules: Schedules
) -> None:
    journal = Journal(database)
    for number, state in enumerate((RunState.succeeded, RunState.created, RunState.interrupted)):
        made = schedules.add_schedule(record(f"s-{number}"))
        run = RunRecord(id=f"r-{number}", flow="p", target="m:p", state=state, created=float(number))
        journal.add_run(run)
        schedules.claim(made, 120.0, lambda run=run: run.id)  # type: ignore[misc]
    schedules.remove("s-1")
    assert schedules.unfinished_runs() == ["r-1", "r-2"]
    assert schedules.pipeline_runs("m:p", 2) == ["r-2", "r-1"]
    assert schedules.pipeline_runs("m:q", 2) == []
