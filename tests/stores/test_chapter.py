from __future__ import annotations

from pathlib import Path

from daskflow.stores.chapter import as_json, distinct, few, like


def test_json_of_text_is_taken_to_be_json() -> None:
    assert as_json('{"a": 1}') == '{"a": 1}'


def test_json_shows_what_it_does_not_know_as_text() -> None:
    assert as_json({"path": Path("/a")}) == '{"path": "/a"}'


def test_distinct_keeps_the_order() -> None:
    assert distinct(["b", "a", "b"]) == ["b", "a"]


def test_like_escapes_its_signs() -> None:
    assert like(r"a_b%c\d") == r"a\_b\%c\\d"


def test_few_says_that_there_are_more() -> None:
    assert few(["a", "b"]) == "a, b"
    assert few(["a", "b", "c"], most=2) == "a, b, ..."
