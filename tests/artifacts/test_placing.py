"""Files are placed with as few bytes copied as can be, and what is shared is watched."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from daskflow.artifacts.placing import Placing, alias, place

ODD = ["plain", "with space", "new\nline", "quote'\"", "Ω", "-rf", "\udcff"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(b"bytes")
    path.chmod(0o444)
    return path


@pytest.fixture
def across(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if source and target were on two filesystems."""

    def link(source: object, target: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "link", link)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.parametrize("name", ODD)
def test_a_file_on_the_same_filesystem_is_linked(source: Path, name: str) -> None:
    target = source.with_name(name)
    placed = place(source, target, Placing())
    assert target.samefile(source)
    assert not target.is_symlink()
    assert placed is not None
    assert not placed.changed


@pytest.mark.parametrize("name", ODD)
def test_across_filesystems_it_is_a_symbolic_link(source: Path, across: None, name: str) -> None:
    target = source.with_name(name)
    placed = place(source, target, Placing())
    assert placed is not None
    assert target.is_symlink()
    assert target.read_bytes() == b"bytes"


def test_without_links_it_is_a_copy(source: Path, across: None) -> None:
    target = source.with_name("target")
    assert place(source, target, Placing(links=False)) is None
    assert not target.is_symlink()
    assert not target.samefile(source)
    assert (target.read_bytes(), mode(target)) == (b"bytes", 0o444)


@pytest.mark.parametrize(
    ("writable", "executable", "wanted"), [(True, False, 0o644), (True, True, 0o755), (False, True, 0o555)]
)
def test_a_copy_has_the_rights_that_were_asked_for(source: Path, writable: bool, executable: bool, wanted: int) -> None:
    target = source.with_name("target")
    assert place(source, target, Placing(writable), executable=executable) is None
    assert mode(target) == wanted
    target.chmod(0o644)
    target.write_bytes(b"changed")
    assert source.read_bytes() == b"bytes"


def test_an_executable_is_shared_where_the_original_is_one(source: Path) -> None:
    source.chmod(0o555)
    assert place(source, source.with_name("target"), Placing(), executable=True) is not None


def test_who_writes_to_what_is_shared_is_seen(source: Path) -> None:
    target = source.with_name("target")
    placed = place(source, target, Placing())
    assert placed is not None
    target.chmod(0o644)
    target.write_bytes(b"other")
    assert placed.changed == source
    source.unlink()
    assert placed.changed == target, "what was read is there yet"
    target.unlink()
    assert not placed.changed


def test_nothing_that_is_there_is_replaced(source: Path) -> None:
    target = source.with_name("target")
    target.write_bytes(b"mine")
    for how in (Placing(), Placing(writable=True)):
        with pytest.raises(FileExistsError):
            place(source, target, how)
    assert target.read_bytes() == b"mine"


def test_an_alias_gives_a_name_and_is_made_once(tmp_path: Path, source: Path) -> None:
    link = alias(tmp_path / "named" / "digest", source, "survey.h5")
    assert (link.name, link.read_bytes()) == ("survey.h5", b"bytes")
    before = link.lstat().st_ino
    assert alias(tmp_path / "named" / "digest", source, "survey.h5") == link
    assert link.lstat().st_ino == before
    other = source.with_name("other")
    other.write_bytes(b"other")
    assert alias(tmp_path / "named" / "digest", other, "survey.h5").read_bytes() == b"other"
    assert os.listdir(link.parent) == ["survey.h5"]
