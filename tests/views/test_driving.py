from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.shell import environment
from tests.execution.patience import until

_FLOWS = """
import pathlib
import time
from daskflow import flow

@flow(site="synchronous")
def study():
    pathlib.Path("begun").touch()
    while not pathlib.Path("gate").exists():
        time.sleep(0.02)
    return 7
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "flows.py").write_text(_FLOWS)
    return tmp_path


def _call(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=project, env=environment(), capture_output=True, text=True, check=False)


def test_what_nobody_submitted_is_not_driven(project: Path) -> None:
    (project / "gate").touch()
    assert _call(project, "daskflow", "run", "flows.py:study").returncode == 0
    run = _call(project, "daskflow", "runs", "--json").stdout.split('"id": "')[1].split('"')[0]
    done = _call(project, "daskflow.views.driving", run)
    assert done.returncode == 2
    assert f"daskflow resume {run} --submit" in done.stderr
    assert _call(project, "daskflow.views.driving", "unknown").returncode == 2


def test_a_driver_ends_with_the_exit_code_of_its_run(project: Path) -> None:
    assert _call(project, "daskflow", "run", "flows.py:study", "--submit", "--at", "local").returncode == 0
    until((project / "begun").exists)
    (project / "gate").touch()
    until(lambda: "succeeded" in _call(project, "daskflow", "logs", "last", "--driver").stdout)
    run = _call(project, "daskflow", "runs", "--json").stdout.split('"id": "')[1].split('"')[0]
    again = _call(project, "daskflow.views.driving", run)
    assert (again.returncode, "is succeeded; there is nothing to do" in again.stderr) == (2, True)
