"""Runs and questions for those who ask over a network."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daskflow.errors import AnswerRefused, NotFound, UsageError
from daskflow.execution.gateway.recorded import RunDesk
from daskflow.model.records import QuestionRecord, RunRecord
from daskflow.model.states import QuestionState, RunState
from daskflow.settings.parts import open_project
from daskflow.stores import Journal, this_host
from tests.conftest import settings_in

FORM = {
    "type": "object",
    "properties": {"niter": {"type": "integer", "minimum": 1}, "action": {"enum": ["continue", "stop"]}},
    "required": ["niter", "action"],
}


class Office:
    """A desk, its journal, and the drivers that were let go."""

    def __init__(self, directory: Path) -> None:
        self.project = open_project(settings_in(directory))
        self.let_go: list[tuple[str, bool]] = []
        self.desk = RunDesk(self.project, lambda record, ended: self.let_go.append((record.id, ended)))

    @property
    def journal(self) -> Journal:
        return self.project.journal

    def run(self, id: str, **fields: Any) -> None:
        given: dict[str, Any] = {"flow": "study", "state": RunState.running, "host": this_host(), "pid": 2**22 + 1}
        self.journal.add_run(RunRecord(id=id, created=time.time(), **given | fields))

    def ask(self, id: str, run: str = "one", form: object = FORM, **fields: Any) -> None:
        text = json.dumps(form) if form else ""
        self.journal.add_question(QuestionRecord(id=id, run=run, prompt="Go on?", form=text, **fields))


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    made.run("one")
    yield made
    made.desk.close()


def test_runs_are_found(office: Office) -> None:
    office.run("two", flow="other")
    assert [record.id for record in office.desk.runs(10)] == ["two", "one"]
    assert [record.id for record in office.desk.runs(10, "study")] == ["one"]
    assert office.desk.run("on").run.id == "one"
    assert office.desk.jobs("one") == []
    assert office.desk.reports("one") == []


def test_events_are_found(office: Office) -> None:
    office.journal.add_events([("one", "qa.low", 5.0, "", "{}"), ("one", "job.done", 9.0, "", "{}")])
    first, second = office.desk.events("one")
    assert [event.kind for _, event in (first, second)] == ["qa.low", "job.done"]
    assert office.desk.events("one", "qa.*") == [first]
    assert office.desk.events("one", after=first[0]) == [second]
    assert office.desk.events("one", after=second[0]) == []
    assert office.desk.events("one", most=1) == [first]
    office.run("child", parent="one")
    office.journal.add_events([("child", "qa.low", 1.0, "", "{}")])
    assert [event.run for _, event in office.desk.events("one", after=first[0])] == ["one", "child"]


def test_what_is_not_recorded_does_not_tell_where(office: Office, tmp_path: Path) -> None:
    for act in (office.desk.run, office.desk.jobs, office.desk.events, office.desk.reports, office.desk.cancel):
        with pytest.raises(NotFound, match="nothing") as missing:
            act("nothing")
        assert str(tmp_path) not in str(missing.value)
    with pytest.raises(NotFound) as missing:
        office.desk.answer("nothing", {}, "ada")
    assert str(tmp_path) not in str(missing.value)


def test_a_run_that_nobody_drives_ends_at_once(office: Office) -> None:
    record, ended = office.desk.cancel("one")
    assert (record.state, ended) == (RunState.cancelled, True)
    assert office.let_go == [("one", True)]
    with pytest.raises(UsageError, match="has ended already"):
        office.desk.cancel("one")


def test_a_driver_that_does_not_hear_is_told_of(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daskflow.execution.gateway.recorded._PATIENCE", 0.0)
    office.run("two", pid=os.getpid(), heartbeat=time.time())
    record, ended = office.desk.cancel("two")
    assert (record.state, ended) == (RunState.cancelled, False)
    assert office.let_go == [("two", False)]


def test_questions_are_found(office: Office) -> None:
    office.run("two")
    office.ask("q-one")
    office.ask("q-two", "two")
    assert [question.id for question in office.desk.questions()] == ["q-one", "q-two"]
    assert [question.id for question in office.desk.questions("two")] == ["q-two"]
    assert office.desk.question("q-o").id == "q-one"
    office.journal.close_question("q-one", QuestionState.withdrawn)
    assert [question.id for question in office.desk.questions()] == ["q-two"]
    assert len(office.desk.questions(open_only=False)) == 2


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ({"value": {"niter": 5, "action": "stop"}}, {"niter": 5, "action": "stop"}),
        ({"fields": {"niter": 5}}, {"niter": 5, "action": "continue"}),
        ({}, {"niter": 1, "action": "continue"}),
    ],
)
def test_an_answer_that_fits(office: Office, given: dict[str, Any], answer: Any) -> None:
    office.ask("q", preset=json.dumps({"niter": 1, "action": "continue"}))
    found = office.desk.answer("q", given, "ada over the network")
    assert (found.state, json.loads(found.answer or ""), found.who) == (
        QuestionState.answered,
        answer,
        "ada over the network",
    )
    with pytest.raises(AnswerRefused, match="was answered"):
        office.desk.answer("q", given, "bob")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"value": {"niter": 0, "action": "stop"}}, "niter"),
        ({"value": None}, "does not fit"),
        ({"value": "stop"}, "does not fit"),
        ({"fields": {"niter": "many"}}, "niter"),
        ({"value": {}, "fields": {"niter": 1}}, "not both"),
        ({}, "no default"),
    ],
)
def test_an_answer_that_does_not_fit(office: Office, given: dict[str, Any], told: str) -> None:
    office.ask("q")
    with pytest.raises(AnswerRefused, match=told):
        office.desk.answer("q", given, "ada")
    assert office.desk.question("q").state is QuestionState.open


def test_a_run_that_only_waits(office: Office) -> None:
    office.ask("q", form=None)
    with pytest.raises(AnswerRefused, match="only that the run goes on"):
        office.desk.answer("q", {"value": 7}, "ada")
    assert office.desk.answer("q", {}, "ada").answer == "null"
