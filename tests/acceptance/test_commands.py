"""Command jobs on worker processes: killed, crashed, resumed, swept."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from daskflow.errors import JobCancelled, RunFailed
from daskflow.graph.race import Racer
from tests.acceptance.shell import daskflow, environment, run
from tests.conftest import Lab
from tests.execution.patience import alive, until

PROGRAM = "echo $$ >> {pids}; sleep 1000 & echo $! >> {pids}; wait"
"""Writes its process id and that of what it starts, and does not end."""
FLOW = """
import os
from daskflow import CommandJob, flow

NOTES = os.environ["NOTES"]


@flow
def study() -> str:
    first = CommandJob([f"echo first >> {NOTES}/ran; echo 1 > one"], output_files=["one"])
    slow = CommandJob(
        [f"echo $$ >> {NOTES}/pids; echo slow >> {NOTES}/ran; cat one; while [ ! -e {NOTES}/go ]; do sleep 0.02; done"],
        artifacts=[first.file("one")],
    )
    return CommandJob(["echo {said} and more"], parameters={"said": slow}).stdout()
"""


def pids_in(path: Path, count: int) -> list[int]:
    """The process ids in a file, as soon as there are so many."""
    until(lambda: path.exists() and len(path.read_text().split()) >= count)
    return [int(word) for word in path.read_text().split()]


@pytest.mark.parametrize("site", ["local", "threads"])
def test_losers_of_a_race_are_dead(lab: Lab, tmp_path: Path, site: str) -> None:
    pids = tmp_path / "pids"

    @lab.flow(site=site)
    def study() -> Any:
        slow = lab.command([PROGRAM], parameters={"pids": str(pids)}, name="slow")
        quick = lab.command([f"while [ ! -e {pids} ] || [ $(wc -l < {pids}) -lt 2 ]; do sleep 0.01; done; echo won"])
        return Racer(lab.launcher)([slow, quick])

    assert study().stdout() == "won\n"
    assert not [pid for pid in pids_in(pids, 2) if alive(pid)]


def test_a_cancelled_run_leaves_nothing_alive(lab: Lab, tmp_path: Path) -> None:
    pids = tmp_path / "pids"

    @lab.flow(site="local")
    def study() -> Any:
        return lab.command([PROGRAM], parameters={"pids": str(pids)})

    going = study.submit()
    found = pids_in(pids, 2)
    going.cancel()
    assert not [pid for pid in found if alive(pid)]
    with pytest.raises((RunFailed, JobCancelled, Exception), match="cancel"):
        going.result(60)


def test_killed_with_its_driver_and_resumed(tmp_path: Path, notes: str) -> None:
    (tmp_path / "light.py").write_text(FLOW)
    command = [sys.executable, "-m", "daskflow", "run", "light.py:study"]
    env = environment(NOTES=notes)
    driver = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    (pid,) = pids_in(Path(notes, "pids"), 1)
    until(lambda: _recorded(tmp_path) == 1)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    until(lambda: not alive(pid))
    Path(notes, "go").touch()
    daskflow(tmp_path, "resume", "last", NOTES=notes)
    assert Path(notes, "ran").read_text().split() == ["first", "slow", "slow"], "what was done is not done again"
    again = run(tmp_path, "light.py:study", NOTES=notes)
    assert again["value"] == "1 and more\n"
    assert {state for states in again["counts"].values() for state in states} == {"cached"}


def _recorded(directory: Path) -> int:
    """How many results the journal has."""
    with contextlib.closing(sqlite3.connect(directory / ".daskflow" / "journal.db")) as database:
        found: int = database.execute("SELECT count(*) FROM results").fetchone()[0]
        return found


def test_a_worker_that_dies_takes_its_commands_along(lab: Lab, tmp_path: Path) -> None:
    pids = tmp_path / "pids"

    @lab.flow(site="local")
    def study() -> Any:
        line = f"test -e {tmp_path}/again && exit; touch {tmp_path}/again; echo $PPID >> {pids}; " + PROGRAM
        return lab.command([line], parameters={"pids": str(pids)}, retries=1)

    going = study.submit()
    worker, shell, program = pids_in(pids, 3)
    while _name(worker) != "python" and _parent(worker) > 1 and "python" not in _name(worker):
        worker = _parent(worker)
    os.kill(worker, signal.SIGKILL)
    until(lambda: not alive(shell))
    until(lambda: not alive(program))
    assert going.result(120).exit_codes == (0,)


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_sweep_of_many_jobs(lab: Lab) -> None:
    @lab.flow(site="local")
    def study() -> list[Any]:
        return [job.output.exit_codes for job in lab.command(["test {n} -lt 200"], check=False).map(n=range(300))]

    assert study() == [(0,)] * 200 + [(1,)] * 100
