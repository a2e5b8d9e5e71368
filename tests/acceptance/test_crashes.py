"""Nothing is lost or doubled by a kill -9 of the driver at any moment."""

from __future__ import annotations

import contextlib
import random
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.shell import daskflow, environment, run
from tests.execution.counting import counted

JOBS = 500
FLOW = """
import os
import time

from daskflow import flow, task


def count(name):
    descriptor = os.open(os.path.join(os.environ["NOTES"], name), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, b"x")
    os.close(descriptor)


@task
def step(i: int, x: int) -> int:
    count(f"step-{i}")
    time.sleep(0.004)
    return x + i


@task
def total(xs: list[int]) -> int:
    count("total")
    return sum(xs)


@flow
def study(n: int) -> int:
    jobs = []
    for i in range(n - 1):
        jobs.append(step(i, jobs[i - 50] if i >= 50 and i % 2 else i))
    return total(jobs)
"""


def _expected(n: int) -> int:
    values: list[int] = []
    for i in range(n - 1):
        values.append((values[i - 50] if i >= 50 and i % 2 else i) + i)
    return sum(values)


@pytest.mark.parametrize(("site", "kills"), [("threads", 13), ("local", 7)])
def test_a_driver_killed_at_any_moment_goes_on_where_it_was(tmp_path: Path, site: str, kills: int) -> None:
    (tmp_path / "flow.py").write_text(FLOW)
    notes = tmp_path / "notes"
    notes.mkdir()
    moments = random.Random(20260314 + kills)
    recorded: dict[str, int] = {}
    for kill in range(kills):
        run_id = _only_run(tmp_path)
        command = ["resume", run_id] if run_id else ["run", "flow.py:study", "--set", f"n={JOBS}", "--site", site]
        # The moments spread over starting up, working and recording; how far a run gets depends on the machine.
        _killed(tmp_path, command, notes, jobs=moments.choice([0, 1, 10, 40, 60]), pause=moments.uniform(0, 0.1))
        found = _recorded(tmp_path)
        performed = counted(notes)
        for name, times in recorded.items():
            assert performed[name] == times, f"{name} was recorded before kill {kill} and ran again"
        recorded = {name: performed[name] for name in found}
    outcome = run(tmp_path, "flow.py:study", "--set", f"n={JOBS}", "--site", site, NOTES=str(notes))
    assert outcome["value"] == _expected(JOBS)
    daskflow(tmp_path, "resume", _only_run(tmp_path) or "", NOTES=str(notes))
    performed = counted(notes)
    assert len(performed) == JOBS
    assert len(recorded) > 50, "the kills came while there was something to lose"
    assert {name: performed[name] for name in recorded} == recorded


def _killed(directory: Path, command: list[str], notes: Path, *, jobs: int, pause: float) -> None:
    """Start a driver, and kill it a moment after so many jobs were begun."""
    before = sum(counted(notes).values())
    process = subprocess.Popen(
        [sys.executable, "-m", "daskflow", *command],
        cwd=directory,
        env=environment(NOTES=str(notes)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while sum(counted(notes).values()) < before + jobs and process.poll() is None:
        _wait(process, 0.01)
    _wait(process, pause)
    process.kill()
    process.wait()


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


def _only_run(directory: Path) -> str | None:
    if not (directory / ".daskflow/journal.db").exists():
        return None
    with contextlib.closing(sqlite3.connect(directory / ".daskflow/journal.db")) as database:
        try:
            found = database.execute("SELECT id FROM runs ORDER BY created").fetchone()
        except sqlite3.OperationalError:
            return None
    return found[0] if found else None


def _recorded(directory: Path) -> list[str]:
    """What the journal holds after a kill: the names of the jobs whose results are recorded."""
    path = directory / ".daskflow/journal.db"
    if not path.exists():
        return []
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        try:
            rows = database.execute("SELECT r.task, j.recipe FROM results r JOIN jobs j ON j.key = r.key").fetchall()
        except sqlite3.OperationalError:  # killed before there were tables
            return []
    return ["total" if name == "total" else f"step-{recipe.splitlines()[0].partition('=')[2]}" for name, recipe in rows]
