"""`daskflow pipeline`, as processes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from daskflow.stores import Database
from daskflow.stores.buckets import Buckets
from daskflow.stores.buckets.table import WorkTable
from tests.views.conftest import Place

PIPELINE = """
version: "2"
name: bursts
defaults: {user: ada, site: local}
schedule: {cronspec: "30 4 * * 0", lives: 2}
pipeline:
  steps:
    - {name: one, matrix: {x: [1, 2]}, work: {function: f, parameters: {x: "${{ matrix.x }}"}}}
    - {name: two, stage: 2, if: failure, work: {command: [echo, "${{ pipeline.one.status }}"]}}
"""

SPARE = """
name: spare
defaults: {user: ada, site: local}
pipeline:
  steps:
    - {name: spare, if: failure, work: {function: f}}
    - {name: wrong, stage: 2, if: always, work: {function: f, timeout: "${{ pipeline.spare.results }}"}}
"""


@pytest.fixture
def bursts(place: Place) -> Place:
    place.write("bursts.yaml", PIPELINE)
    return place


def test_check_tells_what_would_be_deposited_and_deposits_nothing(bursts: Place) -> None:
    out = bursts.run("pipeline", "check", "bursts.yaml")
    assert "bursts: 3 works." in out
    assert "Scheduled, it would first start at" in out
    found = bursts.json("pipeline", "check", "bursts.yaml", "--set", "name=other", "--set", "matrix.event=[1,2]")
    assert (found["name"], found["runs"]) == ("other", 2)
    assert [work["step"] for work in found["works"]] == ["one", "one", "two"]
    assert found["works"][1]["work"]["parameters"] == {"x": 2}
    assert not (bursts.directory / ".daskflow").exists()


@pytest.mark.parametrize(
    ("command", "option", "told"),
    [
        ("check", "defaults.site=moon", "no site 'moon'"),
        ("run", "defaults.site=moon", "no site 'moon'"),
        ("check", "schedule.cronspec=99 * * * *", "crontab"),
        ("schedule", "schedule.timezone=Moon/Sea", "time zone"),
        ("run", "pipeline.steps.two.if=sometimes", "pipeline.steps.two.if: 'sometimes' is no condition"),
        ("run", "nothing", "--set name=value"),
    ],
)
def test_what_does_not_fit_is_a_mistake_of_usage(bursts: Place, command: str, option: str, told: str) -> None:
    assert told in bursts.error("pipeline", command, "bursts.yaml", "--set", option)
    assert not (bursts.directory / ".daskflow/journal.db").exists()


def test_a_run_waits_for_agents_and_ends_when_it_is_told_to(
    bursts: Place, running: Callable[..., subprocess.Popen[str]]
) -> None:
    driver = running("pipeline", "run", "bursts.yaml", "--json")
    bursts.until(lambda: _statuses(bursts) == ["queued", "queued"])
    driver.terminate()
    driver.wait(60)
    assert driver.returncode == 3
    assert _statuses(bursts) == ["queued", "queued"]
    assert "interrupted" in bursts.run("pipeline", "ls")
    assert "one[1]" in bursts.run("pipeline", "show")
    assert "2 works are deleted" in bursts.run("pipeline", "cancel", "last")
    assert _statuses(bursts) == []
    assert bursts.json("pipeline", "ls")[0]["state"] == "cancelled"
    assert "0 works are deleted" in bursts.run("pipeline", "cancel", "last")


def test_steps_without_works_are_shown_with_the_reason(place: Place) -> None:
    place.write("spare.yaml", SPARE)
    place.error("pipeline", "run", "spare.yaml", code=1)
    shown = place.run("pipeline", "show")
    assert "skipped: its condition is failure" in shown
    assert "timeout: it must be a whole number" in shown
    (run,) = place.json("pipeline", "show")
    assert run["works"] == []
    assert [(step["step"], step["status"]) for step in run["steps"]] == [("spare", "skipped"), ("wrong", "failure")]


def _statuses(place: Place) -> list[str]:
    store = place.directory / ".daskflow/journal.db"
    if not store.exists():
        return []
    with Buckets(WorkTable(Database(store))) as buckets:
        return [str(work.status) for work in buckets.view(limit=-1)]


def test_schedules_are_recorded_listed_paused_and_removed(bursts: Place) -> None:
    made = bursts.json("pipeline", "schedule", "bursts.yaml")
    assert (made["state"], made["lives"], made["timezone"]) == ("active", 2, "UTC")
    assert "has a schedule already" in bursts.error("pipeline", "schedule", "bursts.yaml")
    assert made["id"] in bursts.run("pipeline", "schedules")
    bursts.run("pipeline", "pause", made["id"][:5])
    (found,) = bursts.json("pipeline", "schedules")
    assert (found["state"], found["due"]) == ("paused", None)
    bursts.run("pipeline", "unpause", made["id"])
    bursts.run("pipeline", "tick")
    assert bursts.json("pipeline", "ls") == []
    bursts.run("pipeline", "unschedule", made["id"])
    assert bursts.json("pipeline", "schedules") == []
    assert "No schedule" in bursts.error("pipeline", "unschedule", made["id"])
