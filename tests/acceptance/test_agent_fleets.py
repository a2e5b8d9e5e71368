"""Agents that a command started as batch jobs: killed, broken from the start, on a real Slurm, on both stores."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daskflow import Buckets, Work
from daskflow.settings.options import load
from daskflow.settings.places import services_of
from daskflow.sites.batch.service import ServiceState
from daskflow.sites.batch.services import Services
from tests.acceptance.shell import environment
from tests.execution.patience import alive, until
from tests.services.slurm import Slurm

pytestmark = [pytest.mark.acceptance, pytest.mark.integration]

_DONE = '''
import os, pathlib, time

def measure(number):
    """The first attempt at the works below 2 waits for a file, and says who waits."""
    if number < 2 and os.environ["DASKFLOW_ATTEMPT"] == "1":
        pathlib.Path(f"held-{number}.part").write_text(str(os.getppid()))
        os.rename(f"held-{number}.part", f"held-{number}")
        while not os.path.exists("go"):
            time.sleep(0.01)
    return {"number": number}
'''
_LONG = 120.0


class Fleet:
    """A directory from which `daskflow work run --pilots N --keep` runs."""

    def __init__(self, directory: Path, site: str, settings: dict[str, Any]) -> None:
        self.directory = directory
        self.site = site
        self._processes: list[subprocess.Popen[str]] = []
        (directory / "done.py").write_text(_DONE)
        works = {"functions": ["done.*"], "lease": "3 s", **settings.pop("works", {})}
        (directory / "daskflow.yaml").write_text(json.dumps({**settings, "works": works}))

    def deposit(self, count: int) -> list[str]:
        with self.buckets() as buckets:
            return buckets.deposit(
                [
                    Work(
                        pipeline="sample",
                        site=self.site,
                        user="ada",
                        function="done.measure",
                        parameters={"number": number},
                        retries=3,
                    )
                    for number in range(count)
                ]
            )

    def buckets(self) -> Buckets:
        return Buckets()

    def results(self, ids: list[str]) -> list[Any]:
        with self.buckets() as buckets:
            return [work.results for id in ids if (work := buckets.get(id)) is not None]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "daskflow", "work", "run", "sample", "--site", self.site, "--sleep", "0.2"]
        made = subprocess.Popen(
            [*command, *arguments],
            cwd=self.directory,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._processes.append(made)
        return made

    def held(self, number: int) -> int:
        """The agent that holds a work, as soon as one does; its process here."""
        file = self.directory / f"held-{number}"
        until(file.exists, _LONG)
        return int(file.read_text())

    def services(self) -> Services:
        return services_of(self.site, load())

    def close(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.communicate()
        services = self.services()
        for one in services.ls():
            if one.living:
                services.kill(one.name)


_SITE: dict[str, Any] = {
    "kind": "slurm",
    "shipping": False,
    "poll": "1 s",
    "pools": {"main": {"queue": "main", "cores": 1, "memory": "1 GiB", "walltime": "10 min"}},
}


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    monkeypatch.chdir(tmp_path)
    made = Fleet(tmp_path, "local", {})
    yield made
    made.close()


def test_agents_that_are_all_killed_are_replaced_and_the_works_go_on(local: Fleet) -> None:
    ids = local.deposit(6)
    command = local.start("--pilots", "2", "--keep", "--idle", "6")
    agents = [local.held(number) for number in (0, 1)]
    for agent in agents:
        os.kill(agent, signal.SIGKILL)
    printed, _ = command.communicate(timeout=_LONG)
    assert command.returncode == 0, printed
    assert not any(map(alive, agents))
    assert local.results(ids) == [{"number": number} for number in range(6)]
    assert printed.count("was lost on") == 2
    assert printed.count("is started in place of one that was lost") == 2
    assert "All agents have ended: 2 ended, 2 lost, 2 replaced." in printed


def test_what_a_killed_agent_had_in_hand_is_waited_for_though_nobody_else_is_left(local: Fleet) -> None:
    ids = local.deposit(1)
    command = local.start("--pilots", "1", "--keep", "--idle", "0.2")
    os.kill(local.held(0), signal.SIGKILL)
    printed, _ = command.communicate(timeout=_LONG)
    assert command.returncode == 0, printed
    assert local.results(ids) == [{"number": 0}], printed
    assert "1 work is in hand. What a lost agent had comes back when its lease is over, within" in printed
    assert printed.endswith("All agents have ended: 1 ended, 1 lost, 1 replaced.\n")


def test_agents_that_die_at_start_are_given_up_with_the_reason(local: Fleet) -> None:
    local.deposit(1)
    command = local.start("--pilots", "1", "--keep", "--function", "done.missing")
    printed, _ = command.communicate(timeout=_LONG)
    assert command.returncode == 1
    assert "3 agents of the site 'local' ended one after another; 1 work waits. The last one: " in printed
    assert re.search(r"exit code 2\. Its log ended with:\n.*'done.missing' cannot be imported", printed, re.DOTALL)


def test_agents_that_are_looked_after_outlive_the_command(local: Fleet) -> None:
    local.deposit(1)
    command = local.start("--pilots", "1", "--keep")
    agent = local.held(0)
    command.send_signal(signal.SIGTERM)
    printed, _ = command.communicate(timeout=_LONG)
    assert command.returncode == 0
    assert re.search(r"which go on: agent-sample-\S+-0. End them: daskflow batch kill", printed)
    assert alive(agent)


@pytest.fixture(params=["sqlite", "postgres"])
def hpc(
    request: pytest.FixtureRequest, slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Fleet]:
    slurm.activate(monkeypatch)
    monkeypatch.chdir(tmp_path)
    store = "works.db" if request.param == "sqlite" else request.getfixturevalue("postgres")
    made = Fleet(tmp_path, "hpc", {"sites": {"hpc": _SITE}, "works": {"store": store}})
    yield made
    made.close()
    slurm.clear()


def test_agents_are_jobs_of_slurm_and_those_that_are_cancelled_are_replaced(hpc: Fleet, slurm: Slurm) -> None:
    ids = hpc.deposit(8)
    command = hpc.start("--pilots", "2", "--keep", "--idle", "6", "--grace", "0.5")
    agents = [hpc.held(number) for number in (0, 1)]
    services = hpc.services()
    first = services.ls(states=[ServiceState.running])
    assert [slurm.job(one.id)["JobState"] for one in first] == ["RUNNING", "RUNNING"]
    assert {one.node for one in first} <= set(slurm.nodes)
    slurm.run("scancel", *[one.id for one in first])
    printed, _ = command.communicate(timeout=_LONG)
    assert command.returncode == 0, printed
    assert not any(map(alive, agents))
    assert hpc.results(ids) == [{"number": number} for number in range(8)]
    with hpc.buckets() as buckets:
        assert buckets.status() == {"total": 8, "queued": 0, "running": 0, "success": 8, "failure": 0}
        held = [buckets.get(id) for id in ids[:2]]
    # What was in hand was given back, or, where the agent had no time for that, queued again after its lease.
    assert [work and work.attempt for work in held] == [2, 2]
    found = {one.name: one for one in services.ls()}
    assert [found[one.name].error for one in first] == ["Cancelled", "Cancelled"]
    assert printed.count("is started in place of one that was lost") >= 1
    assert slurm.queued() == []
