from __future__ import annotations

import getpass
import json
from typing import Any

import pytest
from pydantic import BaseModel

from daskflow.errors import AnswerRefused, NotFound
from daskflow.execution.asking.answers import as_answer, chosen, who_answers
from daskflow.model.records import QuestionRecord


class Choice(BaseModel):
    niter: int = 5


def question(id: str = "q-1", preset: str | None = None) -> QuestionRecord:
    return QuestionRecord(id=id, run="a-run", key="ask-1", prompt=f"Go on {id}?", preset=preset)


def test_the_only_question_need_not_be_named() -> None:
    assert chosen([question()], "a-run").id == "q-1"
    with pytest.raises(NotFound, match="a-run asks nothing"):
        chosen([], "a-run")
    with pytest.raises(NotFound, match=r"q-1: Go on q-1\?; q-2: Go on q-2\?"):
        chosen([question(), question("q-2")], "a-run")


@pytest.mark.parametrize(
    ("value", "preset", "text"),
    [
        (Choice(niter=3), None, '{"niter": 3}'),
        ({"a": (1, 2)}, "1", '{"a": [1, 2]}'),
        (None, '{"niter": 7}', '{"niter": 7}'),
        (None, None, "null"),
        (False, "true", "false"),
    ],
)
def test_an_answer_is_json(value: Any, preset: str | None, text: str) -> None:
    assert as_answer(question(preset=preset), value, {}) == text


def test_fields_that_are_not_named_are_those_of_the_default() -> None:
    assert json.loads(as_answer(question(preset='{"niter": 5, "stop": false}'), None, {"stop": True})) == {
        "niter": 5,
        "stop": True,
    }
    assert as_answer(question(), None, {"stop": True}) == '{"stop": true}'


def test_what_json_cannot_say_is_refused() -> None:
    with pytest.raises(AnswerRefused, match="no answer to q-1"):
        as_answer(question(), object(), {})


def test_a_user_without_a_name_may_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert who_answers() == getpass.getuser()

    def nobody() -> str:
        raise KeyError("uid 1000")

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert who_answers() == "somebody"
