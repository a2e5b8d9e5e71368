from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from daskflow.commands.scratch import Scratch, checked_name, remove, sweep
from daskflow.errors import CommandError, PathRefused, ScratchFull

HOLDER = """
import sys, time
from daskflow.commands.scratch import Scratch
scratch = Scratch(sys.argv[1], keep=len(sys.argv) > 2)
print(scratch.path, flush=True)
time.sleep(1000)
"""
SMALL_DISK = """
import os, subprocess, sys
from daskflow.commands.scratch import Scratch
from daskflow.errors import ScratchFull
root = sys.argv[1]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", root], check=True)
scratch = Scratch(root)
assert not scratch.full()
try:
    scratch.write("big", bytes(1 << 20))
except ScratchFull as error:
    print(error)
assert scratch.full()
scratch.close()
print(os.listdir(root))
"""


def test_a_directory_for_nobody_else(tmp_path: Path) -> None:
    with Scratch(tmp_path / "a" / "b", "fit data-0123") as scratch:
        assert stat.S_IMODE(scratch.path.stat().st_mode) == 0o700
        assert scratch.path.name.startswith("fit-data-0123-")
        assert scratch.work.is_dir()
        assert scratch.tmp.is_dir()
        with Scratch(tmp_path / "a" / "b", "fit data-0123") as other:
            assert other.path != scratch.path
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_place_where_nothing_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CommandError, match=r"file.* cannot be written: Not a directory"):
        Scratch(tmp_path / "file" / "scratch")


@pytest.mark.parametrize("name", ["", ".", "/etc/passwd", "..", "a/../../b", "a/..", "a\0b", "./.."])
def test_names_that_lead_out(name: str, scratch: Scratch) -> None:
    with pytest.raises(PathRefused, match="relative"):
        scratch.inside(name)


@pytest.mark.parametrize(
    ("name", "plain"), [("a", "a"), ("a//b/./c", "a/b/c"), ("a b\n'é", "a b\n'é"), ("..a/b..", "..a/b..")]
)
def test_names_that_stay(name: str, plain: str, scratch: Scratch) -> None:
    assert checked_name(name) == plain
    assert scratch.inside(name) == scratch.work / plain


@pytest.mark.parametrize("target", ["/etc", "..", "../../..", "inner/../.."])
def test_links_that_lead_out(target: str, scratch: Scratch) -> None:
    (scratch.work / "inner").mkdir()
    (scratch.work / "link").symlink_to(target)
    for name in ("link", "link/passwd"):
        with pytest.raises(PathRefused, match="through a link"):
            scratch.inside(name)
        with pytest.raises(PathRefused, match="through a link"):
            scratch.write(name, b"")


def test_links_that_stay_inside(scratch: Scratch) -> None:
    scratch.write("deep/down/file", b"x")
    (scratch.work / "link").symlink_to("deep/down")
    assert scratch.inside("link/file").read_bytes() == b"x"


def test_written_files(scratch: Scratch) -> None:
    assert scratch.write("a/run.sh", b"#!/bin/sh\n", executable=True).stat().st_mode & 0o111
    assert not scratch.write("data", b"1").stat().st_mode & 0o111
    assert scratch.write("data", b"2").read_bytes() == b"2"


def test_what_others_share_is_replaced_and_not_written_to(tmp_path: Path, scratch: Scratch) -> None:
    shared = tmp_path / "shared"
    shared.write_bytes(b"shared")
    (scratch.work / "hard").hardlink_to(shared)
    scratch.write("hard", b"own")
    assert shared.read_bytes() == b"shared"


def test_folders(scratch: Scratch) -> None:
    assert scratch.folder("") == scratch.folder(".") == scratch.work
    assert scratch.folder("a/b").is_dir()
    assert scratch.folder("a/b") == scratch.work / "a/b"
    with pytest.raises(PathRefused):
        scratch.folder("../b")
    scratch.write("file", b"")
    with pytest.raises(CommandError, match="file"):
        scratch.folder("file/b")


def test_protected_and_deep_trees_are_removed(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.write_bytes(b"")
    shared.chmod(0o444)
    with Scratch(tmp_path / "scratch") as scratch:
        (scratch.work / "link").hardlink_to(shared)
        command = "import os\nfor _ in range(1500):\n os.mkdir('deep')\n os.chdir('deep')\nos.chmod('.', 0)"
        subprocess.run([sys.executable, "-c", command], cwd=scratch.work, check=True)
        (scratch.work / "outside").symlink_to(tmp_path)
        (scratch.work / "locked" / "inner").mkdir(parents=True)
        (scratch.work / "locked" / "inner" / "file").touch()
        for path in ("locked/inner", "locked", ""):
            (scratch.work / path).chmod(0o500 if path else 0)
    assert list((tmp_path / "scratch").iterdir()) == []
    assert stat.S_IMODE(shared.stat().st_mode) == 0o444
    for name in ("file", "link"):
        (tmp_path / name).touch() if name == "file" else (tmp_path / name).symlink_to(tmp_path / "scratch")
        remove(tmp_path / name)
        assert not os.path.lexists(tmp_path / name)
    assert (tmp_path / "scratch").is_dir()
    remove(tmp_path / "nothing")


def test_kept_directories_stay(tmp_path: Path) -> None:
    with Scratch(tmp_path, keep=True) as scratch:
        scratch.write("file", b"x")
    assert scratch.inside("file").read_bytes() == b"x"
    assert sweep(tmp_path, new=-60) == 0
    assert scratch.path.exists()


def test_only_what_dead_processes_left_is_swept(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    left = Path(holder.stdout.readline().strip())
    (left / "work" / "data").write_bytes(b"x")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    with Scratch(tmp_path) as own:
        assert sweep(tmp_path, new=-60) == 0
        holder.send_signal(signal.SIGKILL)
        with holder:
            pass
        assert sweep(tmp_path) == 0, "it may be new"
        assert sweep(tmp_path, new=-60) == 1
        assert sorted(tmp_path.iterdir()) == sorted([foreign, own.path])
    assert sweep(tmp_path / "nothing") == 0


def test_a_full_disk(tmp_path: Path, scratch: Scratch) -> None:
    unshare = ["unshare", "--mount", "--map-root-user"]
    if subprocess.run([*unshare, "mount", "-t", "tmpfs", "x", tmp_path], capture_output=True, check=False).returncode:
        pytest.skip("no mounts are permitted here")
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [*unshare, sys.executable, "-c", SMALL_DISK, str(tmp_path / "disk")]
    (tmp_path / "disk").mkdir()
    said = subprocess.run(command, capture_output=True, text=True, check=True, env=env).stdout
    assert "No room is left in the scratch directory" in said
    assert said.endswith("[]\n")
    assert not scratch.full()
    with pytest.raises(ScratchFull, match="quota"), scratch.written():
        raise OSError(122, "Disk quota exceeded")
