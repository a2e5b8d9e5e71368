"""References in the fields of works."""

from __future__ import annotations

import pytest

from daskflow.errors import PipelineInvalid
from daskflow.execution.pipelines.references import inner, references, replaced, within

VALUES = {"matrix.a": 3, "matrix.list": [1, {"b": None}], "pipeline.alpha.results": {"dm": 332.7}}


def test_a_whole_value_keeps_its_type_and_within_a_text_it_is_text() -> None:
    given = {"x": "${{ matrix.a }}", "all": ["${{matrix.list}}", "a-${{ matrix.a }}-${{ matrix.list }}"], "n": 1}
    assert replaced(given, VALUES.__getitem__) == {"x": 3, "all": [[1, {"b": None}], 'a-3-[1, {"b": null}]'], "n": 1}


def test_two_references_side_by_side_are_text() -> None:
    assert replaced("${{ matrix.a }}${{ matrix.a }}", VALUES.__getitem__) == "33"


def test_what_a_reference_gives_is_not_looked_at_again() -> None:
    assert replaced("${{ matrix.a }}", {"matrix.a": "${{ matrix.b }}"}.__getitem__) == "${{ matrix.b }}"


def test_references_are_found_with_their_places() -> None:
    found = list(references({"a": ["x", "${{ matrix.a }}"], "b": {"c": "-${{ pipeline.s.id }}-"}}, "work"))
    assert found == [("work.a[1]", "matrix.a"), ("work.b.c", "pipeline.s.id")]


@pytest.mark.parametrize("text", ["${{ matrix.a + 1 }}", "${{ }}", "${{ matrix.a", "x ${{ matrix..a }}"])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(PipelineInvalid, match="work"):
        list(references({"work": text}, "step"))


def test_only_a_whole_text_has_an_inner_one() -> None:
    assert inner(" ${{ a == 1 }} ") == "a == 1"
    assert inner("${{ a }} and ${{ b }}") is None
    assert inner("a") is None


def test_paths_lead_through_dictionaries_and_lists() -> None:
    assert within({"a": [{"b": 7}]}, ["a", "0", "b"], "x") == 7
    for path in (["a", "1"], ["a", "-1"], ["c"], ["a", "0", "b", "c"]):
        with pytest.raises(PipelineInvalid, match=r"pipeline\.s\.results"):
            within({"a": [{"b": 7}]}, path, "pipeline.s.results")
