from __future__ import annotations

import json
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, TypeAdapter

from daskflow.errors import AnswerRefused
from daskflow.execution.asking.forms import checked_answer, read_answer, takes
from daskflow.model.records import QuestionRecord


class Box(BaseModel):
    size: int


class Clean(BaseModel):
    niter: Annotated[int, Field(gt=0)] = 100
    action: Literal["continue", "stop"]
    box: Box = Box(size=3)


def form(kind: Any) -> str:
    return json.dumps(TypeAdapter(kind).json_schema())


def question(kind: Any, preset: str | None = None) -> QuestionRecord:
    return QuestionRecord(id="q-1", run="run", prompt="?", form=form(kind) if kind else "", preset=preset)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (bool, "true | false"),
        (Literal["a", 1], "a | 1"),
        (Literal["a"], "a"),
        (int | None, "integer or null"),
        (str, "text"),
        (list[Box], "list of {size: integer}"),
        (Annotated[float, Field(ge=0, lt=1)], "number >= 0 < 1"),
        (Clean, 'niter: integer > 0 (100), action: continue | stop, box: {size: integer} ({"size": 3})'),
        (Any, "JSON"),
    ],
)
def test_what_a_form_takes(kind: Any, told: str) -> None:
    assert takes(form(kind)) == told


class Node(BaseModel):
    below: list[Node] = []


def test_a_form_within_itself_is_told_to_some_depth() -> None:
    assert takes(form(Node)).count("below") <= 4


@pytest.mark.parametrize(
    ("kind", "text", "answer"),
    [
        (bool, "true", True),
        (bool, "Yes", True),
        (bool, "no", False),
        (str, "yes", "yes"),
        (str, "5", "5"),
        (int, "5", 5),
        (Literal["stop", "go"], "stop", "stop"),
        (Literal["stop", "go"], '"stop"', "stop"),
        (Clean, '{"action": "stop"}', {"action": "stop"}),
        (list[int], "[1, 2]", [1, 2]),
    ],
)
def test_a_text_is_read_as_what_the_form_takes(kind: Any, text: str, answer: object) -> None:
    assert json.loads(read_answer(question(kind), text, {})) == answer


def test_fields_are_set_one_by_one_over_the_default() -> None:
    asked = question(Clean, '{"niter": 50, "action": "continue"}')
    found = read_answer(asked, None, {"action": "stop", "box": '{"size": 1}'})
    assert json.loads(found) == {"niter": 50, "action": "stop", "box": {"size": 1}}
    assert json.loads(read_answer(question(dict[str, str]), None, {"a": "5"})) == {"a": "5"}


def test_without_an_answer_the_default_is_taken() -> None:
    assert read_answer(question(int, "7"), None, {}) == "7"
    assert read_answer(question(None), None, {}) == "null"


@pytest.mark.parametrize(
    ("kind", "text", "fields", "told"),
    [
        (
            int,
            "many",
            {},
            r"\"many\" does not fit: 'many' is not of type 'integer'.* q-1 stays open and takes: integer",
        ),
        (Clean, None, {"niter": "-1", "action": "stop"}, "niter: -1 is less"),
        (Clean, None, {"niter": "1"}, "'action' is a required property"),
        (Clean, None, {"action": "stop", "box": '{"size": "big"}'}, r"box\.size: 'big'"),
        (Clean, None, {"nitre": "1"}, "no field 'nitre'.*niter"),
        (int, None, {}, "has no default. It takes: integer"),
        (int, "1", {"a": "1"}, "not both"),
        (None, "1", {}, "nothing, only that the run goes on: daskflow answer q-1"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(
    kind: Any, text: str | None, fields: dict[str, str], told: str
) -> None:
    with pytest.raises(AnswerRefused, match=told):
        read_answer(question(kind), text, fields)


def test_a_form_that_is_none_is_left_to_the_run() -> None:
    broken = question(None).model_copy(update={"form": '{"type": "nonsense"}'})
    assert checked_answer(broken, 3) == "3"
