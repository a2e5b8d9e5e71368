from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from daskflow.errors import AnswerRefused, ArgumentsInvalid
from daskflow.graph.host import CURRENT_HOST
from daskflow.graph.question import Asker, Inquiry
from tests.graph.projects import FakeHost, FakeLauncher

ask = Asker(FakeLauncher())


class Choice(BaseModel):
    niter: int = Field(10, ge=1)
    action: Literal["continue", "stop"] = "continue"


def inquiry(**about: Any) -> Inquiry:
    found: Inquiry = ask.job("Go on?", **about).arguments[0]
    return found


@pytest.mark.parametrize(
    ("schema", "answer", "value"),
    [
        (bool, "true", True),
        (Literal["a", "b"], '"b"', "b"),
        (Choice, '{"niter": 3}', Choice(niter=3)),
        (list[int], "[1, 2]", [1, 2]),
        (None, '"whatever"', None),
    ],
)
def test_an_answer_is_typed(schema: Any, answer: str, value: Any) -> None:
    assert inquiry(schema=schema).read(answer) == value


@pytest.mark.parametrize(
    ("schema", "answer", "told"),
    [
        (Literal["a", "b"], '"c"', "does not fit: it must be 'a' or 'b'"),
        (Choice, '{"niter": 0}', "niter: it must be at least 1"),
        (Choice, "{", "it is no JSON: EOF"),
        (bool, "null", "it must be true or false"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused_with_the_reason(schema: Any, answer: str, told: str) -> None:
    with pytest.raises(AnswerRefused, match=told):
        inquiry(schema=schema).read(answer)


def test_what_is_asked_stands_in_the_question() -> None:
    asked = inquiry(schema=Choice, default={"niter": 5}, timeout="2 h", on_timeout="default", release=True)
    assert json.loads(asked.form)["properties"]["niter"]["minimum"] == 1
    assert json.loads(asked.preset or "") == {"niter": 5, "action": "continue"}
    assert (asked.timeout, asked.on_timeout, asked.release) == (7200.0, "default", True)
    assert inquiry().form == ""


@pytest.mark.parametrize(
    ("about", "told"),
    [
        ({"schema": Choice, "default": {"niter": 0}}, "does not fit its schema"),
        ({"schema": object()}, "pydantic cannot ask for that"),
        ({"on_timeout": "explode"}, "it is 'fail' or 'default'"),
        ({"schema": bool, "on_timeout": "default"}, "needs a default"),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused(about: dict[str, Any], told: str) -> None:
    with pytest.raises(ArgumentsInvalid, match=told):
        ask.job("Go on?", **about)


def test_equal_questions_of_a_run_are_told_apart_by_their_order() -> None:
    host: Any = FakeHost()
    token = CURRENT_HOST.set(host)
    try:
        keys = [ask.job(prompt).key for prompt in ("Go on?", "Go on?", "Really?")]
    finally:
        CURRENT_HOST.reset(token)
    assert len(set(keys)) == 3
