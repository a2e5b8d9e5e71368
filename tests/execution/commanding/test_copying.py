from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

from daskflow.errors import CommandFailed
from daskflow.execution.commanding import copying
from daskflow.execution.commanding.copying import copy_now


def go_on() -> None:
    """Never give up."""


def tree(path: Path) -> dict[str, Any]:
    return {
        str(one.relative_to(path)): os.readlink(one) if one.is_symlink() else one.is_file() and one.read_text()
        for one in path.rglob("*")
    }


def test_files_and_directories(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "run").write_text("echo")
    (source / "deep" / "run").chmod(0o755)
    (source / "link").symlink_to("nowhere")
    copy_now(source, tmp_path / "copy", go_on)
    assert tree(tmp_path / "copy") == {"deep": False, "deep/run": "echo", "link": "nowhere"}
    copy_now(source / "deep" / "run", tmp_path / "one", go_on)
    assert (tmp_path / "one").read_text() == "echo"
    assert stat.S_IMODE((tmp_path / "one").stat().st_mode) == 0o755


def test_it_is_given_up_between_two_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "_BLOCK", 4)
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "x").write_bytes(bytes(100))
    asked = list[None]()

    def check() -> None:
        asked.append(None)
        if len(asked) == 3:
            raise CommandFailed("enough")

    for source in (tmp_path / "d", tmp_path / "d" / "x"):
        asked.clear()
        with pytest.raises(CommandFailed, match="enough"):
            copy_now(source, tmp_path / f"copy-of-{source.name}", check)
    assert (tmp_path / "copy-of-x").stat().st_size == 8


def test_what_vanishes_meanwhile_is_left_out(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name in ("a", "b"):
        (source / name).mkdir(parents=True)
        (source / name / "x").write_text(name)
        (source / name / "link").symlink_to("x")
        (source / f"{name}.txt").write_text(name)
        (source / f"{name}.link").symlink_to("x")
    seen = list[str]()

    def vanish() -> None:
        # When the first file is copied, whichever that is, after its directory was listed: what is left goes.
        if seen:
            return
        for path in list(source.iterdir()):
            if path.is_dir() and not path.is_symlink():
                if not any((tmp_path / "copy" / path.name).glob("*")):
                    shutil.rmtree(path)
            elif not (tmp_path / "copy" / path.name).exists():
                path.unlink()
        seen.append("vanished")

    copy_now(source, tmp_path / "copy", vanish)
    assert seen == ["vanished"]
    found = [path for path in (tmp_path / "copy").rglob("*") if path.is_file() and not path.is_symlink()]
    assert len(found) >= 1
    assert {path.read_text() for path in found} <= {"a", "b"}


def test_what_can_be_no_copy_is_told(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    os.mkfifo(source / "pipe")
    with pytest.raises(OSError, match=r"'pipe' cannot be copied: .* is no file"):
        copy_now(source, tmp_path / "copy", go_on)
    with pytest.raises(OSError, match="is no file"):
        copy_now(source / "pipe", tmp_path / "one", go_on)
    with pytest.raises(FileNotFoundError):
        copy_now(source / "none", tmp_path / "other", go_on)


def test_what_is_removed_and_written_again_counts_as_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("again", "stays"):
        (source / name).write_text(name)
    opened = os.open

    def late(path: Any, *arguments: Any, **options: Any) -> int:
        if str(path).endswith("source/again"):
            raise FileNotFoundError(2, "it is just being written again", str(path))
        return opened(path, *arguments, **options)

    monkeypatch.setattr(os, "open", late)
    copy_now(source, tmp_path / "copy", go_on)
    assert tree(tmp_path / "copy") == {"stays": "stays"}
