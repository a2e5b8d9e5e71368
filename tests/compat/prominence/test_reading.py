from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

import daskflow
from daskflow.compat.prominence.errors import JobGetError
from daskflow.compat.prominence.reading import as_wanted, given, packed


@pytest.mark.parametrize("data", [b"\xff\xfe", bytes(4), b"a\0b"])
def test_what_is_no_text_stays_as_it_is(data: bytes) -> None:
    assert as_wanted(data, None) == data


def test_text_is_text_unless_bytes_are_wanted() -> None:
    assert as_wanted("größer".encode(), None) == "größer"
    assert as_wanted(b"3", False) == b"3"
    assert as_wanted(b"a\0b", True) == "a\0b"
    with pytest.raises(JobGetError, match="text=False"):
        as_wanted(b"\xff", True)


def test_directories_are_packed_under_their_names(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a").write_text("x")
    with tarfile.open(fileobj=io.BytesIO(packed(tmp_path, "out"))) as tar:
        assert sorted(tar.getnames()) == ["out", "out/sub", "out/sub/a"]


def test_what_was_left_is_given_or_saved(here: Path) -> None:
    (here / "d").mkdir()
    (here / "d" / "x").write_text("one")
    file, folder = daskflow.Artifact("x").upload(here / "d" / "x"), daskflow.Artifact("d").upload(here / "d")
    assert given(file, None, "It") == b"one"
    saved = given(file, here / "copy.tgz", "It")
    assert isinstance(saved, Path)
    assert saved.read_text() == "one", "a file is saved as it is"
    archive = given(folder, None, "It")
    assert isinstance(archive, bytes)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        assert "d/x" in tar.getnames()
    assert given(folder, "d.tar.gz", "It") == Path("d.tar.gz")
    assert given(folder, here / "again", "It") == here / "again"
    assert (here / "again" / "x").read_text() == "one"
    with pytest.raises(JobGetError, match="It cannot be had"):
        given(daskflow.Artifact("x", digest="0" * len(file.digest), size=3, kind="file"), None, "It")
