"""The Grid Engine of the tests is a real one, with a root of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.execution.patience import until
from tests.services.sge import Sge

pytestmark = pytest.mark.integration


def test_jobs_run_and_are_remembered(sge: Sge, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sge.activate(monkeypatch)
    log = tmp_path / "log"
    command = ["qsub", "-terse", "-o", str(log), "-j", "y", "-pe", "smp", "2"]
    script = 'echo "$NSLOTS cores"\nexit 3\n'
    said = subprocess.run(command, input=script, check=True, capture_output=True, text=True).stdout
    batch_id = said.strip()

    def remembered() -> bool:
        return subprocess.run(["qacct", "-j", batch_id], check=False, capture_output=True).returncode == 0

    until(remembered, 120)
    assert log.read_text() == "2 cores\n"
    lines = dict(line.split(None, 1) for line in sge.run("qacct", "-j", batch_id).splitlines() if " " in line)
    assert lines["exit_status"].strip() == "3"
    assert lines["hostname"].strip() == sge.host


def test_the_queue_can_be_emptied(sge: Sge) -> None:
    for _ in range(2):
        sge.run("qsub", "-terse", "-o", "/dev/null", "-j", "y", input="sleep 1000\n")
    until(lambda: sge.run("qstat").count(" r ") == 2)
    sge.clear()
    assert sge.run("qstat") == ""
