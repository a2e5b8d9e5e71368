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


def test_runs_below_are_looked_into(lab: Lab, study: Any) -> None:
    @lab.task
    def halve(number: float) -> float:
        return number / 2

    @lab.flow
    def whole() -> Any:
        runs = [study.submit(n) for n in (2, 4)]
        return halve(sum(run.result() for run in runs))

    plan = whole.plan()
    assert {task.task: sum(task.states.values()) for task in plan.tasks()} == {"load": 4, "add": 2}
    assert plan.open_end == "the run of study"
    study(4)
    assert whole.plan().open_end == "the run of study"
    assert whole() == 3.5
    plan = whole.plan()
    assert plan.open_end == ""
    assert plan.count(JobState.cached) == len(plan.jobs) == 7


def test_a_run_below_that_nobody_asks_leaves_the_end_open(lab: Lab, study: Any) -> None:
    @lab.flow
    def counting() -> Any:
        return study(study(2).result())

    @lab.flow
    def whole() -> None:
        counting.submit()

    plan = whole.plan()
    assert plan.open_end == "the run of counting"
    assert plan.count(JobState.queued) == 3


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


def test_jobs_made_outside_may_be_used_after_a_plan(lab: Lab) -> None:
    @lab.task
    def step(x: int) -> int:
        return x + 1

    @lab.flow
    def use(job: Any) -> Any:
        return step(step(1)), step(job)

    early = step(step(1))
    for _ in range(2):
        plan = use.plan(early)
        assert [job.record.number for job in plan.jobs] == list(range(len(plan.jobs)))
        assert all(min(job.record.upstream, default=0) >= 0 for job in plan.jobs)
        assert (early.host, str(early.state)) == (None, "created")
    assert use(early) == (3, 4)
    assert use.plan(early).count(JobState.cached) == 3
    assert early.result(10) == 3


def test_what_nobody_needs_would_not_run(lab: Lab) -> None:
    @lab.task(cache="run")
    def prepare(x: int) -> int:
        return x

    @lab.task(version="1")
    def fit(x: int) -> int:
        return 2 * x

    @lab.flow
    def study() -> Any:
        return fit(prepare(1))

    study()
    host = lab.project
    plan = study.plan()
    assert host is lab.project
    assert [job.record.task for job in plan.jobs] == ["prepare", "fit"]


def test_expected_time_is_that_of_all_slots_or_of_the_longest_chain(lab: Lab) -> None:
    @lab.task
    def step(x: int) -> int:
        return x

    @lab.flow(site="threads")
    def wide() -> Any:
        return [step(x) for x in range(10)]

    @lab.flow(site="threads")
    def long() -> Any:
        job = step(0)
        for _ in range(9):
            job = step(job)
        return job

    assert wide.plan().seconds == 0, "nothing is known yet"
    rows = [(f"step-{n}", "step", "c", None, None, "d", 1, "pickle", b"", "r", 1.0, 4.0, 0) for n in range(3)]
    lab.project.journal.add_results(rows)
    assert wide.plan().seconds == 10 * 4.0 / 2
    assert long.plan().seconds == 10 * 4.0
