"""Of a run that is stopped nothing survives: no worker, no process that a job started, no run that its flow started."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.shell import daskflow, environment
from tests.execution.patience import alive, until

FLOW = """
import os
import subprocess
import time

from daskflow import ask, flow, task

# The grandchild has a session of its own: who kills the group of the child does not reach it.
FAMILY = "echo $$ > pid-child-{0}; setsid sleep 400 & echo $! > pid-grandchild-{0}; wait"


def family(name):
    with open(f"pid-worker-{name}", "w") as file:
        print(os.getpid(), file=file)
    subprocess.run(["sh", "-c", FAMILY.format(name)])


@task
def plain(name: str) -> None:
    family(name)


@task(timeout="10 min")
def guarded(name: str) -> None:
    family(name)


@flow
def below(name: str):
    return guarded(name)


@flow
def top():
    run = below.submit("below")
    jobs = [plain("plain"), guarded("guarded")]
    ask("Go on?")
    return jobs, run
"""
NAMES = ("below", "plain", "guarded")
MEMBERS = ("worker", "child", "grandchild")


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A run whose jobs have started children and grandchildren, and which asks something."""
    (tmp_path / "flow.py").write_text(FLOW)
    (tmp_path / "daskflow.yaml").write_text("sites: {local: {workers: 3}}")
    process = subprocess.Popen(
        [sys.executable, "-m", "daskflow", "run", "flow.py:top"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: len(_family(tmp_path)) == len(NAMES) * len(MEMBERS))
        yield process
    finally:
        process.kill()
        process.wait()


def _family(directory: Path) -> dict[str, int]:
    """The processes that jobs have written down."""
    texts = {path.name.removeprefix("pid-"): path.read_text().strip() for path in directory.glob("pid-*")}
    return {name: int(text) for name, text in texts.items() if text}


def _cancel(directory: Path, process: subprocess.Popen[bytes]) -> None:
    assert "is cancelled" in daskflow(directory, "cancel", "last")


def _interrupt(directory: Path, process: subprocess.Popen[bytes]) -> None:
    # Treated as Ctrl-C, which a process in the background may ignore.
    process.send_signal(signal.SIGTERM)
    process.wait(60)


@pytest.mark.parametrize(
    ("stop", "state", "asked"),
    [(_cancel, "cancelled", 0), (_interrupt, "interrupted", 1)],
    ids=["cancel", "interrupt"],
)
def test_nothing_survives(
    tmp_path: Path,
    driver: subprocess.Popen[bytes],
    stop: Callable[[Path, subprocess.Popen[bytes]], None],
    state: str,
    asked: int,
) -> None:
    family = _family(tmp_path)
    assert all(alive(pid) for pid in family.values())
    stop(tmp_path, driver)
    started = {name: pid for name, pid in family.items() if "child" in name}
    assert {name for name, pid in started.items() if alive(pid)} == set()
    assert driver.wait(60) == 3
    until(lambda: not any(alive(pid) for pid in family.values()))
    runs = json.loads(daskflow(tmp_path, "runs", "--json"))
    assert [(run["flow"], run["state"]) for run in runs] == [("top", state), ("below", state)]
    assert len(json.loads(daskflow(tmp_path, "questions", "--json"))) == asked
    jobs = json.loads(daskflow(tmp_path, "show", "last", "--json"))["jobs"]
    assert {job["state"] for job in jobs} <= ({"cancelled"} if stop is _cancel else {"queued", "running"})
