from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from daskflow.sites.pilots.starts import End, Notes, Start, log_of, shelf

pytestmark = pytest.mark.parametrize("shell", ["bash", "sh"])


def run(shell: str, lines: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [shell, "-c", "\n".join(lines)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def lines_of(notes: Notes, pool: str = "small") -> list[str]:
    began, ended = notes.shell("${A}_$B", "$(echo n1)", pool)
    return [*began, "end() {", *ended, "}", "end 7"]


def test_a_pilot_tells_of_its_start_and_its_end(tmp_path: Path, shell: str) -> None:
    notes = Notes(str(tmp_path / "my home"), "token")
    notes.make()
    assert notes.news() == ([], [])
    assert run(shell, lines_of(notes, "it's"), A="12", B="3").returncode == 0
    ((start,), ends) = notes.news()
    assert start._replace(time=0.0, log="") == Start("12_3", "n1", "it's", 0.0, "")
    assert start.time > 1e9
    assert ends == [End("12_3", 7)]
    assert notes.news() == ([], [])


def test_a_shared_directory_that_is_not_shared_is_told(tmp_path: Path, shell: str) -> None:
    done = run(shell, lines_of(Notes(str(tmp_path / "elsewhere"), "token")), A="1", B="2")
    assert done.returncode == 74
    assert "n1 cannot write to" in done.stderr
    assert "`shared`" in done.stderr


def test_notes_are_read_when_they_are_whole(tmp_path: Path, shell: str) -> None:
    notes = Notes(str(tmp_path), shell)
    notes.make()
    folder = Path(notes.folder)
    (folder / ".1.began").write_text("n1")
    (folder / "0001.log").write_text("text")
    (folder / "2.ended").write_text("")
    (folder / "3.began").write_text("n1\nsmall\nnoon\n")
    assert notes.news() == ([Start("3", "n1", "small", 0.0, "")], [End("2", 1)])


def test_who_may_still_live(tmp_path: Path, shell: str) -> None:
    notes = Notes(str(tmp_path), shell)
    assert notes.living() == []
    notes.make()
    assert notes.living() == []
    notes.submitted(["1_0", "1_1"])
    notes.submitted(["2"])
    for name in ("1_1.ended", "7.began", ".8.began"):
        Path(notes.folder, name).write_text("0\n")
    assert notes.living() == ["1_0", "2", "7"]


def test_nobody_else_looks_into_it(tmp_path: Path, shell: str) -> None:
    notes = Notes(str(tmp_path), shell)
    notes.make()
    notes.make()
    assert os.stat(notes.folder).st_mode & 0o077 == 0
    assert notes.folder == os.path.join(shelf(str(tmp_path)), shell)


def test_logs_have_names_of_their_own(tmp_path: Path, shell: str) -> None:
    notes = Notes(str(tmp_path), shell)
    assert notes.log(3, 1).endswith("/0003.log")
    assert log_of(notes.log(3, 2), "99_1").endswith("/0003-1.log")
    assert log_of(notes.log(3, 1), "99").endswith("/0003.log")
    assert log_of(notes.log(3, 2), "99.2").endswith("/0003-2.log")
    assert log_of(notes.log(3, 2), "99[2].node7").endswith("/0003-2.log")
