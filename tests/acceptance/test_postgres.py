"""A group works with one store in PostgreSQL: flows run, are remembered, killed, resumed and asked there."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from daskflow.stores import Database, Journal
from tests.acceptance.shell import daskflow, environment, ran, run
from tests.execution.counting import counted

JOBS = 120
PAGE = Path(__file__).parents[2] / "docs" / "postgresql.md"
FLOW = """
import os
import time

from daskflow import ask, flow, task


def count(name):
    descriptor = os.open(os.path.join(os.environ["NOTES"], name), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, b"x")
    os.close(descriptor)


@task
def step(i: int, pause: float) -> int:
    count(f"step-{i}")
    time.sleep(pause)
    return i


@task
def total(xs: list[int]) -> int:
    count("total")
    return sum(xs)


@flow
def study(n: int, first: int = 0, pause: float = 0.0) -> int:
    return total([step(i, pause) for i in range(first, first + n)])


@flow
def asking() -> int:
    return ask("How many more?", schema=int)
"""


class Group:
    """A directory of one of the group, whose store is the one of all."""

    def __init__(self, directory: Path, store: str, notes: Path) -> None:
        directory.mkdir(exist_ok=True)
        (directory / "flow.py").write_text(FLOW)
        (directory / "daskflow.yaml").write_text(f"store: {store}\nsite: threads\n")
        self.directory = directory
        self.notes = notes
        self.drivers: list[subprocess.Popen[str]] = []

    def __call__(self, *arguments: str, code: int = 0) -> str:
        return daskflow(self.directory, *arguments, code=code, NOTES=str(self.notes))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Go on while the command runs; what it says stands in `said`."""
        with (self.directory / "said").open("w") as said:
            driver = subprocess.Popen(
                [sys.executable, "-m", "daskflow", *arguments],
                cwd=self.directory, env=environment(NOTES=str(self.notes)), text=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said,
            )  # fmt: skip
        self.drivers.append(driver)
        return driver

    def end(self) -> None:
        for driver in self.drivers:
            driver.kill()
            driver.wait()
            if driver.stdout is not None:
                driver.stdout.close()


@pytest.fixture
def group(tmp_path: Path, postgres: str) -> Iterator[Group]:
    notes = tmp_path / "notes"
    notes.mkdir()
    made = Group(tmp_path / "ann", postgres, notes)
    yield made
    made.end()


@pytest.fixture
def journal(postgres: str) -> Iterator[Journal]:
    with Database(postgres) as database:
        yield Journal(database)


def test_a_flow_is_remembered_by_another_process_and_shown(group: Group) -> None:
    first = run(group.directory, "flow.py:study", "--set", "n=5", NOTES=str(group.notes))
    assert first["value"] == 10
    assert ran(first) == {"step", "total"}
    again = run(group.directory, "flow.py:study", "--set", "n=5", NOTES=str(group.notes))
    assert (again["value"], ran(again)) == (10, set())
    assert counted(group.notes) == {**{f"step-{i}": 1 for i in range(5)}, "total": 1}
    (group.directory / "flow.py").write_text(FLOW.replace("return sum(xs)", "return sum(xs) + 1"))
    changed = run(group.directory, "flow.py:study", "--set", "n=5", NOTES=str(group.notes))
    assert (changed["value"], ran(changed)) == (11, {"total"})
    listed = json.loads(group("runs", "--json"))
    assert len(listed) == 3
    assert "succeeded" in group("show", "last")
    assert "total" in group("why", "last", "total")
    assert not (group.directory / ".daskflow" / "journal.db").exists()


def test_a_driver_that_is_killed_is_resumed(group: Group, journal: Journal) -> None:
    arguments = ["--set", f"n={JOBS}", "--set", "pause=0.02"]
    driver = group.start("run", "flow.py:study", *arguments)
    while len(counted(group.notes)) < JOBS // 4:
        assert driver.poll() is None
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    recorded = {job.key for job in journal.jobs(journal.run("last").id, "succeeded")}
    performed = sum(counted(group.notes).values())
    assert "interrupted" in group("runs")
    group("resume", "last")
    found = journal.run("last")
    assert found.state == "succeeded"
    assert journal.counts(found.id)["step"].keys() <= {"succeeded", "cached"}
    # What was recorded is not performed again.
    assert sum(counted(group.notes).values()) <= performed + JOBS + 1 - len(recorded)


def test_two_drivers_write_at_the_same_time(group: Group, tmp_path: Path, postgres: str, journal: Journal) -> None:
    other = Group(tmp_path / "bob", postgres, group.notes)
    other.drivers = group.drivers
    drivers = [
        each.start("run", "flow.py:study", "--set", f"n={JOBS}", "--set", f"first={first}", "--json")
        for each, first in ((group, 0), (other, JOBS))
    ]
    printed = [driver.communicate(timeout=200)[0] for driver in drivers]
    assert [driver.returncode for driver in drivers] == [0, 0], printed
    values = {json.loads(text)["value"] for text in printed}
    assert values == {sum(range(JOBS)), sum(range(JOBS, 2 * JOBS))}
    runs = journal.runs()
    assert [record.state for record in runs] == ["succeeded"] * 2
    for record in runs:
        assert journal.counts(record.id) == {"step": {"succeeded": JOBS}, "total": {"succeeded": 1}}
    # Each has what the other remembers.
    third = run(other.directory, "flow.py:study", "--set", f"n={JOBS}", NOTES=str(group.notes))
    assert ran(third) <= {"total"}


def test_a_question_is_answered_from_another_process(group: Group, journal: Journal) -> None:
    driver = group.start("run", "flow.py:asking", "--json")
    while not (questions := journal.questions()):
        assert driver.poll() is None, (group.directory / "said").read_text()
    assert "How many more?" in group("questions")
    group("answer", questions[0].id, "5")
    printed, _ = driver.communicate(timeout=200)
    assert driver.returncode == 0, (group.directory / "said").read_text()
    assert json.loads(printed)["value"] == 5


def test_a_question_outlives_the_driver_that_asked_it(group: Group, journal: Journal) -> None:
    driver = group.start("run", "flow.py:asking", "--json")
    while not (questions := journal.questions()):
        assert driver.poll() is None, (group.directory / "said").read_text()
    driver.kill()
    driver.communicate()
    assert "daskflow resume" in group("answer", questions[0].id, "5")
    assert json.loads(group("resume", questions[0].run, "--json"))["value"] == 5
    assert journal.questions() == []


def test_contexts_conditions_and_subflows_work_there(group: Group, postgres: str, journal: Journal) -> None:
    """The page about them, line by line, as it runs with a file of SQLite too."""
    blocks = re.findall(
        r"^```python\n(.*?)^```", (PAGE.parent / "control.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    (group.directory / "page.py").write_text("\n\n".join(blocks))
    command = [sys.executable, "-W", "error", "page.py"]
    variables = environment(DASKFLOW_SITE="local")
    done = subprocess.run(command, cwd=group.directory, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert journal.runs()
    assert not (group.directory / ".daskflow" / "journal.db").exists()


def test_the_examples_of_the_page_run_there(group: Group, journal: Journal) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    (group.directory / "page.py").write_text("\n\n".join(blocks))
    command = [sys.executable, "-W", "error", "page.py"]
    done = subprocess.run(command, cwd=group.directory, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [journal.counts(record.id)["width"] for record in journal.runs()] == [
        {"cached": 2, "succeeded": 1},
        {"succeeded": 2},
    ]


def test_a_server_that_is_away_is_told_with_the_cure(group: Group, tmp_path: Path) -> None:
    url = "postgresql://ann:secret-of-ann@127.0.0.1:1/daskflow"
    alone = Group(tmp_path / "alone", url, group.notes)
    for command in (["run", "flow.py:study", "--set", "n=1"], ["runs"]):
        told = re.sub(r"\s+", " ", alone(*command, code=1))
        assert "does not answer" in told
        assert "secret-of-ann" not in told
