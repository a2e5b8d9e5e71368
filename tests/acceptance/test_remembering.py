"""What was decided, failed, or answered in one run is not taken for the result of another."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from daskflow.errors import RunFailed
from daskflow.execution.worker.attempt import current
from daskflow.graph.lenient import allow_failure
from daskflow.graph.question import Asker
from daskflow.graph.race import Racer
from tests.conftest import Lab
from tests.execution.patience import until


@pytest.fixture
def weather(tmp_path: Path) -> Path:
    """A file: as long as it is there, something fails that does not count in keys."""
    path = tmp_path / "storm"
    path.touch()
    return path


@pytest.fixture
def tasks(lab: Lab) -> dict[str, Any]:
    @lab.task
    def fragile(path: str) -> str:
        if os.path.exists(path):
            raise ValueError("storm")
        return "fine"

    @lab.task
    def told(value: Any) -> str:
        return f"told {type(value).__name__}"

    @lab.task
    def passed_on(text: str) -> str:
        return f"on: {text}"

    return {"fragile": fragile, "told": told, "passed_on": passed_on}


def after_the_storm(study: Any, weather: Path) -> tuple[Any, Any]:
    before = study(str(weather))
    weather.unlink()
    return before, study(str(weather))


@pytest.mark.parametrize("awaited", ["nothing", "the failure", "what was made of it"])
def test_what_is_made_of_a_failure_whenever_it_was_called(
    lab: Lab, tasks: dict[str, Any], weather: Path, awaited: str
) -> None:
    @lab.flow
    def study(path: str) -> Any:
        bad = tasks["fragile"](path)
        if awaited == "the failure":
            bad.result(raise_on_failure=False)
        made = tasks["told"](allow_failure(bad))
        if awaited == "what was made of it":
            made.result()
        return tasks["passed_on"](made)

    assert after_the_storm(study, weather) == ("on: told Failure", "on: told str")


def test_the_winner_of_a_race_may_be_made_of_a_failure(lab: Lab, tasks: dict[str, Any], weather: Path) -> None:
    first = Racer(lab.launcher)

    @lab.flow
    def study(path: str) -> Any:
        return first([tasks["told"](allow_failure(tasks["fragile"](path)))])

    assert after_the_storm(study, weather) == ("told Failure", "told str")


def test_a_flow_that_a_task_returns_may_deal_with_a_failure(lab: Lab, tasks: dict[str, Any], weather: Path) -> None:
    fragile, told = tasks["fragile"], tasks["told"]

    @lab.flow
    def below(path: str) -> Any:
        return told(allow_failure(fragile(path)))

    @lab.task
    def start(path: str) -> Any:
        return below.submit(path)

    @lab.flow
    def study(path: str) -> Any:
        return start(path)

    assert after_the_storm(study, weather) == ("told Failure", "told str")


def test_a_flow_that_a_task_returns_asks_each_time(lab: Lab) -> None:
    ask = Asker(lab.launcher)

    @lab.flow
    def below() -> Any:
        return ask.job("Who is there?", schema=str)

    @lab.task
    def start() -> Any:
        return below.submit()

    @lab.flow
    def study() -> Any:
        return start()

    found = []
    for name in ("Ann", "Bob"):
        run = study.submit()
        until(run.questions)
        run.answer(value=name)
        found.append(run.result(60))
    assert found == ["Ann", "Bob"]


def test_a_number_that_was_reported_counts_when_its_job_is_remembered(lab: Lab) -> None:
    @lab.task
    def fit() -> int:
        current().report.metric("chisq", 1.0)
        return 1

    @lab.task
    def publish(x: int) -> str:
        return "published"

    @lab.flow
    def study() -> Any:
        job = fit()
        return publish(job, when=job.metric("chisq") < 1.1)

    assert [study(), study()] == ["published"] * 2


def test_a_race_is_not_remembered_where_its_winner_may_not_start_today(lab: Lab) -> None:
    first = Racer(lab.launcher)

    @lab.task
    def gate(open: bool) -> int:
        if not open:
            raise ValueError("shut")
        return 1

    @lab.task
    def one(x: int) -> int:
        return x

    @lab.flow
    def study(open: bool) -> Any:
        opened = gate(open).succeeded
        return first([one(1, when=opened), one(2, when=opened)])

    assert study(True) in (1, 2)
    with pytest.raises(RunFailed, match="0 of 2 jobs were good enough"):
        study(False)


def test_a_job_that_the_flow_returns_is_no_loser(lab: Lab) -> None:
    first = Racer(lab.launcher)

    @lab.task
    def after(seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    @lab.flow(site="threads")
    def study() -> Any:
        quick, slow = after(0.0), after(0.5)
        return first([quick, slow]), slow

    assert study() == (0.0, 0.5)
