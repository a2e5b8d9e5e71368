from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from daskflow.sites.batch.slurm import Slurm
from daskflow.sites.pilots.main import parsed
from daskflow.sites.pilots.plan import SitePlan
from daskflow.sites.pilots.script import Meeting, pilot_ask, pilot_body, pilot_script
from daskflow.sites.pilots.starts import End, Notes
from daskflow.sites.pools import Pool, Queue
from tests.sites.pilots.fleets import MemorySystem, pool
from tests.sites.pilots.ward import until

PYTHON = """#!/bin/sh
printf '%s\\n' "$@" > "$TOLD"
printf '%s\\n' "$GREETING" "$FROM_PROLOGUE" >> "$TOLD"
[ -z "$WAIT" ] || exec "$REAL" -c "$WAITING"
exit ${CODE:-0}
"""
WAITING = """
import os, signal, time
told = os.environ["TOLD"]
signal.signal(signal.SIGTERM, lambda *_: os._exit(9))
signal.signal(signal.SIGUSR1, lambda *_: open(told + ".warned", "w").close())
open(told + ".pid", "w").write(str(os.getpid()))
open(told + ".waits", "w").close()
for _ in range(2000):
    time.sleep(0.05)
"""
"""Not a shell: of what is ignored when it starts a shell hears nothing."""


class Stage:
    """A machine on which a script is run, with something in place of Python."""

    def __init__(self, directory: Path, shell: str) -> None:
        self.python = directory / "my python"
        self.python.write_text(PYTHON)
        self.python.chmod(0o755)
        self.told = directory / "told"
        self.shell = shell
        self.plan = SitePlan((pool(),), str(directory / "my home"), python=str(self.python), tls=False)
        self.notes = Notes(self.plan.home, "token")
        self.notes.make()
        self.environment = {**os.environ, "TOLD": str(self.told), "ID": "12_3", "NODE": "n1"}
        self.environment.update(REAL=sys.executable, WAITING=WAITING)

    def start(self, of: Pool, **environment: str) -> subprocess.Popen[str]:
        body = pilot_body(self.plan, of, MemorySystem(), Meeting("cedar", "tcp://10.0.0.1:8786", "/tls", "token"))
        return subprocess.Popen(
            [self.shell, "-c", "\n".join(body)],
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def listens(self, process: subprocess.Popen[str]) -> bool:
        """Whether the worker is there, and the shell hands signals on to it."""
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        caught = int(next(line for line in lines if line.startswith("SigCgt:")).split()[1], 16)
        return Path(f"{self.told}.waits").exists() and bool(caught & 1 << signal.SIGUSR2 - 1)

    def run(self, of: Pool, **environment: str) -> tuple[int, str]:
        process = self.start(of, **environment)
        output, _ = process.communicate(timeout=60)
        return process.returncode, output


@pytest.fixture(params=["bash", "sh"])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Stage:
    return Stage(tmp_path, request.param)


def test_the_worker_is_told_all_it_needs(stage: Stage) -> None:
    stage.plan = stage.plan._replace(
        worker_interface="ib0", scratch="/my scratch", environment={"GREETING": "it's $HOME"}, notice=90.0
    )
    code, output = stage.run(pool(gpus=2, queue=Queue(prologue=("export FROM_PROLOGUE=yes",))))
    assert (code, output) == (0, "")
    words = stage.told.read_text().splitlines()
    assert words[:2] == ["-m", "daskflow.sites.pilots.main"]
    assert words[-2:] == ["it's $HOME", "yes"]
    found = parsed(words[2:-2])
    assert abs(found.ends - time.time() - 3600) < 60
    assert vars(found) == {
        "site": "cedar",
        "pool": "small",
        "scheduler": "tcp://10.0.0.1:8786",
        "batch_id": "12_3",
        "home": stage.plan.home,
        "system": "memory",
        "cores": 4,
        "memory": 8 * 2**30,
        "gpus": 2,
        "ends": found.ends,
        "notice": 90.0,
        "tls": "/tls",
        "interface": "ib0",
        "scratch": "/my scratch",
        "node": "n1",
    }


def test_start_and_end_are_told(stage: Stage) -> None:
    code, _ = stage.run(pool(), CODE="3")
    assert code == 3
    (start,), ends = stage.notes.news()
    assert (start.id, start.node, start.pool) == ("12_3", "n1", "small")
    assert ends == [End("12_3", 3)]


def test_a_prologue_that_fails_is_told_and_nothing_is_started(stage: Stage) -> None:
    lines = ("if true; then", "  echo loading", "fi", "false", "echo never")
    code, output = stage.run(pool(queue=Queue(prologue=lines)))
    assert code == 1
    assert "loading" in output
    assert "never" not in output
    assert "daskflow: the prologue of the pool small failed on n1 with exit code 1" in output
    assert ("at: false" in output) == (stage.shell == "bash")
    assert not stage.told.exists()
    assert stage.notes.news()[1] == [End("12_3", 1)]


def test_a_prologue_that_leaves_is_told_too(stage: Stage) -> None:
    code, output = stage.run(pool(queue=Queue(prologue=("exit 5",))))
    assert code == 5
    assert "failed on n1 with exit code 5" in output


def test_a_line_that_may_fail_does_no_harm(stage: Stage) -> None:
    assert stage.run(pool(queue=Queue(prologue=("false || true",)))) == (0, "")


def test_an_interpreter_that_is_not_there_is_told(stage: Stage) -> None:
    stage.python.unlink()
    code, output = stage.run(pool())
    assert code == 127
    assert "there is no" in output
    assert "my python" in output
    assert "`python`" in output
    assert stage.notes.news()[1] == [End("12_3", 127)]


def test_the_end_that_the_batch_system_brings_reaches_the_worker(stage: Stage) -> None:
    process = stage.start(pool(), WAIT="yes")
    until(lambda: stage.listens(process))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 9
    assert stage.notes.news()[1] == [End("12_3", 9)]


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_the_warning_of_the_batch_system_reaches_the_worker_which_goes_on(stage: Stage, number: signal.Signals) -> None:
    process = stage.start(pool(), WAIT="yes")
    until(lambda: stage.listens(process))
    process.send_signal(number)
    try:
        until(Path(f"{stage.told}.warned").exists)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 9, "of the worker, which was there until then"
    assert stage.notes.news()[1] == [End("12_3", 9)]


def test_what_ends_while_a_signal_is_heard_is_told_as_it_ended(stage: Stage) -> None:
    # The shell hears the signal when the worker is gone already: both wait while the shell is stopped.
    process = stage.start(pool(), WAIT="yes")
    until(lambda: stage.listens(process))
    process.send_signal(signal.SIGSTOP)
    process.send_signal(signal.SIGUSR1)
    os.kill(int(Path(f"{stage.told}.pid").read_text()), signal.SIGTERM)
    process.send_signal(signal.SIGCONT)
    process.communicate(timeout=60)
    assert process.returncode == 9


def test_a_warning_before_the_worker_is_there_ends_nothing(stage: Stage) -> None:
    code, output = stage.run(pool(queue=Queue(prologue=("kill -USR1 $$", "kill -USR2 $$"))))
    assert (code, output) == (0, "")
    assert stage.told.exists()


def test_what_pilots_ask_for(tmp_path: Path) -> None:
    of = pool(gpus=1, queue=Queue("long", "physics", ("--qos=high",), ("module load python",)))
    plan = SitePlan((of,), str(tmp_path))
    ask = pilot_ask(plan, of, Meeting("cedar", "", token="token"), serial=4, count=3)
    assert ask.name == "daskflow-cedar-small-token"
    assert (ask.cores, ask.memory, ask.walltime, ask.gpus, ask.count) == (4, 8 * 2**30, 3600.0, 1, 3)
    # The prologue is in the body, where it is known that it failed.
    assert ask.queue == Queue("long", "physics", ("--qos=high",))
    assert ask.log == str(tmp_path / "pilots" / "token" / "0004-%s.log")


def test_the_script_for_people(tmp_path: Path) -> None:
    of = pool(queue=Queue("long", prologue=("module load python",)))
    ask, body = pilot_script(
        SitePlan((of,), str(tmp_path)), of, Slurm(), scheduler="tls://10.0.0.1:8786", site="cedar", tls="/tls"
    )
    script = Slurm().script(ask, body)
    assert script.startswith("#!/")
    assert script.count("module load python") == 1
    for part in ("#SBATCH", "long", "--scheduler tls://10.0.0.1:8786", "--tls /tls", "--pool small"):
        assert part in script
    checked: Any = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
