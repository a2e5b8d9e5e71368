"""Records of pipelines."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from daskflow.model.pipeline import MOST, Deployment, Pipeline, Schedule, Step


def pipeline(**fields: Any) -> Pipeline:
    return Pipeline.model_validate({"name": "p", "steps": [{"name": "a", "work": {}}], **fields})


def test_a_range_is_that_of_python() -> None:
    assert Step.model_validate({"name": "a", "work": {}, "matrix": {"b": {"range": [7, 13, 2]}}}).matrix == {
        "b": [7, 9, 11]
    }


@pytest.mark.parametrize(
    "values",
    [
        [],
        "abc",
        {"range": []},
        {"range": [1, 2, 0]},
        {"range": [0.5, 2]},
        {"range": [True]},
        {"range": [MOST + 1]},
        {"range": [-(2**63), 2**63 - 1]},
        {"span": [1, 2]},
        {"range": [1, 1]},
    ],
)
def test_values_of_a_matrix_that_are_none_are_refused(values: Any) -> None:
    with pytest.raises(ValidationError):
        Step.model_validate({"name": "a", "work": {}, "matrix": {"b": values}})


def test_names_are_distinct() -> None:
    with pytest.raises(ValidationError, match="several steps are called a"):
        pipeline(steps=[{"name": "a", "work": {}}, {"name": "a", "work": {}}])
    with pytest.raises(ValidationError, match="several deployments are called d"):
        pipeline(deployments=[{"name": "d", "site": "local"}] * 2)


@pytest.mark.parametrize("name", ["", "a b", "a.b", "-a", "a" * 61, "a/b"])
def test_names_are_plain(name: str) -> None:
    for kind in (Pipeline, Step, Deployment):
        with pytest.raises(ValidationError):
            kind.model_validate({"name": name, "site": "local", "work": {}, "steps": [{"name": "a", "work": {}}]})


def test_stages_are_in_their_order_and_steps_in_that_of_the_file() -> None:
    found = pipeline(
        steps=[{"name": name, "stage": stage, "work": {}} for name, stage in (("a", 3), ("b", 1), ("c", 3), ("d", 2))]
    )
    assert [[step.name for step in stage] for stage in found.stages()] == [["b"], ["d"], ["a", "c"]]


def test_a_step_runs_on_its_own_deployment_or_on_that_of_all() -> None:
    found = pipeline(
        deployments=[{"name": "d", "site": "local"}, {"name": "e", "site": "local"}],
        runs_on="d",
        steps=[{"name": "a", "work": {}}, {"name": "b", "work": {}, "runs_on": "e"}],
    )
    homes = [found.home_of(step) for step in found.steps]
    assert [None if home is None else home.name for home in homes] == ["d", "e"]


def test_amounts_of_deployments_are_read() -> None:
    found = Deployment.model_validate({"name": "d", "site": "local", "resources": {"ram": "2G"}, "sleep": "1 min"})
    assert (found.resources.ram, found.resources.cores, found.sleep) == (2 << 30, 1, 60.0)


@pytest.mark.parametrize("lives", [0, -2, "many"])
def test_a_schedule_has_lives(lives: Any) -> None:
    with pytest.raises(ValidationError):
        Schedule.model_validate({"cronspec": "* * * * *", "lives": lives})
