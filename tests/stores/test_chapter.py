from __future__ import annotations

from pathlib import Path

from daskflow.stores import Journal
from daskflow.stores.chapter import as_json, distinct, few, like
from tests.stores.samples import run_record


def test_what_is_below_a_run(journal: Journal) -> None:
    for id, parent in (("a", ""), ("b", "a"), ("c", "b"), ("z", "")):
        journal.add_run(run_record(id, parent=parent))
    assert sorted(journal.below("a")) == ["a", "b", "c"]
    assert journal.below("nobody") == []


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
