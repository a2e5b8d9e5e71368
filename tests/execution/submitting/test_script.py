from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from daskflow.execution.submitting.script import AGAIN, TOKEN, Call, driver_lines, renewed, requeues
from tests.execution.patience import until

_STUB = """#!{python}
import os, pathlib, signal, sys
here = pathlib.Path({directory!r})
(here / "arguments").write_text("\\n".join([*sys.argv[1:], os.getcwd(), os.environ.get("OPTION", "")]))
(here / "token").write_text(os.environ["DRIVER_TOKEN"])
def hear(number, frame):
    (here / "heard").write_text(signal.Signals(number).name)
    sys.exit(int((here / "code").read_text()))
for number in (signal.SIGUSR1, signal.SIGTERM):
    signal.signal(number, hear)
(here / "listens").touch()
if (here / "at-once").exists():
    sys.exit(int((here / "code").read_text()))
while True:
    signal.pause()
"""


@pytest.fixture
def stub(tmp_path: Path) -> Path:
    """A program in place of Python that waits for a signal."""
    program = tmp_path / "stub"
    program.write_text(_STUB.format(python=sys.executable, directory=str(tmp_path)))
    program.chmod(0o755)
    (tmp_path / "code").write_text("0")
    return program


def _start(stub: Path, system: str = "pbs", **call: Any) -> subprocess.Popen[bytes]:
    given = Call("run-1", str(stub), str(stub.parent), "/my config.yaml", environment={"OPTION": "a b"})
    lines = driver_lines(given._replace(**call), system, "$OWN_ID", 90.0)
    return subprocess.Popen(
        ["bash", "-c", "\n".join(lines)],
        env={**os.environ, "OWN_ID": "17", "PATH": f"{stub.parent}:{os.environ['PATH']}"},
        start_new_session=True,
    )


def test_the_script_runs_the_driver_in_its_directory_by_its_configuration(stub: Path) -> None:
    (stub.parent / "at-once").touch()
    (stub.parent / "code").write_text("1")
    assert _start(stub).wait(60) == 1, "the exit code is that of the driver"
    told = (stub.parent / "arguments").read_text().split("\n")
    assert told[:6] == ["-m", "daskflow.views.driving", "run-1", "--config", "/my config.yaml", "--batch"]
    assert told[6:8] == ["17", "--ends"]
    assert float(told[8]) > 1e9
    assert told[9:] == [str(stub.parent), "a b"]


@pytest.mark.parametrize(("sent", "heard"), [(signal.SIGUSR1, "SIGUSR1"), (signal.SIGTERM, "SIGTERM")])
def test_a_signal_reaches_the_driver_and_the_script_waits_for_its_end(
    stub: Path, sent: signal.Signals, heard: str
) -> None:
    (stub.parent / "code").write_text("3")
    shell = _start(stub)
    until((stub.parent / "listens").exists)
    shell.send_signal(sent)
    assert shell.wait(60) == 3
    assert (stub.parent / "heard").read_text() == heard


def test_a_driver_that_wants_to_go_on_is_put_into_the_queue_again(stub: Path) -> None:
    (stub.parent / "at-once").touch()
    (stub.parent / "code").write_text(str(AGAIN))
    _program(stub.parent / "scontrol", f'echo "$@" >{stub.parent}/called', "exit 1")
    assert requeues("slurm")
    # Nobody waits here.
    _program(stub.parent / "sleep", "exit 0")
    assert _start(stub, "slurm").wait(60) == AGAIN
    assert (stub.parent / "called").read_text().startswith("requeue")
    (stub.parent / "called").unlink()
    (stub.parent / "code").write_text("1")
    assert _start(stub, "slurm").wait(60) == 1
    assert not (stub.parent / "called").exists(), "what failed is not begun again"


@pytest.mark.parametrize(("refusals", "calls"), [(3, 4), (99, 6)])
def test_a_controller_that_does_not_answer_is_asked_again(stub: Path, refusals: int, calls: int) -> None:
    (stub.parent / "at-once").touch()
    (stub.parent / "code").write_text(str(AGAIN))
    asked, slept = stub.parent / "asked", stub.parent / "slept"
    _program(stub.parent / "scontrol", f"echo x >>{asked}", f"[ $(wc -l <{asked}) -gt {refusals} ]")
    _program(stub.parent / "sleep", f"echo $1 >>{slept}")
    assert _start(stub, "slurm").wait(60) == AGAIN
    assert len(asked.read_text().split()) == calls
    assert slept.read_text().split() == ["5"] * min(refusals, 6) + ["60"] * (refusals < 6)


def _program(path: Path, *lines: str) -> None:
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)


def test_a_driver_is_told_of_which_submission_it_is(stub: Path) -> None:
    (stub.parent / "at-once").touch()
    _start(stub, token="abc").wait(60)
    assert (stub.parent / "token").read_text() == "abc"
    lines = "\n".join(driver_lines(Call("run-1", str(stub), "/", token="abc"), "pbs", "$OWN_ID", 90.0))
    assert f"{TOKEN}=def " in renewed(lines, "def")
    assert "abc" not in renewed(lines, "def")


def test_a_prologue_that_fails_ends_the_script(stub: Path) -> None:
    assert _start(stub, prologue=("true", "exit 7", "touch never")).wait(60) == 7
    assert not (stub.parent / "arguments").exists()
    assert not requeues("pbs")
