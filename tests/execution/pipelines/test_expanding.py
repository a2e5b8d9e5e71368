"""The works of a step."""

from __future__ import annotations

from typing import Any

import pytest

from daskflow.execution.pipelines.expanding import bucket_of, buckets_of, combinations, condition_of, fields_of
from daskflow.model.pipeline import Pipeline, Step


def pipeline(*steps: dict[str, Any], **more: Any) -> Pipeline:
    return Pipeline.model_validate({"name": "Fast_Bursts", "steps": steps, **more})


def test_no_matrix_has_one_combination_and_a_matrix_all() -> None:
    assert list(combinations({})) == [{}]
    assert len(list(combinations({"a": [1, 2], "b": [1, 2, 3]}))) == 6


@pytest.mark.parametrize(
    ("text", "known", "wanted"),
    [
        ("failure", {"failure": True}, True),
        ("always", {"always": True}, True),
        ("${{ failure or success }}", {"failure": False, "success": True}, True),
        ("false", {}, False),
    ],
)
def test_conditions(text: str, known: dict[str, Any], wanted: bool) -> None:
    found = condition_of(Step.model_validate({"name": "a", "if": text, "work": {}}))
    assert found is not None
    assert bool(found.value(known.__getitem__)) is wanted
    assert condition_of(Step(name="a", work={})) is None


def test_defaults_are_merged_key_by_key_and_lists_are_replaced() -> None:
    found = pipeline(
        {"name": "a", "work": {"parameters": {"y": 2}, "event": [9], "tag": "b"}},
        defaults={"parameters": {"x": 1, "y": 1}, "event": [1, 2], "tags": ["a"]},
    )
    fields = fields_of(found, found.steps[0], {}, None)
    assert fields == {"parameters": {"x": 1, "y": 2}, "event": [9], "tags": "b", "pipeline": "fast-bursts"}


def test_agents_of_a_deployment_have_a_bucket_of_their_own() -> None:
    found = pipeline(
        {"name": "a", "work": {}},
        {"name": "b", "work": {"site": "cedar"}, "runs_on": "Big_Ones"},
        {"name": "c", "work": {"pipeline": "else"}, "runs_on": "Big_Ones"},
        deployments=[{"name": "Big_Ones", "site": "local"}],
    )
    assert [bucket_of(found, step) for step in found.steps[:2]] == ["fast-bursts", "fast-bursts-big-ones"]
    made = [fields_of(found, step, {}, None) for step in found.steps]
    assert [each["pipeline"] for each in made] == ["fast-bursts", "fast-bursts-big-ones", "else"]
    assert [each.get("site") for each in made] == [None, "cedar", "local"]


def test_before_there_are_results_what_needs_them_is_left_out() -> None:
    work = {"site": "${{ pipeline.x.results }}", "event": ["${{ pipeline.x.results.e }}"], "tags": ["${{ matrix.a }}"]}
    found = pipeline({"name": "a", "work": work})
    assert fields_of(found, found.steps[0], {"a": 3}, None) == {"site": "x", "tags": [3], "pipeline": "fast-bursts"}
    known = {"pipeline.x.results": "cedar", "pipeline.x.results.e": 7}
    fields = fields_of(found, found.steps[0], {"a": 3}, known.__getitem__)
    assert (fields["site"], fields["event"]) == ("cedar", [7])


def test_parts_of_a_value_of_the_matrix_can_be_named() -> None:
    found = pipeline({"name": "a", "work": {"parameters": {"x": "${{ matrix.a.b.0 }}"}}})
    assert fields_of(found, found.steps[0], {"a": {"b": [5]}}, None)["parameters"] == {"x": 5}


def test_the_site_of_a_deployment_counts_more_than_that_of_all_works() -> None:
    crew = [{"name": "crew", "site": "cedar"}]
    found = pipeline({"name": "a", "work": {}}, defaults={"site": "local"}, deployments=crew, runs_on="crew")
    assert fields_of(found, found.steps[0], {}, None)["site"] == "cedar"


def test_the_buckets_of_all_works_of_a_step() -> None:
    work = {"pipeline": "Fit ${{ matrix.band }}-${{ matrix.event }}"}
    step = {"name": "a", "matrix": {"band": ["L", "H"], "x": {"range": [5000]}}, "work": work}
    found = pipeline(step, {"name": "b", "work": {}}, matrix={"event": [1, 2]}, defaults={"pipeline": "all"})
    assert sorted(buckets_of(found, found.steps[0])) == ["fit-h-1", "fit-h-2", "fit-l-1", "fit-l-2"]
    assert buckets_of(found, found.steps[1]) == ["all"]
    plain = pipeline({"name": "a", "work": {}})
    assert buckets_of(plain, plain.steps[0]) == [bucket_of(plain, plain.steps[0])]
