"""What people are told of what does not fit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, get_args

import pytest
from annotated_types import Len
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticKnownError, SchemaValidator, core_schema

from daskflow.model import mistakes
from daskflow.model.mistakes import Mistake, ended, listed, meant, mistakes_in, models_within

FOREIGN = re.compile(r"Input|Value error|Field required|Extra inputs|permitted|should|valid (string|integer)|\{")
"""How a library says it."""
CONTEXT: dict[str, Any] = {
    **dict.fromkeys(("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "actual_length"), 1),
    **dict.fromkeys(
        ("max_digits", "decimal_places", "whole_digits", "expected_version", "tz_expected", "tz_actual"), 1
    ),
    **dict.fromkeys(("class", "class_name", "expected", "expected_tags", "tag", "discriminator", "pattern"), "Some"),
    **dict.fromkeys(("encoding", "encoding_error", "field_type", "method_name", "expected_schemes"), "Some"),
    "error": "why",
    "attribute": "Some",
}


class Inner(BaseModel):
    count: int = Field(default=1, ge=1)
    names: list[str] = []


class Outer(BaseModel, extra="forbid"):
    inner: Inner = Inner()
    several: dict[str, Inner] = {}
    tags: str | list[str] | Inner = ""
    spelt: str = Field(default="", alias="if")


def failure(kind: Any, given: Any) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(given)
    return caught.value


def told(kind: Any, given: Any) -> list[str]:
    return [str(each) for each in mistakes_in(failure(kind, given), given)]


@pytest.mark.parametrize("kind", get_args(core_schema.ErrorType))
def test_no_mistake_is_told_in_the_words_of_the_library(kind: Any) -> None:
    def wrong(value: Any) -> Any:
        if kind in ("value_error", "assertion_error"):
            raise ValueError("why")
        try:
            raise PydanticKnownError(kind, {**CONTEXT, "error": "why"})
        except TypeError:
            raise PydanticKnownError(kind) from None

    schema = core_schema.no_info_plain_validator_function(wrong)
    with pytest.raises(ValidationError) as caught:
        SchemaValidator(schema).validate_python(0)
    (found,) = mistakes_in(caught.value)
    assert found.text
    assert not FOREIGN.search(found.text), found.text


@pytest.mark.parametrize(
    ("kind", "given", "text"),
    [
        (int, "x", "it must be a whole number"),
        (int, 2.5, "it must be a whole number"),
        (Annotated[int, Field(ge=1, le=5)], 7, "it must be at most 5"),
        (Annotated[float, Field(gt=0)], 0, "it must be more than 0.0"),
        (Annotated[str, Field(min_length=1)], "", "it must have at least 1 letter"),
        (Annotated[str, Field(max_length=2)], "abc", "it must have at most 2 letters"),
        (Annotated[str, Field(pattern="^[a-z]+$")], "A", "it must look like ^[a-z]+$"),
        (Annotated[list[int], Len(2)], [1], "it must have at least 2 items, and has 1"),
        (Annotated[tuple[int, ...], Len(1)], ["a"], "0: it must be a whole number"),
        (Inner, 3, "it must be a mapping of the fields of Inner"),
        (Inner, {"count": 0}, "count: it must be at least 1"),
    ],
)
def test_limits_are_told(kind: Any, given: Any, text: str) -> None:
    assert told(kind, given) == [text]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"tags": 5}, ["tags: it must be a text or a list or a mapping of the fields of Inner"]),
        # The list is what was meant: only its mistake is told.
        ({"tags": ["a", 5]}, ["tags.1: it must be a text"]),
        ({"tags": {"count": 0}}, ["tags.count: it must be at least 1"]),
        ({"several": {"a": {"names": [1]}}}, ["several.a.names.0: it must be a text"]),
        ({"if": 3}, ["if: it must be a text"]),
    ],
)
def test_places_are_those_of_what_was_given(given: Any, text: list[str]) -> None:
    assert told(Outer, given) == text


def test_what_cannot_be_looked_into_keeps_the_places_of_validation() -> None:
    class Object:
        inner = 3

    error = failure(Outer, {"inner": 3})
    assert [each.place for each in mistakes_in(error, Object())] == [("inner",)]
    assert [each.place for each in mistakes_in(error)] == [("inner",)]


def test_values_are_known_and_not_told() -> None:
    (found,) = mistakes_in(failure(Outer, {"inner": "sesame"}), {"inner": "sesame"})
    assert found.value == "sesame"
    assert "sesame" not in str(found)


def test_fields_that_there_are_not_are_told_with_what_may_be_meant() -> None:
    given = {"innner": {}, "inner": {"count": 0}, "zzz": 1}
    text = listed(failure(Outer, given), Outer, given)
    assert "innner: there is no such field; do you mean 'inner'?" in text
    assert "zzz: there is no such field; there are if, inner, several, tags" in text
    assert "inner.count: it must be at least 1" in text


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (("inner", "cuont"), "do you mean 'count'?"),
        (("several", "a", "cuont"), "do you mean 'count'?"),
        (("if", "x"), "leave it out"),
    ],
)
def test_what_is_meant_is_looked_for_in_the_record_of_the_place(place: tuple[str, ...], text: str) -> None:
    assert meant(Outer, place) == text


def test_records_within_a_type() -> None:
    assert models_within(dict[str, tuple[Inner, ...]] | Outer | None) == [Inner, Outer]
    assert models_within(int) == []


def test_only_here_it_is_said_what_validation_found() -> None:
    root = Path(mistakes.__file__).parents[1]
    telling = [path for path in root.rglob("*.py") if re.search(r"""\[["']msg["']\]|include_url""", path.read_text())]
    assert telling == [Path(mistakes.__file__)]


def test_a_sentence_has_one_end() -> None:
    assert ended("a") == "a."
    assert ended("do you mean 'a'?") == "do you mean 'a'?"


def test_a_mistake_of_the_whole_has_no_place() -> None:
    assert str(Mistake((), "it must be a text")) == "it must be a text"
    assert Mistake((), "x", "extra_forbidden").strange
