from __future__ import annotations

from pathlib import Path

from daskflow.execution.submitting.folder import DriverFolder


def test_the_folder_of_a_driver_is_its_owners_alone(tmp_path: Path) -> None:
    folder = DriverFolder(tmp_path, "run-1")
    folder.make()
    folder.keep_script("echo 1\n")
    folder.keep_script("echo 2\n")
    assert folder.script == tmp_path / "drivers" / "run-1" / "script"
    assert folder.script.read_text() == "echo 2\n"
    assert folder.script.stat().st_mode & 0o777 == 0o600
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in folder.path.iterdir()] == ["script"]


def test_of_a_long_log_the_last_whole_lines_are_told(tmp_path: Path) -> None:
    folder = DriverFolder(tmp_path, "run-1")
    assert folder.said() == ""
    folder.make()
    folder.log.write_text("first\nsecond\nthird\n")
    assert folder.said() == "first\nsecond\nthird\n"
    assert folder.said(10) == "third\n"
