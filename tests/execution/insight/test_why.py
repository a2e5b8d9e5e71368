"""Why a job ran, down to the root."""

from __future__ import annotations

from typing import Any

from daskflow.execution.insight.why import explain, trace
from daskflow.model.records import JobRecord
from tests.conftest import Lab


def last(lab: Lab, task: str) -> JobRecord:
    run = lab.project.journal.run("last").id
    return lab.project.journal.jobs(run, task=task)[0]


def reasons(lab: Lab, task: str) -> list[str]:
    return explain(lab.project.journal, last(lab, task))


def load(number: int) -> int:
    return number


def load_more(number: int) -> int:
    return number + 1


def scale(number: int, factor: int) -> int:
    return number * factor


def add(numbers: list[int]) -> int:
    return sum(numbers)


def loading(lab: Lab, version: str) -> Any:
    """A task of which another version has another result."""
    return lab.task(load if version == "1" else load_more, name="load", version=version)


def pipeline(lab: Lab, factor: int, *, versions: tuple[str, str] = ("1", "1")) -> None:
    """Load, scale each, add; with versions of the code for loading and scaling."""
    loads, scales = loading(lab, versions[0]), lab.task(scale, version=versions[1])
    adds = lab.task(add, version="1")

    @lab.flow
    def study() -> Any:
        return adds([scales(loads(number), factor) for number in range(3)])

    study()


def test_first_run_has_no_reason(lab: Lab) -> None:
    pipeline(lab, 2)
    assert reasons(lab, "add") == ["no job of the task add ran before"]
    assert len(trace(lab.project.journal, last(lab, "add"))) == 1


def test_cached_job_says_since_when(lab: Lab) -> None:
    pipeline(lab, 2)
    pipeline(lab, 2)
    assert "was not run: known since run" in reasons(lab, "add")[0]
    assert trace(lab.project.journal, last(lab, "add"))[0].root


def test_value_is_named(lab: Lab) -> None:
    pipeline(lab, 2)
    pipeline(lab, 3)
    assert reasons(lab, "scale") == ["argument factor changed: 2 -> 3"]
    assert reasons(lab, "add")[0].startswith("numbers comes from 3 jobs which are not those they were")


def test_trace_leads_to_the_code_that_changed(lab: Lab) -> None:
    pipeline(lab, 2)
    pipeline(lab, 2, versions=("2", "1"))
    steps = trace(lab.project.journal, last(lab, "add"))
    assert [step.job.task for step in steps if step.root] == ["load"]
    assert steps[0].job.task == "add"
    assert not steps[0].root
    root = next(step for step in steps if step.root)
    assert "changed: 1 -> 2" in root.reasons[0]
    assert next(step for step in steps if step.job.key == root.below).job.task == "scale"


def test_trace_names_each_root_once(lab: Lab) -> None:
    pipeline(lab, 2)
    pipeline(lab, 3, versions=("2", "1"))
    steps = trace(lab.project.journal, last(lab, "add"))
    assert sorted(step.job.task for step in steps if step.root) == ["load", "scale"]


def test_trace_compares_with_the_run_before_not_with_any(lab: Lab) -> None:
    pipeline(lab, 2)
    pipeline(lab, 2, versions=("2", "1"))
    pipeline(lab, 2, versions=("2", "2"))
    steps = trace(lab.project.journal, last(lab, "add"))
    assert [step.job.task for step in steps if step.root] == ["scale"]
    assert "gave the same results as before" in steps[0].reasons[0]


def lists(lab: Lab, count: int, version: str = "1") -> None:
    """Load and add."""
    loads, adds = loading(lab, version), lab.task(add, version="1")

    @lab.flow
    def study() -> Any:
        return adds([loads(number) for number in range(count)])

    study()


def test_longer_list_of_jobs_is_told(lab: Lab) -> None:
    lists(lab, 2)
    lists(lab, 3)
    assert reasons(lab, "add") == ["argument numbers holds other jobs: 2 before, 3 now"]
    assert trace(lab.project.journal, last(lab, "add"))[0].root


def test_long_lists_of_jobs_are_followed(lab: Lab) -> None:
    lists(lab, 50)
    lists(lab, 50, "2")
    assert reasons(lab, "add") == ["numbers holds jobs or values which are not those they were"]
    assert [step.job.task for step in trace(lab.project.journal, last(lab, "add")) if step.root] == ["load"]
