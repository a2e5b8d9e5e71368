from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from daskflow.sites.batch.jobfolder import End, JobFolder, Keeper, Kept, boot_id
from daskflow.sites.processes import start_of
from tests.execution.patience import until

KEPT = Kept("name", "/log", "/", 1, 2.0, 0.0, 3.0)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path / "jobs" / "1")
    assert (folder.kept(), folder.keeper(), folder.end()) == (None, None, None)
    folder.make("script", KEPT)
    keeper, end = Keeper(1, 2.0, "boot", "node", 3.0), End("FAILED", "why", 1.0, 2.0, 3)
    folder.begin(keeper)
    folder.close(end)
    assert (folder.kept(), folder.keeper(), folder.end()) == (KEPT, keeper, end)
    assert folder.path.stat().st_mode & 0o77 == 0
    with pytest.raises(FileExistsError):
        folder.make("script", KEPT)


def test_a_wish_to_stop_is_found(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path / "1")
    folder.make("script", KEPT)
    assert not folder.to_stop()
    folder.ask_to_stop()
    assert folder.to_stop()


def test_a_keeper_is_known_by_its_birth_and_the_start_of_the_machine() -> None:
    me = Keeper(os.getpid(), start_of(os.getpid()), boot_id(), "here", time.time())
    assert me.alive()
    assert not me._replace(birth=me.birth - 1).alive()
    assert not me._replace(boot="another").alive()
    assert me._replace(boot="another").rebooted()


def test_what_is_left_of_a_job_is_found_by_its_environment(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path / "1")
    marked = {**os.environ, JobFolder.MARK: str(folder.path)}
    command = [sys.executable, "-S", "-c", "print(flush=True); input()"]
    with (
        subprocess.Popen(command, env=marked, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as mine,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other,
    ):
        for process in (mine, other):
            assert process.stdout is not None
            process.stdout.readline()
        folder.kill_left()
        until(lambda: mine.poll() is not None)
        assert other.poll() is None
        other.kill()
