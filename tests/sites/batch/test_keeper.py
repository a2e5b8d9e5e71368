from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from daskflow.sites.batch.jobfolder import JobFolder, Kept
from tests.execution.patience import until

CALL = "import sys; from daskflow.sites.batch.keeper import main; main()"


def keep(folder: JobFolder) -> None:
    subprocess.run([sys.executable, "-c", CALL, str(folder.path)], check=True, timeout=120)
    until(folder.end)


def made(path: Path, script: str, workdir: Path) -> JobFolder:
    folder = JobFolder(path / "job")
    folder.make(script, Kept("name", str(path / "log"), str(workdir), 2**30, 100.0, 0.0, time.time()))
    return folder


def test_a_script_is_performed_where_it_was_submitted(tmp_path: Path) -> None:
    folder = made(tmp_path, "pwd; echo oops >&2; kill -9 $$", tmp_path)
    keep(folder)
    assert (tmp_path / "log").read_text() == f"{tmp_path}\noops\n"
    end, keeper = folder.end(), folder.keeper()
    assert end is not None
    assert (end.state, end.exit_code, end.signal) == ("FAILED", 0, 9)
    assert keeper is not None
    until(lambda: not keeper.alive())


def test_a_script_does_not_inherit_what_its_keeper_does_with_signals(tmp_path: Path) -> None:
    tries = [f"bash -c 'kill -{name} $$' && echo {name}" for name in ("HUP", "INT", "TERM", "CHLD")]
    folder = made(tmp_path, "\n".join(tries), tmp_path)
    keep(folder)
    # Only SIGCHLD ends nobody.
    assert (tmp_path / "log").read_text().split()[-1] == "CHLD"
    assert not {"HUP", "INT", "TERM"} & set((tmp_path / "log").read_text().splitlines())


def test_a_script_that_cannot_be_started_is_told(tmp_path: Path) -> None:
    folder = made(tmp_path, "true", tmp_path / "gone")
    keep(folder)
    end = folder.end()
    assert end is not None
    assert end.state == "FAILED"
    assert "could not be started" in end.reason


def test_what_was_cancelled_before_it_began_does_not_begin(tmp_path: Path) -> None:
    folder = made(tmp_path, "echo began", tmp_path)
    folder.ask_to_stop()
    keep(folder)
    end = folder.end()
    assert end is not None
    assert end.state == "CANCELLED"
    assert not (tmp_path / "log").exists()
