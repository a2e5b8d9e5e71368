"""A question survives its driver, and is answered from another process."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daskflow.graph.question import Asker
from tests.acceptance.shell import daskflow, environment
from tests.conftest import Lab
from tests.execution.counting import counted
from tests.execution.patience import until

FLOW = """
import os
from typing import Literal

from pydantic import BaseModel, Field, field_validator

from daskflow import ask, flow, task


class Choice(BaseModel):
    niter: int = Field(ge=1)
    action: Literal["continue", "stop"] = "continue"

    @field_validator("niter")
    @classmethod
    def not_unlucky(cls, niter: int) -> int:
        if niter == 13:
            raise ValueError("13 brings bad luck")
        return niter


def count(name):
    descriptor = os.open(os.path.join(os.environ["NOTES"], name), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, b"x")
    os.close(descriptor)


@task(cache="run")
def measure(i: int) -> int:
    count(f"measure-{i}")
    return 10 * i


@task
def clean(data: list[int], niter: int) -> int:
    count(f"clean-{niter}")
    return sum(data) + niter


@flow
def study() -> str:
    data = [measure(i) for i in range(4)]
    total = clean(data, 0).result()
    choice = ask(f"The noise is {total}. Go on?", schema=Choice)
    return f"{choice.action} {clean(data, choice.niter).result()}"


@flow
def survey() -> str:
    children = [study.submit() for _ in range(1)]
    return children[0].result()


@flow
def node() -> list:
    first = measure(1)
    asked = ask.job("Fine?", schema=bool, when=first.succeeded)
    never = ask.job("Why did it fail?", schema=str, when=first.failed)
    return [clean([first], asked), never.result(raise_on_failure=False).__class__.__name__]
"""


DRIVERS: list[Driver] = []


class Driver:
    """A process that performs a run, and dies when the test says so."""

    def __init__(self, directory: Path, *command: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "daskflow", *command],
            cwd=directory,
            env=environment(NOTES=str(directory / "notes")),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        DRIVERS.append(self)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def lives(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """As a node that fails: nothing can be done any more."""
        if self.lives:
            self._process.kill()
            self._process.communicate()

    def finish(self) -> Any:
        """Wait for the end; gives what it told of its run."""
        out, told = self._process.communicate(timeout=120)
        assert self._process.returncode == 0, told
        return json.loads(out)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A directory for runs whose drivers do not outlive the test."""
    (tmp_path / "flow.py").write_text(FLOW)
    (tmp_path / "notes").mkdir()
    yield tmp_path
    for driver in DRIVERS:
        driver.kill()
    DRIVERS.clear()


def asked(place: Path) -> list[dict[str, Any]]:
    """All open questions, as another process sees them."""
    found: list[dict[str, Any]] = json.loads(daskflow(place, "questions", "--json"))
    return found


def rows(place: Path, query: str) -> list[Any]:
    """What the journal holds, for those who look often."""
    if not (place / ".daskflow/journal.db").exists():
        return []
    with contextlib.closing(sqlite3.connect(place / ".daskflow/journal.db")) as database:
        try:
            return database.execute(query).fetchall()
        except sqlite3.OperationalError:  # there are no tables yet
            return []


def waiting(place: Path, flow: str = "study") -> tuple[Driver, dict[str, Any]]:
    """A driver that waits for the answer to its question."""
    driver = Driver(place, "run", f"flow.py:{flow}", "--site", "threads", "--json")
    until(lambda: not driver.lives or rows(place, "SELECT id FROM questions"))
    assert driver.lives, driver.finish()
    (question,) = asked(place)
    return driver, question


@pytest.mark.parametrize("order", ["answer before the resume", "answer after it"])
def test_the_driver_may_die_while_it_waits(place: Path, order: str) -> None:
    driver, question = waiting(place)
    assert question["prompt"] == "The noise is 60. Go on?"
    driver.kill()
    assert asked(place) == [question], "the question is still open"
    if order == "answer after it":
        driver = Driver(place, "resume", question["run"], "--json")
        until(lambda: rows(place, "SELECT pid FROM runs") == [(driver.pid,)])
        daskflow(place, "answer", question["id"], "--set", "niter=5", "--set", "action=stop")
    else:
        assert "daskflow resume" in daskflow(
            place, "answer", question["id"], "--set", "niter=5", "--set", "action=stop"
        )
        driver = Driver(place, "resume", question["run"], "--json")
    found = driver.finish()
    assert (found["run"], found["value"]) == (question["run"], "stop 65")
    assert counted(place / "notes") == {**{f"measure-{i}": 1 for i in range(4)}, "clean-0": 1, "clean-5": 1}
    assert asked(place) == []


def test_an_answer_that_does_not_fit_is_refused_and_the_question_stays_open(place: Path) -> None:
    driver, question = waiting(place)
    refused = daskflow(place, "answer", question["id"], "--set", "niter=0", code=2)
    assert "niter" in refused
    assert "less than the minimum of 1" in refused
    (still,) = asked(place)
    assert still["id"] == question["id"]
    daskflow(place, "answer", question["id"], "--set", "niter=7")
    assert driver.finish()["value"] == "continue 67"


def test_an_answer_that_only_the_run_can_judge_is_refused_by_it(place: Path) -> None:
    driver, question = waiting(place)
    driver.kill()
    daskflow(place, "answer", question["id"], "--set", "niter=13")
    assert asked(place) == []
    driver = Driver(place, "resume", question["run"], "--json")
    until(lambda: "bad luck" in rows(place, "SELECT note FROM questions")[0][0])
    (again,) = asked(place)
    assert again["id"] == question["id"]
    daskflow(place, "answer", question["id"], "--set", "niter=7")
    assert driver.finish()["value"] == "continue 67"


def test_nobody_has_to_know_which_subflow_asks(place: Path) -> None:
    driver, question = waiting(place, "survey")
    assert question["flow"] == "study"
    driver.kill()
    ((parent,),) = rows(place, "SELECT id FROM runs WHERE flow = 'survey'")
    assert json.loads(daskflow(place, "questions", "--run", parent, "--json")) == [question]
    daskflow(place, "answer", question["id"], "--set", "niter=1")
    found = Driver(place, "resume", parent, "--json").finish()
    assert found["value"] == "continue 61"
    assert set(counted(place / "notes").values()) == {1}


def test_a_question_as_a_job_is_asked_when_its_condition_holds(place: Path) -> None:
    driver, question = waiting(place, "node")
    assert question["prompt"] == "Fine?"
    daskflow(place, "answer", question["id"], "true")
    assert driver.finish()["value"] == [11, "JobSkipped"]


def test_idle_workers_go_while_nobody_answers(lab: Lab) -> None:
    ask = Asker(lab.launcher)

    @lab.task
    def work(x: int) -> int:
        return x + 1

    @lab.flow(site="threads")
    def study() -> Any:
        first = work(1).result()
        more = ask("How many more?", schema=int, release=True)
        return work(first + more)

    site = lab.project.site("threads")
    run = study.submit()
    until(lambda: lab.project.journal.questions(run.id))
    until(lambda: site.running() == ())
    assert site.address() == ""
    run.answer(value=5)
    assert run.result(60) == 8
