"""`questions` and `answer`, as processes that meet a run which is at work, or has no driver."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from daskflow.model.records import QuestionRecord, RunRecord
from daskflow.model.states import QuestionState, RunState
from daskflow.stores import Database, Journal, this_host
from tests.views.conftest import Place

FORM = {
    "type": "object",
    "properties": {"niter": {"type": "integer", "minimum": 1}, "action": {"enum": ["continue", "stop"]}},
    "required": ["niter", "action"],
}


@pytest.fixture
def journal(place: Place) -> Iterator[Journal]:
    with Database(place.directory / ".daskflow" / "journal.db") as database:
        journal = Journal(database)
        # Nobody drives the one, this very process the other.
        journal.add_run(RunRecord(id="lost", flow="study", state=RunState.running, host=this_host(), pid=2**22 + 1))
        journal.add_run(alive("alive"))
        journal.add_run(alive("child", parent="alive"))
        yield journal


def alive(id: str, **fields: Any) -> RunRecord:
    given: dict[str, Any] = {"state": RunState.running, "host": this_host(), "pid": os.getpid(), "created": time.time()}
    return RunRecord(id=id, flow="imaging", **given | fields)


def ask(journal: Journal, id: str, run: str = "lost", form: object = FORM, **fields: Any) -> None:
    record = QuestionRecord(id=id, run=run, prompt=f"Clean {id} on?", form=json.dumps(form) if form else "", **fields)
    journal.add_question(record)


def test_all_open_questions_are_one_list(place: Place, journal: Journal) -> None:
    assert "No run asks anything" in place.run("questions")
    ask(journal, "q-one", deadline=1e9, note="niter: too many")
    ask(journal, "q-two", "child", form=None)
    out = place.run("questions")
    for told in (
        "q-one",
        "lost",
        "study",
        "Clean q-one on?",
        "niter: integer >= 1, action: continue | stop",
        "too many",
    ):
        assert told in out
    found = place.json("questions", "--run", "alive")
    assert [(q["id"], q["run"], q["flow"], q["takes"]) for q in found] == [
        ("q-two", "child", "imaging", "nothing, only that the run goes on")
    ]
    assert "asks: Clean q-two on? Answer: daskflow answer q-two" in place.run("show", "alive")


def test_an_answer_waits_for_a_run_that_has_no_driver(place: Place, journal: Journal) -> None:
    ask(journal, "q-one", preset='{"niter": 10, "action": "continue"}')
    out = place.run("answer", "q-o", "--set", "action=stop")
    assert "daskflow resume lost" in out
    found = journal.question("q-one")
    assert (found.state, found.answer) == (QuestionState.answered, '{"niter": 10, "action": "stop"}')
    assert found.who.endswith(f"@{this_host()}")
    assert "was answered at" in place.error("answer", "q-one", "--set", "action=stop")
    assert place.json("questions") == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--set", "niter=0", "--set", "action=stop"], "niter: 0 is less than the minimum of 1"),
        (["--set", "niter"], "--set name=value"),
        (["nonsense"], "not of type 'object'"),
        ([], "no default"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused_and_the_question_stays_open(
    place: Place, journal: Journal, arguments: list[str], told: str
) -> None:
    ask(journal, "q-one")
    assert told in place.error("answer", "q-one", *arguments)
    assert journal.question("q-one").state is QuestionState.open


def test_an_unknown_question_is_named(place: Place, journal: Journal) -> None:
    assert "daskflow questions" in place.error("answer", "q-none")


@pytest.fixture
def driver(journal: Journal) -> Iterator[list[str]]:
    """Stands for the driver of a run: refuses the first answer, and takes the next."""
    heard: list[str] = []
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.05):
            found = journal.question("q-one")
            if found.state is QuestionState.answered and found.accepted is None:
                heard.append(str(found.answer))
                if len(heard) == 1:
                    journal.refuse_answer("q-one", "niter must be even.")
                else:
                    journal.accept_answer("q-one")

    ask(journal, "q-one", "alive", {"type": "integer"})
    thread = threading.Thread(target=look)
    thread.start()
    yield heard
    done.set()
    thread.join()


def test_the_run_itself_has_the_last_word(place: Place, journal: Journal, driver: list[str]) -> None:
    assert "niter must be even" in place.error("answer", "q-one", "3")
    assert place.json("questions")[0]["note"] == "niter must be even."
    assert "The answer to q-one is 4" in place.run("answer", "q-one", "4")
    assert driver == ["3", "4"]


def test_nobody_waits_long_for_a_driver_that_does_not_look(place: Place, journal: Journal) -> None:
    ask(journal, "q-one", "alive", form=None)
    assert "has not taken it yet" in place.run("answer", "q-one")


_ASKING = """
from daskflow import ask, flow

@flow
def study():
    return ask("How many?", schema=int, default=5)
"""


def test_a_run_asks_and_goes_on_with_the_answer(place: Place, running: Any) -> None:
    place.write("asking.py", _ASKING)
    process = running("run", "asking.py:study", "--json")
    place.until((place.directory / ".daskflow" / "journal.db").exists)
    place.until(lambda: bool(place.json("questions")))
    [asked] = place.json("questions")
    assert (asked["prompt"], asked["takes"], asked["preset"]) == ("How many?", "integer", "5")
    assert f"The answer to {asked['id']} is 7" in place.run("answer", asked["id"], "7")
    out, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    assert f"daskflow answer {asked['id']}" in error
    assert json.loads(out)["value"] == 7
