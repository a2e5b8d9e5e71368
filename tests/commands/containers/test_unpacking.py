from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daskflow.commands.containers.unpacking import environment, is_rootfs, unpack
from daskflow.errors import ArchiveRefused, ContainerError
from tests.services.images import docker_archive, oci_archive, save

Member = tuple[str, bytes, str]
"""Name, type of the entry, and where a link leads to or what a file holds."""


def archive(path: Path, *members: Member) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, kind, text in members:
            member = tarfile.TarInfo(name)
            member.type, member.mode = kind, 0o4777
            if kind == tarfile.REGTYPE:
                member.size = len(text)
            else:
                member.linkname = text
            tar.addfile(member, io.BytesIO(text.encode()))
    return path


@pytest.mark.parametrize("name", ["image.tar", "image.tar.gz"])
def test_a_root_filesystem_is_unpacked(name: str, rootfs: Path, tmp_path: Path) -> None:
    saved = save(rootfs, tmp_path / name)
    assert is_rootfs(saved)
    unpack(saved, tmp_path / "there")
    assert (tmp_path / "there/etc/image").read_text() == "a small image\n"
    assert os.access(tmp_path / "there/usr/bin/cat", os.X_OK)
    assert os.readlink(tmp_path / "there/bin/sh") == "../usr/bin/sh"


@pytest.mark.parametrize("write", [docker_archive, oci_archive])
def test_layers_are_put_upon_each_other(write: Callable[..., Path], tmp_path: Path) -> None:
    saved = write(
        tmp_path / "image.tar",
        [
            {"etc": None, "etc/a": "a", "etc/b": "b", "opt/x/old": "old", "link": "-> /etc/passwd", "usr/dir/y": "y"},
            {
                "etc/a": "A",
                "etc/.wh.b": "",
                "opt/x/.wh..wh..opq": "",
                "opt/x/new": "new",
                "link": "file",
                "usr/dir": "f",
            },
        ],
        env=["PATH=/opt/bin", "MODE=a=b"],
    )
    assert not is_rootfs(saved)
    unpack(saved, made := tmp_path / "made")
    files = {str(path.relative_to(made)): path.read_text() for path in made.rglob("*") if path.is_file()}
    assert files.pop("ch/environment")
    assert files == {"etc/a": "A", "opt/x/new": "new", "link": "file", "usr/dir": "f"}
    assert environment(made) == {"PATH": "/opt/bin", "MODE": "a=b"}


HOSTILE: dict[str, list[Member]] = {
    "above": [("../outside", tarfile.REGTYPE, "x")],
    "deeper": [("a/../../outside", tarfile.REGTYPE, "x")],
    "through a link": [("a", tarfile.SYMTYPE, ".."), ("a/outside", tarfile.REGTYPE, "x")],
    "through a far link": [("a", tarfile.SYMTYPE, "/tmp"), ("a/b/outside", tarfile.REGTYPE, "x")],
    "hard link": [("a", tarfile.LNKTYPE, "../outside")],
    "hard link through a link": [("a", tarfile.SYMTYPE, "/etc"), ("b", tarfile.LNKTYPE, "a/passwd")],
    "whiteout": [("../.wh.outside", tarfile.REGTYPE, "")],
    "whiteout through a link": [("a", tarfile.SYMTYPE, ".."), ("a/.wh.outside", tarfile.REGTYPE, "")],
}


@pytest.mark.parametrize("case", HOSTILE)
def test_nothing_is_written_or_removed_outside(case: str, tmp_path: Path) -> None:
    saved = archive(tmp_path / "image.tar", *HOSTILE[case])
    (tmp_path / "outside").write_text("mine")
    with pytest.raises(ArchiveRefused, match=r"image\.tar is refused"):
        unpack(saved, tmp_path / "made")
    assert (tmp_path / "outside").read_text() == "mine"


def test_absolute_names_are_those_of_the_image_and_links_stay(tmp_path: Path) -> None:
    members: list[Member] = [
        ("/etc/file", tarfile.REGTYPE, "x"),
        ("other", tarfile.LNKTYPE, "/etc/file"),
        ("far", tarfile.SYMTYPE, "/etc/passwd"),
        ("far", tarfile.REGTYPE, "now a file"),
        ("dev/null", tarfile.CHRTYPE, ""),
        ("closed", tarfile.DIRTYPE, ""),
    ]
    unpack(archive(tmp_path / "image.tar", *members), made := tmp_path / "made")
    assert (made / "etc/file").samefile(made / "other")
    assert (made / "far").read_text() == "now a file"
    assert not (made / "dev/null").exists()
    # No setuid bit, and nobody else may write.
    assert (made / "etc/file").stat().st_mode & 0o7777 == 0o755
    assert (made / "etc/file").stat().st_uid == os.getuid()


@pytest.mark.parametrize("data", [b"", b"no tarball", b"\x1f\x8b\x08\x00broken"])
def test_what_is_no_tarball_is_told(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "image.tar").write_bytes(data)
    with pytest.raises(ContainerError, match=r"image\.tar cannot be unpacked"):
        unpack(tmp_path / "image.tar", tmp_path / "made")


def test_a_manifest_without_its_layers_is_told(tmp_path: Path) -> None:
    manifest: Any = '[{"Config": "config.json", "Layers": ["missing.tar"]}]'
    saved = archive(tmp_path / "image.tar", ("manifest.json", tarfile.REGTYPE, manifest))
    with pytest.raises(ContainerError, match=r"it has no missing\.tar"):
        unpack(saved, tmp_path / "made")


def test_a_directory_without_notes_has_no_environment(rootfs: Path) -> None:
    assert environment(rootfs) == {}
