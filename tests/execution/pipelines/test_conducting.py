"""Stages, conditions and thresholds, with jobs that end as the fields of their works say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from daskflow.errors import RunFailed
from daskflow.execution.pipelines.conducting import Conductor, mark
from daskflow.execution.pipelines.reading import read
from daskflow.graph.job import Job
from daskflow.model.pipeline import Pipeline
from tests.conftest import Lab


def pipeline(*steps: dict[str, Any], **more: Any) -> Pipeline:
    defaults = {"user": "ada", "site": "local"}
    given = [{**step, "work": {"function": "f", **step.get("work", {})}} for step in steps]
    return read({"name": "p", "defaults": defaults, "pipeline": {"steps": given}, **more})


def bad(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "work": {"parameters": {"bad": True}}, **fields}


class Stand:
    """Conducts pipelines in a laboratory: a work gives its parameters, or fails where these say so."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.deposited: list[tuple[str, dict[str, Any]]] = []

    def conduct(self, found: Pipeline, **matrix: Any) -> dict[str, Any]:
        @self.lab.task(cache="run", version="1")
        def work(mark: str, fields: str) -> dict[str, Any]:
            parameters = json.loads(fields).get("parameters") or {}
            if parameters.get("bad"):
                raise ValueError(f"{mark} is bad")
            return {"id": mark, "results": parameters, "products": ["a.h5"], "plots": None}

        def deposit(step: str, mark: str, fields: str) -> Job:
            self.deposited.append((mark, json.loads(fields)))
            job: Job = work(mark, fields)
            return job

        @self.lab.flow
        def flow() -> dict[str, Any]:
            return Conductor(found, matrix, deposit).conduct()

        self.run = flow.submit()
        ended: dict[str, Any] = self.run.result(60)
        return ended


@pytest.fixture
def stand(lab: Lab) -> Stand:
    return Stand(lab)


def statuses(ended: dict[str, Any]) -> dict[str, str]:
    return {name: step["status"] for name, step in ended.items()}


def test_results_feed_later_works(stand: Stand) -> None:
    found = pipeline(
        {"name": "a", "work": {"parameters": {"dm": 332.7}}},
        {"name": "b", "matrix": {"x": [1, 2]}, "work": {"parameters": {"x": "${{ matrix.x }}"}}},
        {
            "name": "c",
            "stage": 2,
            "work": {
                "parameters": {
                    "dm": "${{ pipeline.a.results.dm }}",
                    "all": "${{ pipeline.b.results }}",
                    "one": "${{ pipeline.b.results.1.x }}",
                    "text": "${{ pipeline.a.id }} in ${{ pipeline.a.products.0 }}, ${{ pipeline.b.status }}",
                    "event": "${{ matrix.event }}",
                }
            },
        },
        matrix={"event": [5, 6]},
    )
    stand.conduct(found, event=6)
    assert dict(stand.deposited)["step:c"]["parameters"] == {
        "dm": 332.7,
        "all": [{"x": 1}, {"x": 2}],
        "one": 2,
        "text": "step:a in a.h5, success",
        "event": 6,
    }


def test_the_next_stage_waits_and_is_skipped_after_a_failure(stand: Stand) -> None:
    found = pipeline(
        bad("a"),
        {"name": "b"},
        {"name": "c", "stage": 2},
        {"name": "d", "stage": 3, "if": "failure"},
        {"name": "e", "stage": 3, "if": "always"},
        {"name": "f", "stage": 4, "if": "${{ pipeline.b.status == 'success' and pipeline.c.status == 'skipped' }}"},
    )
    with pytest.raises(RunFailed, match="step:a is bad"):
        stand.conduct(found)
    assert [mark for mark, _ in stand.deposited] == ["step:a", "step:b", "step:d", "step:e", "step:f"]
    told = {event.data["step"]: event.kind for event in stand.run.events("pipeline.*")}
    assert told == {
        "a": "pipeline.step.failure",
        "b": "pipeline.step.success",
        "c": "pipeline.step.skipped",
        "d": "pipeline.step.success",
        "e": "pipeline.step.success",
        "f": "pipeline.step.success",
    }


def test_steps_for_failures_are_skipped_when_all_is_well(stand: Stand) -> None:
    ended = stand.conduct(
        pipeline(
            {"name": "a"},
            {"name": "b", "stage": 2, "if": "failure"},
            {"name": "c", "stage": 3},
            {"name": "d", "stage": 3},
        )
    )
    assert statuses(ended) == {"a": "success", "b": "skipped", "c": "success", "d": "success"}


@pytest.mark.parametrize(("threshold", "good"), [(0.5, True), (0.75, False), (0.0, True)])
def test_a_part_of_the_works_may_be_enough(stand: Stand, threshold: float, good: bool) -> None:
    found = pipeline(
        {
            "name": "a",
            "matrix": {"bad": [False, True]},
            "success_threshold": threshold,
            "work": {"parameters": {"bad": "${{ matrix.bad }}"}},
        },
        {"name": "b", "stage": 2, "work": {"parameters": {"all": "${{ pipeline.a.results }}"}}},
    )
    if good:
        assert stand.conduct(found)["a"] == {
            "status": "success",
            "succeeded": 1,
            "failed": 1,
            "reason": "1 of 2 works failed",
        }
        assert dict(stand.deposited)["step:b"]["parameters"] == {"all": [{"bad": False}, None]}
    else:
        with pytest.raises(RunFailed):
            stand.conduct(found)
        assert len(stand.deposited) == 2


def test_a_result_that_is_not_there_fails_the_step_and_no_other(stand: Stand) -> None:
    found = pipeline(
        {"name": "a", "work": {"parameters": {"dm": 3}}},
        {"name": "b", "stage": 2, "work": {"parameters": {"x": "${{ pipeline.a.results.width }}"}}},
        {"name": "c", "stage": 2},
        {"name": "d", "stage": 3, "if": "always"},
    )
    with pytest.raises(RunFailed, match=r"b: There is no pipeline\.a\.results\.width: .*the keys dm"):
        stand.conduct(found)
    assert [mark for mark, _ in stand.deposited] == ["step:a", "step:c", "step:d"]


def test_what_a_result_makes_of_a_work_is_checked(stand: Stand) -> None:
    found = pipeline(
        {"name": "a", "work": {"parameters": {"n": 99}}},
        {"name": "b", "stage": 2, "work": {"priority": "${{ pipeline.a.results.n }}"}},
    )
    with pytest.raises(RunFailed, match=r"b: .*priority"):
        stand.conduct(found)


def test_conditions_on_what_is_not_there_are_not_met(stand: Stand) -> None:
    ended = stand.conduct(
        pipeline(
            {"name": "a", "if": "false"},
            {"name": "b", "stage": 2, "if": "${{ pipeline.a.results.dm > 3 }}"},
            {"name": "c", "stage": 2, "if": "${{ not (pipeline.a.results.dm > 3) }}"},
        )
    )
    assert statuses(ended) == {"a": "skipped", "b": "skipped", "c": "success"}


def test_marks_tell_works_of_a_step_apart() -> None:
    alone, several = pipeline({"name": "a"}, {"name": "b", "matrix": {"x": [1]}}).steps
    assert (mark(alone, 0), mark(several, 0)) == ("step:a", "step:b[0]")
