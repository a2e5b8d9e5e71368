"""What a flow would do."""

from __future__ import annotations

from typing import Any

import pytest

from daskflow.model.states import JobState
from tests.conftest import Lab


@pytest.fixture
def study(lab: Lab) -> Any:
    @lab.task
    def load(number: int) -> int:
        return number

    @lab.task
    def add(numbers: list[int]) -> int:
        return sum(numbers)

    @lab.flow
    def study(n: int = 3) -> Any:
        return add([load(number) for number in range(n)])

    return study


def test_first_plan_runs_everything_and_nothing_yet(lab: Lab, study: Any) -> None:
    plan = study.plan()
    assert plan.count(JobState.queued) == 4
    assert lab.project.journal.runs() == []
    assert {job.why for job in plan.jobs} == {"no job of the task load ran before", "no job of the task add ran before"}


def test_plan_tells_what_is_cached_and_what_changed(study: Any) -> None:
    study(3)
    plan = study.plan(5)
    loads, adds = plan.tasks()
    assert loads.states == {"cached": 3, "queued": 2}
    assert loads.reasons[0].startswith("argument number changed")
    assert adds.reasons == ["argument numbers holds other jobs: 3 before, 5 now"]
    assert loads.seconds > 0


def test_plan_ends_where_a_result_decides(lab: Lab) -> None:
    @lab.task
    def count() -> int:
        return 2

    @lab.flow
    def study() -> Any:
        return [count() for _ in range(count().result())]

    plan = study.plan()
    assert plan.open_end.startswith("count-")
    study()
    assert study.plan().open_end == ""


def test_picture_and_table(study: Any) -> None:
    plan = study.plan()
    assert plan.drawing().svg().count("<g>") == 4
    assert study.visualize().svg() == plan.drawing().svg()
    html = plan._repr_html_()
    assert "<td>load</td><td>3</td>" in html


def test_hostile_names_are_escaped(lab: Lab) -> None:
    @lab.task
    def show(text: str) -> str:
        return text

    @lab.flow
    def study(text: str) -> Any:
        return show(text)

    study.name = "<i>study"
    study("<b>")
    html = study.plan("<script>")._repr_html_()
    assert "<script>" not in html
    assert "<i>" not in html
