from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from daskflow.commands.guard import Guard
from tests.execution.patience import alive, until

WORKER = """
import sys
from pathlib import Path
from daskflow.commands.order import Order, Tools
from daskflow.commands.perform import perform
from daskflow.model.command import Command
line = "setsid sleep 1000 & echo $! > pids; sleep 1000 & echo $! >> pids; echo $$ >> pids; mv pids $1; wait"
perform(Order((Command(["sh", "-c", line, "sh", sys.argv[2]]),)), Tools(root=Path(sys.argv[1])))
"""

FORKING = """
import os, subprocess, sys, time
from pathlib import Path
from daskflow.commands.guard import GUARD
with GUARD.guarding(Path(sys.argv[1])):
    sleeper = subprocess.Popen(["sleep", "1000"], env={**os.environ, "DASKFLOW_SCRATCH_DIR": sys.argv[1]})
    if os.fork():
        print(sleeper.pid, flush=True)
        time.sleep(1000)
    else:
        os.close(1)
        sys.stdin.read()
"""


@pytest.fixture
def guard() -> Iterator[Guard]:
    made = Guard()
    yield made
    made.close()


def test_commands_do_not_outlive_their_worker(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WORKER, tmp_path / "scratch", tmp_path / "pids"]) as worker:
        until((tmp_path / "pids").exists)
        pids = [int(line) for line in (tmp_path / "pids").read_text().split()]
        assert len(pids) == 3
        assert all(map(alive, pids))
        worker.send_signal(signal.SIGKILL)
    until(lambda: not any(map(alive, pids)))


def sleeper(scratch: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "1000"], env={**os.environ, "DASKFLOW_SCRATCH_DIR": str(scratch)})


def test_what_slipped_away_is_killed_soon_after_the_end(tmp_path: Path, guard: Guard) -> None:
    with guard.guarding(tmp_path / "ended"), guard.guarding(tmp_path / "other"):
        pass
    with guard.guarding(tmp_path / "used"), sleeper(tmp_path / "ended") as process, sleeper(tmp_path / "used") as used:
        until(lambda: process.poll() is not None)
        assert used.poll() is None, "its commands have not ended"
        used.kill()


def test_a_program_that_was_killed_is_started_again(tmp_path: Path, guard: Guard) -> None:
    with guard.guarding(tmp_path / "a"):
        first = guard._program
        os.kill(first, signal.SIGKILL)
        until(lambda: not alive(first))
        with guard.guarding(tmp_path / "b"), sleeper(tmp_path / "a") as process:
            assert guard._program != first
            guard.close()
            assert process.wait() == -signal.SIGKILL


def test_commands_run_though_nothing_guards_them(tmp_path: Path, guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "missing"))
    with guard.guarding(tmp_path):
        assert guard._pipe == -1


def test_a_forked_process_does_not_keep_the_guard_waiting(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", FORKING, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as worker:
        assert worker.stdout is not None
        sleeping = int(worker.stdout.readline())
        worker.send_signal(signal.SIGKILL)
        until(lambda: not alive(sleeping))
