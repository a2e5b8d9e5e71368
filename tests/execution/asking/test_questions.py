from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daskflow.errors import AnswerRefused, QuestionExpired
from daskflow.execution.asking.questions import Questions
from daskflow.graph.job import Job
from daskflow.graph.question import Asker
from daskflow.model.states import QuestionState
from daskflow.stores import Database, Journal
from tests.graph.projects import FakeLauncher

ask = Asker(FakeLauncher())


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Database(str(tmp_path / "journal.db")) as database:
        yield Journal(database)


def asking(journal: Journal, **about: Any) -> tuple[Questions, Job, str]:
    questions, job = Questions(journal, "a-run"), ask.job("Go on?", **about)
    return questions, job, questions.ask(job).id


def test_an_answer_is_taken_once(journal: Journal) -> None:
    questions, job, ident = asking(journal, schema=int)
    assert questions.look() == []
    journal.answer_question(ident, "5", "somebody")
    told = {"id": ident, "by": "somebody"}
    assert questions.look() == [(job, 5, None, "question.answered", told)]
    assert (len(questions), questions.look()) == (0, [])
    assert journal.question(ident).accepted is not None


def test_an_answer_that_does_not_fit_opens_the_question_again(journal: Journal) -> None:
    questions, _, ident = asking(journal, schema=int)
    with pytest.raises(AnswerRefused):
        questions.check(ident, '"five"')
    questions.check("q-of-another-process", '"five"')
    journal.answer_question(ident, '"five"', "somebody")
    assert questions.look() == []
    found = journal.question(ident)
    assert found.state is QuestionState.open
    assert "it must be a whole number" in found.note


def test_who_asks_again_finds_the_answer(journal: Journal) -> None:
    _, job, ident = asking(journal, schema=int)
    journal.answer_question(ident, "5", "somebody")
    resumed = Questions(journal, "a-run")
    assert resumed.ask(job).id == ident
    assert [answered.value for answered in resumed.look()] == [5]
    assert Questions(journal, "another").ask(job).id != ident


@pytest.mark.parametrize(("on_timeout", "value"), [("default", 7), ("fail", None)])
def test_nobody_answers_in_time(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, on_timeout: str, value: int | None
) -> None:
    questions, _, ident = asking(journal, schema=int, default=7, timeout=60, on_timeout=on_timeout)
    assert questions.look() == []
    late = time.time() + 61
    monkeypatch.setattr(time, "time", lambda: late)
    (found,) = questions.look()
    assert found.value == value
    assert (found.error is None) == (on_timeout == "default")
    if found.error is not None:
        assert isinstance(found.error, QuestionExpired)
        assert str(found.error) == "Nobody answered 'Go on?' within 60 s."
    assert journal.question(ident).state is QuestionState.expired


def test_an_answer_in_the_last_moment_counts(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    questions, _, _ = asking(journal, schema=int, timeout=60)
    late = time.time() + 61
    monkeypatch.setattr(time, "time", lambda: late)
    close = journal.close_question

    def outrun(ident: str, state: QuestionState) -> Any:
        journal.answer_question(ident, "5", "somebody")
        return close(ident, state)

    monkeypatch.setattr(journal, "close_question", outrun)
    assert [(found.value, found.error) for found in questions.look()] == [(5, None)]


def test_questions_of_some_jobs_are_withdrawn(journal: Journal) -> None:
    questions, job, ident = asking(journal)
    other = questions.ask(ask.job("Really?")).id
    questions.withdraw({job.key})
    assert [journal.question(one).state for one in (ident, other)] == [QuestionState.withdrawn, QuestionState.open]
    questions.withdraw()
    assert journal.question(other).state is QuestionState.withdrawn
    assert len(questions) == 0
