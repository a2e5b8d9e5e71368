from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from daskflow.errors import JobCycle, JobFailed, RunFailed
from daskflow.graph.lenient import allow_failure
from daskflow.model.outcome import Failure
from tests.conftest import Lab
from tests.execution.counting import count, counted

SITES = ["synchronous", "threads", "local"]


@pytest.mark.parametrize("site", SITES)
def test_jobs_that_a_task_returns_become_part_of_the_graph(lab: Lab, site: str, tmp_path: Path) -> None:
    @lab.task
    def plus(x: int, y: int) -> int:
        return x + y

    @lab.task
    def fibonacci(n: int) -> Any:
        return n if n < 2 else plus(fibonacci(n - 1), fibonacci(n - 2))

    @lab.task
    def size(path: Path) -> int:
        return len(path.read_text())

    @lab.task
    def sizes(directory: str) -> Any:
        return {"sizes": [size(path) for path in sorted(Path(directory).glob("*.txt"))], "unit": "B"}

    @lab.flow(site=site)
    def study(directory: str) -> Any:
        found = sizes(directory)
        return {"fib": plus(fibonacci(7), 1), "sum": plus(found["sizes"][0], found["sizes"][1]), "all": found}

    (tmp_path / "a.txt").write_text("abc")
    (tmp_path / "b.txt").write_text("defgh")
    run = study.submit(str(tmp_path))
    assert run.result(60) == {"fib": 14, "sum": 8, "all": {"sizes": [3, 5], "unit": "B"}}
    assert {str(job.state) for job in run.jobs} == {"succeeded"}
    second = study.submit(str(tmp_path))
    assert second.result(60) == run.result()
    assert {str(job.state) for job in second.jobs} == {"cached"}
    # What was made in the task counts by the content of its files, as everywhere.
    assert size(tmp_path / "a.txt").key in {job.key for job in run.jobs}


def test_a_flow_that_a_task_returns_is_started_beside(lab: Lab, notes: str) -> None:
    @lab.task
    def work(x: int, directory: str) -> int:
        count(directory, f"work-{x}")
        return 10 * x

    @lab.flow
    def below(x: int, directory: str) -> Any:
        return {"value": work(x, directory)}

    @lab.task
    def decide(n: int, directory: str) -> Any:
        return [below.submit(x, directory) for x in range(n)]

    @lab.flow(site="threads")
    def study(directory: str) -> Any:
        return decide(3, directory)

    run = study.submit(notes)
    assert run.result(60) == [{"value": 0}, {"value": 10}, {"value": 20}]
    assert [child.parent for child in run.children] == [run.id] * 3
    assert study(notes) == run.result()
    assert set(counted(notes).values()) == {1}


def test_failures_of_what_was_returned(lab: Lab) -> None:
    @lab.task
    def bad() -> int:
        raise ValueError("too dark")

    @lab.task
    def strict() -> Any:
        return [bad(), 1]

    @lab.task
    def tolerant() -> Any:
        return [allow_failure(bad()), 1]

    @lab.task
    def endless(n: int) -> Any:
        return endless(n)

    @lab.flow
    def study() -> Any:
        error = strict().result(raise_on_failure=False)
        assert isinstance(error, JobFailed)
        assert "ValueError: too dark" in str(error)
        return tolerant()

    failure, one = study()
    assert isinstance(failure, Failure)
    assert (failure.message, one) == ("too dark", 1)
    plan = {job.record.task: str(job.record.state) for job in study.plan().jobs}
    assert plan["strict"] == "queued"

    @lab.flow
    def circle() -> Any:
        return endless(1)

    with pytest.raises(RunFailed, match=JobCycle.__name__):
        circle()


def test_what_is_made_of_a_returned_failure_is_not_remembered(lab: Lab, notes: str) -> None:
    @lab.task
    def bad(directory: str) -> int:
        count(directory, "bad")
        raise ValueError("today")

    @lab.task
    def tolerant(directory: str) -> Any:
        return allow_failure(bad(directory))

    @lab.task
    def text(failure: Any) -> str:
        return str(failure.message)

    @lab.flow
    def study(directory: str) -> Any:
        return text(tolerant(directory))

    assert [study(notes), study(notes)] == ["today", "today"]
    assert counted(notes)["bad"] == 2
