"""Jobs in buckets: agents come for them, from wherever they may open connections to; nothing is lost or done twice."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daskflow.stores.buckets.buckets import Buckets
from daskflow.stores.buckets.table import WorkTable
from daskflow.stores.database import Database
from daskflow.stores.journal import Journal
from tests.acceptance.islands import OTHER_NETWORK, Island
from tests.acceptance.shell import daskflow, environment, ran, run
from tests.execution.counting import counted
from tests.execution.patience import alive, until
from tests.services.daemons import Daemons

pytestmark = pytest.mark.integration

STUDY = """
import os
import time

import numpy as np

from daskflow import CommandJob, first, flow, task
from tests.execution.counting import count


@task
def observe(n: int):
    return np.arange(n, dtype=float)


@task(placement="bucket")
def measure(waterfall) -> float:
    count(os.environ["NOTES"], "measure")
    print("measured", len(waterfall))
    return float(waterfall.sum())


@task(placement="bucket")
def smooth(waterfall):
    return np.sqrt(waterfall)


@task(placement="bucket", retries=1)
def bad() -> int:
    count(os.environ["NOTES"], "bad")
    raise ValueError("no good")


@task
def report(total: float, smoothed, text: str) -> str:
    return f"{total:g} {len(smoothed)} {text}"


@flow
def study(n: int = 20000) -> str:
    waterfall = observe(n)
    words = CommandJob(["echo hello | tee words"], output_files=["words"], placement="bucket")
    return report(measure(waterfall), smooth(waterfall), words.stdout())


@flow
def failing() -> int:
    return bad()


@task(placement="bucket", retries=1)
def die() -> str:
    count(os.environ["NOTES"], "dying")
    if os.stat(f"{os.environ['NOTES']}/dying").st_size < 4:
        os.kill(os.getpid(), 9)
    return "alive"


@flow
def dying() -> str:
    return die()


@task(placement="bucket")
def wait(name: str, gate: str) -> str:
    count(os.environ["NOTES"], name)
    with open(f"{os.environ['NOTES']}/../{name}.pid", "w") as file:
        file.write(str(os.getpid()))
    while not os.path.exists(gate):
        time.sleep(0.01)
    return name


@flow
def waiting(gate: str) -> str:
    return wait("one", gate)


@flow
def race(gate: str) -> str:
    return first([wait("winner", gate), wait("loser", gate + "-never")])
"""
BUCKETS = ("measure", "smooth", "echo", "bad", "die", "wait")
LEASE = 8.0


class Place:
    """A directory with flows, a driver and agents."""

    def __init__(self, directory: Path, daemons: Daemons, store: str = "") -> None:
        self.directory = directory
        self.store = store
        self.notes = directory / "notes"
        self.notes.mkdir()
        self.variables = {"NOTES": str(self.notes), "PYTHONPATH": os.pathsep.join([os.getcwd(), str(directory)])}
        self._daemons = daemons
        (directory / "study.py").write_text(STUDY)
        self.configure({"works": {"lease": LEASE}})

    def configure(self, settings: dict[str, Any]) -> None:
        kept = {"store": self.store} if self.store else {}
        (self.directory / "daskflow.yaml").write_text(json.dumps({**kept, **settings}))

    def agent(self, name: str = "agent", *options: str) -> int:
        """Start an agent; gives its process id."""
        command = [sys.executable, "-m", "daskflow", "work", "run", *BUCKETS, "--site", "local", *options]
        return start(self._daemons, name, command, self.directory, **self.variables)

    def driver(self, target: str, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "daskflow", "run", target, *arguments],
            cwd=self.directory,
            env=environment(**self.variables),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def run(self, target: str, *arguments: str) -> dict[str, Any]:
        return run(self.directory, target, *arguments, **self.variables)

    def pid(self, name: str) -> int:
        """The process that performs `wait`, as soon as it does."""
        file = self.directory / f"{name}.pid"
        until(lambda: file.exists() and file.read_text())
        return int(file.read_text())

    def status(self) -> dict[str, int]:
        """How many works have each status."""
        with Buckets(WorkTable(self.database())) as buckets:
            return buckets.status()

    def database(self) -> Database:
        return Database(self.store or str(self.directory / ".daskflow" / "journal.db"))

    def events(self) -> set[str]:
        """The kinds of all events."""
        database = self.database()
        try:
            journal = Journal(database)
            return {event.kind for run in journal.runs() for event in journal.events(run.id)}
        finally:
            database.close()


def start(daemons: Daemons, name: str, command: list[str], directory: Path, **variables: str) -> int:
    """Start a daemon in a directory."""
    told = [f"{name}={value}" for name, value in variables.items()]
    return daemons.start(name, ["sh", "-c", 'cd "$0" && exec env "$@"', directory, *told, *command])


@pytest.fixture
def daemons(tmp_path: Path) -> Iterator[Daemons]:
    made = Daemons(tmp_path, environment())
    yield made
    made.close()


@pytest.fixture
def place(tmp_path: Path, daemons: Daemons) -> Place:
    return Place(tmp_path, daemons)


@pytest.fixture(params=["sqlite", "postgres"])
def either(request: pytest.FixtureRequest, tmp_path: Path, daemons: Daemons) -> Place:
    """A place on each kind of store."""
    return Place(tmp_path, daemons, request.getfixturevalue("postgres") if request.param == "postgres" else "")


def test_jobs_in_buckets_are_jobs_as_all_others(either: Place) -> None:
    either.agent()
    outcome = either.run("study.py:study")
    assert outcome["value"] == "1.9999e+08 20000 hello\n"
    assert ran(outcome) == {"observe", "measure", "smooth", "echo", "report"}
    assert "measured 20000" in daskflow(either.directory, "logs", outcome["run"], "measure", code=0, **either.variables)
    assert ran(either.run("study.py:study")) == set(), "all of it is remembered"
    assert counted(either.notes) == {"measure": 1}
    until(lambda: either.status()["total"] == 0)


def test_a_job_that_fails_there_tells_why(place: Place) -> None:
    place.agent()
    said = daskflow(place.directory, "run", "study.py:failing", code=1, **place.variables)
    assert "ValueError: no good" in said
    assert re.search(r'study.py", line \d+, in bad', said)
    assert counted(place.notes) == {"bad": 2}


@pytest.mark.parametrize("when", ["performing", "over"])
def test_a_driver_that_is_killed_loses_nothing(either: Place, when: str) -> None:
    either.agent()
    gate = either.directory / "gate"
    driver = either.driver("study.py:waiting", "--set", f"gate={gate}")
    either.pid("one")
    driver.kill()
    driver.wait()
    if when == "over":
        gate.touch()
        until(lambda: either.status()["success"] == 1)
        resumed = subprocess.run(
            [sys.executable, "-m", "daskflow", "resume", "last", "--json"],
            cwd=either.directory,
            env=environment(**either.variables),
            capture_output=True,
            check=True,
        ).stdout
    else:
        again = subprocess.Popen(
            [sys.executable, "-m", "daskflow", "resume", "last", "--json"],
            cwd=either.directory,
            env=environment(**either.variables),
            stdout=subprocess.PIPE,
        )
        until(lambda: "work.adopted" in either.events())
        gate.touch()
        resumed, _ = again.communicate()
    assert json.loads(resumed)["value"] == "one"
    assert counted(either.notes) == {"one": 1}


def test_the_loser_of_a_race_is_killed_where_it_is(either: Place) -> None:
    either.agent("agent", "--workers", "2")
    gate = either.directory / "gate"
    driver = either.driver("study.py:race", "--set", f"gate={gate}")
    pids = [either.pid(name) for name in ("winner", "loser")]
    gate.touch()
    assert driver.wait(60) == 0
    until(lambda: not any(map(alive, pids)))
    assert either.status()["total"] == 0


def test_a_run_that_is_cancelled_ends_its_works(place: Place) -> None:
    place.agent()
    driver = place.driver("study.py:waiting", "--set", f"gate={place.directory / 'gate'}")
    pid = place.pid("one")
    daskflow(place.directory, "cancel", "last", code=0, **place.variables)
    driver.wait(60)
    until(lambda: not alive(pid))
    assert place.status()["total"] == 0


def test_the_work_of_a_dead_agent_is_performed_by_another(either: Place, daemons: Daemons) -> None:
    either.agent("first")
    gate = either.directory / "gate"
    driver = either.driver("study.py:waiting", "--set", f"gate={gate}")
    pid = either.pid("one")
    daemons.stop("first", signal.SIGKILL)
    until(lambda: not alive(pid))
    either.agent("second")
    until(lambda: counted(either.notes) == {"one": 2})
    gate.touch()
    assert driver.wait(60) == 0


def test_an_agent_with_another_key_leaves_jobs_to_others(place: Place, tmp_path: Path, daemons: Daemons) -> None:
    key = tmp_path / "other.key"
    key.write_text(secrets.token_hex(32))
    key.chmod(0o600)
    (tmp_path / "agent.yaml").write_text(json.dumps({"works": {"lease": LEASE}}))
    place.agent("stranger", "--config", "agent.yaml")
    place.configure({"works": {"lease": LEASE}, "signing_key": str(key)})
    driver = place.driver("study.py:waiting", "--set", f"gate={place.directory}")
    until(lambda: "refused, and left to other agents" in daemons.log("stranger"))
    assert "is not on this machine" in daemons.log("stranger")
    assert counted(place.notes) == {}
    place.agent("agent")
    assert driver.wait(60) == 0
    assert counted(place.notes) == {"one": 1}


def test_a_process_that_dies_counts_as_a_lost_worker_and_leaves_nothing_behind(place: Place) -> None:
    tmp = place.directory / "tmp"
    tmp.mkdir()
    place.variables["TMPDIR"] = str(tmp)
    place.agent()
    made = place.run("study.py:dying")
    # Three times by its work, then the job was tried again.
    assert (made["value"], counted(place.notes)) == ("alive", {"dying": 4})
    until(lambda: not list(tmp.glob("daskflow-work-*")))


def test_works_of_code_that_has_changed_are_not_left_behind(place: Place) -> None:
    gate = place.directory / "gate"
    driver = place.driver("study.py:waiting", "--set", f"gate={gate}")
    until(lambda: place.status()["queued"])
    driver.kill()
    driver.wait()
    study = place.directory / "study.py"
    study.write_text(study.read_text().replace("time.sleep(0.01)", "time.sleep(0.02)"))
    again = subprocess.Popen(
        [sys.executable, "-m", "daskflow", "resume", "last"],
        cwd=place.directory,
        env=environment(**place.variables),
        stdout=subprocess.DEVNULL,
    )
    until(lambda: place.status()["queued"] == 2)
    # What was deposited before is in the way of others, and nobody asks for it.
    until(lambda: place.status()["queued"] == 1)
    place.agent()
    gate.touch()
    assert again.wait(60) == 0
    assert counted(place.notes) == {"one": 1}
    assert place.status()["total"] == 0


@OTHER_NETWORK
def test_an_agent_in_another_network_needs_nothing_but_the_server(tmp_path: Path, daemons: Daemons) -> None:
    here, there = tmp_path / "project", tmp_path / "island"
    here.mkdir()
    there.mkdir()
    place = Place(here, daemons)
    for directory in (here, there):
        (directory / "key").write_text("ab" * 32)
        (directory / "key").chmod(0o600)
    with Island() as island:
        place.configure({"signing_key": str(here / "key")})
        serve = [sys.executable, "-m", "daskflow", "serve", "--host", island.here, "--port", "0", "--insecure"]
        start(daemons, "server", serve, here, **place.variables)
        until(lambda: "Serving http" in daemons.log("server"))
        (url,) = re.findall(r"Serving (http://\S+)", daemons.log("server"))
        agent_token, driver_token = (
            json.loads(daskflow(here, "token", "create", name, "--scope", scopes, "--json"))["token"]
            for name, scopes in (("agent", "perform"), ("driver", "deposit"))
        )
        place.configure({"signing_key": str(here / "key"), "works": {"store": url, "token": driver_token}})
        (there / "daskflow.yaml").write_text(
            json.dumps({"signing_key": str(there / "key"), "works": {"store": url, "token": agent_token}})
        )
        agent = [sys.executable, "-m", "daskflow", "work", "run", *BUCKETS, "--site", "local"]
        variables = {**place.variables, "NOTES": str(there), "PYTHONPATH": os.getcwd()}
        # It does not see the directory of the project either.
        start(daemons, "agent", island.command(agent, there, here), there, **variables)
        outcome = place.run("study.py:study")
        assert outcome["value"] == "1.9999e+08 20000 hello\n"
        assert counted(place.notes) == {}
        assert (there / "measure").read_text() == "x"
        assert not (there / ".daskflow").exists()
