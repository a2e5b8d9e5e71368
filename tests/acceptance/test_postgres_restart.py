"""A run goes on when its server of PostgreSQL is stopped, or killed, and started again."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from daskflow.model.states import RunState
from daskflow.stores import Database, Journal
from daskflow.views.exits import INTERRUPTED
from tests.acceptance.shell import daskflow, environment
from tests.execution.counting import counted
from tests.execution.patience import until
from tests.services import postgres as postgresql
from tests.services.fixtures import lacking

JOBS = 200
BEFORE, MEANWHILE, LATE = 30, 80, 100
"""So many jobs have been performed when the server goes, and when it comes back; others wait until it has gone."""
FLOW = """
import os
import time

from daskflow import current, flow, task


def count(name):
    descriptor = os.open(os.path.join(os.environ["NOTES"], name), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, b"x")
    os.close(descriptor)


@task
def step(i: int) -> int:
    time.sleep(0.02)
    notes, late = os.environ["NOTES"], int(os.environ["LATE"])
    while len(os.listdir(notes)) >= late and not os.path.exists(notes + "-go"):
        time.sleep(0.02)
    current().emit("step.done", i=i)
    count(f"step-{i}")
    return i


@task
def total(xs: list[int]) -> int:
    return sum(xs)


@flow
def study(n: int) -> int:
    current().emit("study.begun", n=n)
    return total([step(i) for i in range(n)])
"""


class Driver:
    """A run of the flow in a process of its own, and the server that it works with."""

    def __init__(self, directory: Path, server: postgresql.Postgres, store: str) -> None:
        self.directory = directory
        self.server = server
        self.store = store
        self.notes = directory / "notes"
        self.notes.mkdir()
        (directory / "flow.py").write_text(FLOW)
        (directory / "daskflow.yaml").write_text(f"store: {store}\nsite: threads\nsites: {{threads: {{workers: 4}}}}\n")
        self._process: subprocess.Popen[str] | None = None

    def start(self, **variables: str) -> None:
        with (self.directory / "said").open("w") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "daskflow", "run", "flow.py:study", "--json", "--set", f"n={JOBS}"],
                cwd=self.directory, env=environment(NOTES=str(self.notes), LATE=str(LATE), **variables), text=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said,
            )  # fmt: skip

    def said(self) -> str:
        return re.sub(r"\s+", " ", (self.directory / "said").read_text())

    def await_jobs(self, number: int) -> None:
        until(lambda: self.ended or len(list(self.notes.iterdir())) >= number)
        assert not self.ended, self.said()

    @property
    def ended(self) -> bool:
        assert self._process is not None
        return self._process.poll() is not None

    def lose(self, way: str = "stop") -> None:
        """Let the server go; now all jobs may be performed."""
        (self.server.stop if way == "stop" else self.server.kill)()
        self.notes.with_name("notes-go").touch()

    def press(self) -> None:
        """Press Ctrl-C."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGINT)

    def outcome(self) -> tuple[int, str]:
        """The exit code, and what was printed."""
        assert self._process is not None
        printed, _ = self._process.communicate(timeout=120)
        return self._process.returncode, printed

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def check(self) -> None:
        """Everything is recorded, and once."""
        with Database(self.store) as database:
            journal = Journal(database)
            (record,) = journal.runs()
            assert record.state is RunState.succeeded
            told = Counter((event.kind, json.dumps(event.data)) for event in journal.events(record.id, "st*"))
            assert told == {("study.begun", f'{{"n": {JOBS}}}'): 1} | {
                ("step.done", f'{{"i": {i}}}'): 1 for i in range(JOBS)
            }
            assert journal.counts(record.id) == {"step": {"succeeded": JOBS}, "total": {"succeeded": 1}}
            assert len(journal.attempts(record.id)) == JOBS + 1
            kinds = Counter(event.kind for event in journal.events(record.id, "run.*"))
            assert kinds == {"run.started": 1, "run.succeeded": 1}
        assert counted(self.notes) == {f"step-{i}": 1 for i in range(JOBS)}


@pytest.fixture(scope="module")
def server() -> Iterator[postgresql.Postgres]:
    """A server of its own, that keeps what it has said is kept."""
    if postgresql.programs() is None:
        lacking("PostgreSQL", postgresql.INSTALL)
    with postgresql.running(durable=True) as server:
        yield server


@pytest.fixture
def driver(tmp_path: Path, server: postgresql.Postgres) -> Iterator[Driver]:
    with server.journal() as store:
        made = Driver(tmp_path, server, store)
        try:
            yield made
        finally:
            made.end()
            if not server.lives():
                server.start()


@pytest.mark.parametrize("way", ["stop", "kill"])
def test_a_run_goes_on_when_the_server_is_back(driver: Driver, way: str) -> None:
    driver.start()
    driver.await_jobs(BEFORE)
    driver.lose(way)
    until(lambda: driver.ended or "It is waited for" in driver.said())
    # What is performed goes on meanwhile.
    driver.await_jobs(MEANWHILE)
    driver.server.start()
    code, printed = driver.outcome()
    assert code == 0, driver.said()
    assert json.loads(printed)["value"] == sum(range(JOBS))
    assert len(re.findall("It is waited for", driver.said())) == 1
    assert len(re.findall("answers again after", driver.said())) == 1
    driver.check()


def test_ctrl_c_stops_a_run_whose_server_is_away(driver: Driver) -> None:
    driver.start()
    driver.await_jobs(BEFORE)
    driver.lose()
    until(lambda: driver.ended or "It is waited for" in driver.said())
    driver.press()
    code, _ = driver.outcome()
    assert code == INTERRUPTED, driver.said()
    driver.server.start()
    resume(driver)


def test_ctrl_c_stops_a_run_whose_server_hangs(driver: Driver) -> None:
    driver.start()
    driver.await_jobs(BEFORE)
    with driver.server.frozen():
        driver.press()
        code, _ = driver.outcome()
    assert code == INTERRUPTED, driver.said()
    driver.notes.with_name("notes-go").touch()
    resume(driver)


def test_a_server_that_is_away_for_too_long_interrupts_a_run(driver: Driver) -> None:
    driver.start(DASKFLOW_STORE_PATIENCE="1")
    driver.await_jobs(BEFORE)
    driver.lose()
    code, printed = driver.outcome()
    assert code == INTERRUPTED, driver.said()
    assert "It was waited for" in json.loads(printed)["error"]
    driver.server.start()
    resume(driver)


def resume(driver: Driver) -> None:
    """Go on with the run; what was recorded is not done again."""
    with Database(driver.store) as database:
        journal = Journal(database)
        (record,) = journal.runs()
        assert record.state is RunState.interrupted
        known = journal.counts(record.id)["step"].get("succeeded", 0)
        before = sum(counted(driver.notes).values())
        daskflow(driver.directory, "resume", record.id, NOTES=str(driver.notes), LATE=str(LATE))
        assert journal.run(record.id).state is RunState.succeeded
        assert sum(counted(driver.notes).values()) - before <= JOBS - known
        assert len(counted(driver.notes)) == JOBS
