"""The routes of runs and questions."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from daskflow.model.records import QuestionRecord, RunRecord
from daskflow.model.states import RunState
from daskflow.stores import Database, Journal, this_host
from tests.views.server.conftest import Client

FORM = {"type": "integer", "minimum": 1}


@pytest.fixture(scope="module")
def runs(open_server: Client) -> Client:
    with Database(open_server.directory / "journal.db") as database:
        journal = Journal(database)
        for id in ("one", "two"):
            given: dict[str, Any] = {"state": RunState.running, "host": this_host(), "pid": 2**22 + 1}
            record = RunRecord(id=id, flow="study", created=time.time(), payload=b"\x80pickle", arguments={"n": 3})
            journal.add_run(record.model_copy(update=given))
        journal.add_jobs([("one", 0, "load-0", "load", "f", "n=1", "[]", "local", "failed", "it broke")])
        journal.add_events([("one", "qa.low", 5.0, "", '{"dm": NaN}')])
        journal.add_reports([("one", 0, "image", "Sky", {"width": 2}, b"\x89PNG", "load", 5.0)])
        for number in range(3):
            journal.add_question(
                QuestionRecord(id=f"q{number}", run="one", prompt="How many?", form=json.dumps(FORM), preset="3")
            )
    return open_server


def test_runs(runs: Client) -> None:
    found = runs("GET", "/runs").value
    assert {run["id"] for run in found} == {"one", "two"}
    assert "payload" not in found[0]
    assert len(runs("GET", "/runs?limit=1").value) == 1
    assert runs("GET", "/runs?flow=other").value == []


def test_one_run(runs: Client) -> None:
    found = runs("GET", "/runs/one").value
    assert (found["run"]["id"], found["run"]["state"], found["counts"]) == (
        "one",
        "interrupted",
        {"load": {"failed": 1}},
    )
    assert found["run"]["arguments"] == {"n": 3}
    assert len(found["failures"]) == 1
    assert "payload" not in found["run"]


def test_its_jobs(runs: Client) -> None:
    (job,) = runs("GET", "/runs/one/jobs").value
    assert (job["key"], job["state"], job["reason"]) == ("load-0", "failed", "it broke")
    assert runs("GET", "/runs/one/jobs?state=failed&task=load").value == [job]
    assert runs("GET", "/runs/one/jobs?state=queued").value == []


def test_its_events_and_reports(runs: Client) -> None:
    (event,) = runs("GET", "/runs/one/events?kind=qa.*").value
    assert (event["kind"], event["data"]) == ("qa.low", {"dm": None})
    assert runs("GET", f"/runs/one/events?after={event['ordinal']}&kind=qa.*").value == []
    (report,) = runs("GET", "/runs/one/reports").value
    assert report["title"] == "Sky"
    assert "content" not in report
    (report,) = runs("GET", "/runs/one/reports?content=true").value
    assert report["content"] == "iVBORw=="


def test_a_run_is_cancelled(runs: Client) -> None:
    told = runs("POST", "/runs/two/cancel").value
    assert (told["run"]["state"], told["ended"]) == ("cancelled", True)
    again = runs("POST", "/runs/two/cancel")
    assert again.status == 422
    assert "ended already" in again.value["error"]


def test_questions(runs: Client) -> None:
    found = runs("GET", "/questions?run=one").value
    assert {"q1", "q2"} <= {question["id"] for question in found}
    question = runs("GET", "/questions/q1").value
    assert (question["prompt"], question["takes"], question["state"]) == ("How many?", "integer >= 1", "open")


def test_a_question_is_answered_once(runs: Client) -> None:
    for wrong in ({"value": 0}, {"value": "many"}, {"value": None}, {"value": 1, "fields": {"a": 1}}):
        told = runs("POST", "/questions/q0/answer", wrong)
        assert (told.status, told.value["kind"]) == (422, "AnswerRefused")
    told = runs("POST", "/questions/q0/answer", {"value": 5})
    assert (told.value["state"], told.value["answer"], told.value["who"]) == (
        "answered",
        "5",
        "this machine over the network",
    )
    again = runs("POST", "/questions/q0/answer", {"value": 6})
    assert again.status == 422
    assert "was answered" in again.value["error"]
    assert "q0" not in {question["id"] for question in runs("GET", "/questions").value}
    assert "q0" in {question["id"] for question in runs("GET", "/questions?all=true").value}


def test_the_default_is_an_answer(runs: Client) -> None:
    assert runs("POST", "/questions/q2/answer", {}).value["answer"] == "3"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/runs/nothing"),
        ("GET", "/runs/nothing/jobs"),
        ("GET", "/runs/%27%20OR%201=1%20--/events"),
        ("GET", "/runs/nothing/reports"),
        ("POST", "/runs/nothing/cancel"),
        ("GET", "/questions/nothing"),
        ("GET", "/questions?run=nothing"),
    ],
)
def test_what_is_not_recorded(runs: Client, method: str, path: str) -> None:
    told = runs(method, path)
    assert (told.status, told.value["kind"]) == (404, "NotFound")
    assert str(runs.directory) not in told.value["error"]


def test_long_lists_come_in_parts(runs: Client) -> None:
    assert [job["number"] for job in runs("GET", "/runs/one/jobs?after=-1&limit=1").value] == [0]
    assert runs("GET", "/runs/one/jobs?after=0").value == []
    # Events of one moment, too: each comes once.
    with Database(runs.directory / "journal.db") as database:
        Journal(database).add_events([("two", f"qa.{number}", 7.0, "", "{}") for number in range(5)])
    found, after = [], 0
    while page := runs("GET", f"/runs/two/events?limit=2&after={after}").value:
        found += [event["kind"] for event in page]
        after = page[-1]["ordinal"]
    assert found == [f"qa.{number}" for number in range(5)]
    assert runs("GET", "/runs/two/events?after=1.5").status == 422
    # No event has such an ordinal; some times look like that.
    told = runs("GET", f"/runs/two/events?after={2**31}")
    assert (told.status, told.value["error"].startswith("What was sent does not fit: after:")) == (422, True)
    assert runs("GET", f"/runs/two/events?after={2**31 - 1}").value == []
    for path in ("jobs", "events"):
        assert runs("GET", f"/runs/one/{path}?limit=0").status == 422
