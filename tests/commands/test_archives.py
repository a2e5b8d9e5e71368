from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
import shutil
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daskflow.commands import archives
from daskflow.commands.archives import unpack
from daskflow.errors import ArchiveRefused, ScratchFull

FILES = {"a.txt": b"one", "deep/er/b c\n'é": os.urandom(3000), "empty": b""}
TARS = {"x.tar": "w", "x.tgz": "w:gz", "x.tar.bz2": "w:bz2", "x.tar.xz": "w:xz"}


def tar(path: Path, *members: tuple[str, Any], mode: Any = "w") -> Path:
    """A tar of members: bytes for files, otherwise fields of `TarInfo`."""
    with tarfile.open(path, mode) as file:
        for name, given in members:
            info = tarfile.TarInfo(name)
            content = given if isinstance(given, bytes) else b""
            info.size = len(content)
            for field, value in {} if isinstance(given, bytes) else given.items():
                setattr(info, field, value)
            file.addfile(info, io.BytesIO(content))
    return path


def link(target: str, kind: bytes = tarfile.SYMTYPE) -> dict[str, Any]:
    return {"type": kind, "linkname": target}


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


@pytest.mark.parametrize("name", TARS)
def test_tars(name: str, tmp_path: Path) -> None:
    # The name says nothing: what it is is told by the content.
    archive = tar(tmp_path / "archive", *FILES.items(), mode=TARS[name])
    unpack(archive, tmp_path / "out" / "there")
    assert files_in(tmp_path / "out" / "there") == FILES
    assert os.listdir(tmp_path / "out" / "there" / "deep") == ["er"]


def test_zips(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in FILES.items():
            file.writestr(name, content)
        file.mkdir("folder")
        program = zipfile.ZipInfo("program")
        program.external_attr = 0o100755 << 16
        program.date_time = (2001, 2, 3, 4, 5, 6)
        file.writestr(program, b"#!/bin/sh\n")
        shortcut = zipfile.ZipInfo("shortcut")
        shortcut.external_attr = 0o120777 << 16
        file.writestr(shortcut, "deep/er")
    unpack(tmp_path / "x.zip", tmp_path / "out")
    assert files_in(tmp_path / "out") == {**FILES, "program": b"#!/bin/sh\n"}
    assert os.access(tmp_path / "out" / "program", os.X_OK)
    assert (tmp_path / "out" / "program").stat().st_mtime == time.mktime((2001, 2, 3, 4, 5, 6, -1, -1, -1))
    assert (tmp_path / "out" / "folder").is_dir()
    assert (tmp_path / "out" / "shortcut").readlink() == Path("deep/er")


@pytest.mark.parametrize(
    ("name", "compress"), [("a.dat.gz", gzip.compress), ("b.bz2", bz2.compress), ("C.XZ", lzma.compress)]
)
def test_single_files(name: str, compress: Callable[[bytes], bytes], tmp_path: Path) -> None:
    (tmp_path / "object").write_bytes(compress(b"content"))
    unpack(tmp_path / "object", tmp_path / "out", name=name)
    assert files_in(tmp_path / "out") == {name.rpartition(".")[0]: b"content"}


def test_empty_archives(tmp_path: Path) -> None:
    for number, mode in enumerate(TARS.values()):
        unpack(tar(tmp_path / f"{number}", mode=mode), tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "x.zip", "w"):
        pass
    unpack(tmp_path / "x.zip", tmp_path / "out")
    assert os.listdir(tmp_path / "out") == []


def test_modes_and_links_of_tars(tmp_path: Path) -> None:
    members = [
        ("./", {"type": tarfile.DIRTYPE}),
        ("run", {"mode": 0o6777, "mtime": 1000}),
        ("data", {"mode": 0o000, "mtime": -1e30}),
        ("folder", {"type": tarfile.DIRTYPE, "mode": 0}),
        ("folder/file", b"x"),
        ("folder/up", link("../run")),
        ("self", link("folder/./up")),
        ("dangling", link("folder/nothing")),
        ("hard", link("folder/file", tarfile.LNKTYPE)),
    ]
    unpack(tar(tmp_path / "x.tar", *members), tmp_path / "out")
    out = tmp_path / "out"
    assert (out / "run").stat().st_mode & 0o7777 == 0o755
    assert (out / "run").stat().st_mtime == 1000
    assert (out / "data").stat().st_mode & 0o7777 == 0o644
    assert (out / "self").resolve() == (out / "run").resolve()
    assert (out / "hard").samefile(out / "folder" / "file")
    assert (out / "dangling").is_symlink()


HOSTILE: dict[str, list[tuple[str, Any]]] = {
    "absolute": [("/tmp/daskflow-hostile", b"x")],
    "up": [("../outside/file", b"x")],
    "up within": [("a/../../outside/file", b"x")],
    "link out": [("a", link("../outside"))],
    "absolute link": [("a", link("/etc/passwd"))],
    "empty link": [("a", link(""))],
    "through a link": [("a", link(".")), ("a/b", link("../outside"))],
    "file through a link": [("a", link("../outside")), ("a/file", b"x")],
    "link around": [("d/e/b", link("../..")), ("a", link("d/e/b/../outside"))],
    "link around later": [("a", link("d/e/b/../outside")), ("d/e/b", link("../.."))],
    "hard link out": [("a", link("../outside/secret", tarfile.LNKTYPE))],
    "absolute hard link": [("a", link("/etc/passwd", tarfile.LNKTYPE))],
    "hard link to a link": [("s", link("x")), ("x", link("../outside/secret")), ("a", link("s", tarfile.LNKTYPE))],
    "device": [("a", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3})],
    "pipe": [("a", {"type": tarfile.FIFOTYPE})],
    "file as directory": [("a", b"x"), ("a/b", b"x")],
    "link as directory": [("a", link("b")), ("a/b", b"x")],
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_hostile_tars_write_nothing_anywhere(name: str, mode: str, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"secret")
    archive = tar(tmp_path / "x.tar", ("good", b"x"), *HOSTILE[name], mode=mode)
    with pytest.raises(ArchiveRefused, match=r"x\.tar"):
        unpack(archive, tmp_path / "out")
    assert files_in(tmp_path / "outside") == {"secret": b"secret"}
    assert os.listdir(tmp_path / "out") == []
    assert not Path("/tmp/daskflow-hostile").exists()


@pytest.mark.parametrize(
    ("name", "kind"), [("../up", 0o100644), ("/abs", 0o100644), ("link", 0o120777), ("pipe", 0o010644)]
)
def test_hostile_zips(name: str, kind: int, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        info = zipfile.ZipInfo(name)
        info.external_attr = kind << 16
        file.writestr(info, "../outside")
    with pytest.raises(ArchiveRefused, match=r"x\.zip"):
        unpack(tmp_path / "x.zip", tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == ["out", "x.zip"]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(list(TARS)), st.lists(st.tuples(st.integers(0, 1535), st.integers(0, 255)), max_size=4))
def test_whatever_is_in_an_archive_it_harms_nobody(name: str, changes: list[tuple[int, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        archive = tar(
            Path(folder, name),
            ("a/b", bytes(9)),
            ("c", link("a/b")),
            ("d", link("a/b", tarfile.LNKTYPE)),
            mode=TARS[name],
        )
        content = bytearray(archive.read_bytes())
        for place, value in changes:
            content[place % len(content)] = value
        archive.write_bytes(content)
        with suppress(ArchiveRefused):
            unpack(archive, Path(folder, "out"))
        assert sorted(os.listdir(folder)) == sorted(["out", name])
        assert not list(Path(folder, "out").glob(".unpacking*"))


def damaged(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ArchiveRefused, match="'x' cannot be unpacked"):
        unpack(tmp_path / "x", tmp_path / "out")
    assert os.listdir(tmp_path / "out") == []


def test_damaged_archives(tmp_path: Path) -> None:
    for mode in TARS.values():
        whole = tar(tmp_path / "whole", ("a", random.Random(0).randbytes(9000)), mode=mode).read_bytes()
        damaged(tmp_path, whole[: len(whole) // 3])
    with zipfile.ZipFile(tmp_path / "whole.zip", "w") as file:
        file.writestr("a", b"content")
    whole = (tmp_path / "whole.zip").read_bytes()
    damaged(tmp_path, whole[:-10])
    damaged(tmp_path, whole.replace(b"content", b"kontent"))
    damaged(tmp_path, gzip.compress(bytes(100))[:-5])
    for content in (b"", b"no archive", bytes(100), b"\x1f\x8b", b"PK\x03\x04"):
        damaged(tmp_path, content)


def test_a_missing_archive(tmp_path: Path) -> None:
    with pytest.raises(ArchiveRefused, match="No such file"):
        unpack(tmp_path / "x", tmp_path / "out")


def test_what_finds_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=archives._RESERVE + 100_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    bombs = {
        "x.tar.gz": tar(tmp_path / "x.tar.gz", ("a", bytes(1 << 20)), mode="w:gz"),
        "x.gz": tmp_path / "x.gz",
        "x.zip": tmp_path / "x.zip",
    }
    bombs["x.gz"].write_bytes(gzip.compress(bytes(1 << 20)))
    with zipfile.ZipFile(bombs["x.zip"], "w", zipfile.ZIP_DEFLATED) as file:
        for number in range(30):
            file.writestr(f"{number}", bytes(10_000))
    for name, path in bombs.items():
        with pytest.raises(ScratchFull, match=name):
            unpack(path, tmp_path / "out")
        assert os.listdir(tmp_path / "out") == []


def test_unpacking_into_what_is_there(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "deep").mkdir(parents=True)
    (out / "deep" / "own").write_bytes(b"own")
    shared = tmp_path / "shared"
    shared.write_bytes(b"shared")
    (out / "deep" / "file").symlink_to(shared)
    unpack(tar(tmp_path / "x.tar", ("deep/file", b"new")), out)
    assert files_in(out) == {"deep/own": b"own", "deep/file": b"new"}
    assert shared.read_bytes() == b"shared"


@pytest.mark.parametrize("there", ["file", "link", "folder"])
def test_nothing_is_written_through_what_is_there(there: str, tmp_path: Path) -> None:
    out, outside = tmp_path / "out", tmp_path / "outside"
    (out / "deep").mkdir(parents=True)
    outside.mkdir()
    path, member = out / "deep" / "x", "deep/x/file"
    if there == "file":
        path.write_bytes(b"")
    elif there == "link":
        path.symlink_to(outside)
    else:
        path.mkdir()
        member = "deep/x"
    with pytest.raises(ArchiveRefused, match="there already"):
        unpack(tar(tmp_path / "x.tar", (member, b"x")), out)
    assert list(outside.iterdir()) == []


def test_a_later_member_wins(tmp_path: Path) -> None:
    members: list[tuple[str, Any]] = [
        ("a", b"1"),
        ("a", b"2"),
        ("b", link("a")),
        ("b", b"3"),
        ("c", b"4"),
        ("c", link("a")),
    ]
    unpack(tar(tmp_path / "x.tar", *members), tmp_path / "out")
    assert files_in(tmp_path / "out") == {"a": b"2", "b": b"3"}
    assert (tmp_path / "out" / "c").readlink() == Path("a")
