"""Pipelines as users run them: real agents, real stores, drivers and tickers that are killed."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from daskflow.model.work import Work
from daskflow.stores import Database, Journal
from daskflow.stores.buckets import Buckets
from daskflow.stores.buckets.table import WorkTable
from daskflow.stores.schedules import Schedules
from tests.acceptance.shell import daskflow, environment

MEASURES = """
import os
import pathlib
import time


def note(name):
    descriptor = os.open(os.path.join("notes", name), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, b"x")
    os.close(descriptor)


def dispersion(event, channel):
    note(f"dispersion-{event}-{channel}")
    return {"dm": 100.0 * event + channel}


def total(dms, gate=""):
    note("total")
    while gate and not pathlib.Path(gate).exists():
        time.sleep(0.02)
    return {"dm": sum(each["dm"] for each in dms)}


def broken():
    raise ValueError("too faint")
"""
PIPELINE = """
version: "2"
name: bursts
defaults: {user: ada, site: local, retries: 1}
matrix: {event: [1, 2]}
pipeline:
  steps:
    - name: dispersion
      stage: 1
      matrix: {channel: {range: [0, 3]}}
      work:
        function: measures.dispersion
        event: ["${{ matrix.event }}"]
        parameters: {event: "${{ matrix.event }}", channel: "${{ matrix.channel }}"}
    - name: total
      stage: 2
      if: ${{ pipeline.dispersion.status == 'success' }}
      work:
        function: measures.total
        event: ["${{ matrix.event }}"]
        parameters: {dms: "${{ pipeline.dispersion.results }}"}
    - name: alarm
      stage: 3
      if: failure
      work: {command: [echo, "${{ pipeline.total.status }}"]}
"""
PATIENCE = 60.0
ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.DOTALL | re.MULTILINE)


class Place:
    """A directory with a pipeline, its functions and a configuration; what it starts is ended with the test."""

    def __init__(self, directory: Path, store: str) -> None:
        self.directory = directory
        self.store = store
        self._started: list[subprocess.Popen[bytes]] = []
        (directory / "notes").mkdir()
        self.write("measures.py", MEASURES)
        self.write("pipeline.yaml", PIPELINE)
        self.write(
            "daskflow.yaml", f"store: {store}\nworks: {{functions: [measures.*], commands: [echo], lease: 10 s}}\n"
        )

    def write(self, name: str, text: str) -> None:
        (self.directory / name).write_text(text)

    def run(self, *arguments: str, code: int = 0) -> str:
        return daskflow(self.directory, *arguments, code=code)

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self.run(*arguments, "--json", code=code))

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        with self._said(len(self._started)).open("wb") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "daskflow", *arguments],
                cwd=self.directory,
                env=environment(),
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def agent(self, *buckets: str) -> subprocess.Popen[bytes]:
        return self.start("work", "run", *(buckets or ("bursts",)), "--site", "local", "--sleep", "0.2")

    def _said(self, number: int) -> Path:
        return self.directory / f"said-{number}.txt"

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        for process in self._started:
            self.kill(process)

    def database(self) -> Database:
        return Database(self.store if "://" in self.store else self.directory / self.store)

    def works(self) -> list[Work]:
        with Buckets(WorkTable(self.database())) as buckets:
            found: list[Work] = buckets.view(limit=-1)
            return found

    def performed(self) -> dict[str, int]:
        return {path.name: path.stat().st_size for path in (self.directory / "notes").iterdir()}

    def until(self, condition: Callable[[], Any], of: subprocess.Popen[bytes] | None = None) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, "it never happened"
            if of is not None:
                assert of.poll() is None, self._said(self._started.index(of)).read_text()
            time.sleep(0.02)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path, ".daskflow/journal.db")
    yield made
    made.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    url = request.getfixturevalue("postgres") if request.param == "postgresql" else ".daskflow/journal.db"
    made = Place(tmp_path, url)
    yield made
    made.close()


def test_a_pipeline_is_performed_by_agents_and_found_again(anywhere: Place) -> None:
    place = anywhere
    place.agent()
    outcome = place.json("pipeline", "run", "pipeline.yaml")
    assert outcome["state"] == "succeeded"
    assert place.performed() == {**{f"dispersion-{e}-{c}": 1 for e in (1, 2) for c in range(3)}, "total": 2}
    totals = sorted(work.results["dm"] for work in place.works() if work.function == "measures.total")
    assert totals == [303.0, 603.0]
    listed = place.json("pipeline", "ls")
    assert [(run["flow"], run["state"]) for run in listed] == [("bursts", "succeeded")]
    shown = place.json("pipeline", "show")
    assert [run["parent"] for run in shown] == ["", listed[0]["id"], listed[0]["id"]]
    steps = [work["step"] for work in shown[1]["works"]]
    assert steps == ["dispersion[0]", "dispersion[1]", "dispersion[2]", "total"]
    counts = place.json("show", outcome["value"]["runs"][0])["jobs"]
    assert sorted(job["task"] for job in counts) == [*["dispersion"] * 3, "total"]


def test_a_failure_is_told_with_its_traceback_and_the_rest_is_done(place: Place) -> None:
    place.agent()
    place.write(
        "bad.yaml",
        PIPELINE.replace("measures.total", "measures.broken").replace(
            'parameters: {dms: "${{ pipeline.dispersion.results }}"}', "timeout: 30"
        ),
    )
    said = place.run("pipeline", "run", "bad.yaml", "--set", "matrix.event=[1]", code=1)
    assert "did not succeed" in said
    shown = place.json("pipeline", "show")
    assert shown[1]["state"] == "failed"
    assert "too faint" in shown[1]["error"]
    alarm = next(work for work in place.works() if work.command)
    assert alarm.results["stdout"] == ["failure"]


@pytest.mark.parametrize("moment", ["queued", "performed"])
def test_a_driver_that_is_killed_deposits_nothing_twice(anywhere: Place, moment: str) -> None:
    place = anywhere
    place.write("pipeline.yaml", PIPELINE.replace('results }}"}', 'results }}", gate: open}'))
    agent = place.agent() if moment == "performed" else None
    arguments = ("pipeline", "run", "pipeline.yaml", "--set", "matrix.event=[7]")
    driver = place.start(*arguments)
    if agent is None:
        place.until(lambda: _deposited(place, 3), driver)
    else:
        place.until(lambda: "total" in place.performed(), driver)
    place.kill(driver)
    (place.directory / "open").touch()
    if agent is None:
        place.agent()
    run = place.json("pipeline", "ls")[0]
    assert run["state"] in ("running", "interrupted")
    place.run("resume", run["id"])
    assert place.performed() == {**{f"dispersion-7-{c}": 1 for c in range(3)}, "total": 1}
    assert [str(work.status) for work in place.works()] == ["success"] * 4


def _deposited(place: Place, count: int) -> bool:
    exists = "://" in place.store or (place.directory / place.store).exists()
    return exists and len(place.works()) == count


def test_cancelling_deletes_what_nobody_has_performed(place: Place) -> None:
    driver = place.start("pipeline", "run", "pipeline.yaml")
    place.until(lambda: _deposited(place, 6), driver)
    place.run("cancel", "last")
    assert driver.wait(PATIENCE) == 3
    assert place.works() == []


def test_agents_of_a_deployment_are_there_as_long_as_the_run(place: Place) -> None:
    text = PIPELINE.replace(
        "matrix: {event: [1, 2]}",
        "deployments:\n  - {name: crew, site: local, sleep: 1, replicas: 2, resources: {cores: 1, ram: 200M}}",
    ).replace("${{ matrix.event }}", "3")
    text = text.replace('event: ["3"]', "event: [3]").replace('event: "3"', "event: 3")
    place.write("pipeline.yaml", text.replace("pipeline:\n", "pipeline:\n  runs_on: crew\n"))
    outcome = place.json("pipeline", "run", "pipeline.yaml")
    assert outcome["state"] == "succeeded"
    assert {work.pipeline for work in place.works()} == {"bursts-crew"}
    agents = place.json("batch", "ls", "--site", "local")
    assert [agent["name"] for agent in agents] == [f"{outcome['run']}-crew-{number}" for number in (0, 1)]
    assert {agent["state"] for agent in agents} <= {"killed", "completed"}


def test_tickers_start_each_time_once_and_go_on_with_what_was_killed(anywhere: Place) -> None:
    place = anywhere
    text = PIPELINE.replace('results }}"}', 'results }}", gate: open}').replace("[1, 2]", "[5]")
    place.write("pipeline.yaml", text + 'schedule: {cronspec: "0 0 1 1 *", lives: 1}\n')
    made = place.json("pipeline", "schedule", "pipeline.yaml")
    place.run("pipeline", "schedule", "pipeline.yaml", code=2)
    with place.database() as database:
        schedules = Schedules(database)
        assert schedules.move(schedules.schedule(made["id"]), time.time() - 1)
    place.agent()
    tickers = [place.start("pipeline", "tick", "--every", "1") for _ in range(3)]
    place.until(lambda: "total" in place.performed())
    listed = place.json("pipeline", "ls")
    assert len(listed) == 1
    holder = next(ticker for ticker in tickers if ticker.pid == listed[0]["pid"])
    place.kill(holder)
    (place.directory / "open").touch()
    with place.database() as database:
        journal = Journal(database)
        place.until(lambda: journal.run(listed[0]["id"]).state == "succeeded")
    assert len(place.json("pipeline", "ls")) == 1
    assert place.performed() == {**{f"dispersion-5-{c}": 1 for c in range(3)}, "total": 1}
    assert [found["state"] for found in place.json("pipeline", "schedules")] == ["expired"]
    for ticker in tickers:
        if ticker is not holder:
            ticker.send_signal(signal.SIGTERM)
            assert ticker.wait(PATIENCE) == 0


def test_the_examples_of_the_page_and_of_the_configurations_fit(place: Place) -> None:
    blocks = _BLOCK.findall((ROOT / "docs" / "pipelines.md").read_text("utf-8"))
    assert len(blocks) == 3
    for block in (*blocks, (ROOT / "configs" / "pipelines" / "bursts.yaml").read_text("utf-8")):
        place.write("page.yaml", block)
        assert place.json("pipeline", "check", "page.yaml")["works"]
    place.write("page.yaml", blocks[0])
    place.write("daskflow.yaml", "works: {functions: [statistics.*]}\n")
    place.agent()
    assert place.json("pipeline", "run", "page.yaml")["state"] == "succeeded"
    combined = next(work for work in place.works() if work.tags == ["step:combine"])
    assert combined.results == pytest.approx(math.sqrt(0.875))
