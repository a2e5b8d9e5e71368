"""Files on their way: what may be wrong with them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from daskflow.artifacts.places.files import Source, arriving
from daskflow.errors import ArtifactDamaged, ArtifactError, CacheFull, FileMissing, UsageError


def test_reads_anywhere(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    with Source(tmp_path / "file") as source:
        buffer = bytearray(4)
        source.read(memoryview(buffer), 6)
        assert (bytes(buffer), source.size) == (b"6789", 10)
        with pytest.raises(ArtifactDamaged, match="changed while it was stored"):
            source.read(memoryview(buffer), 7)


def test_file_that_stayed_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"data")
    with Source(tmp_path / "file") as source:
        source.check(None, "any")
        source.check("same", "same")
        with pytest.raises(ArtifactDamaged):
            source.check("one", "another")
        os.utime(tmp_path / "file", (1, 1))
        with pytest.raises(ArtifactDamaged):
            source.check(None, "any")


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileMissing, match="none is not there"):
        Source(tmp_path / "none")
    with pytest.raises(UsageError):
        Source(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ArtifactError, match="cannot be read"):
        Source(tmp_path / "loop")


def test_file_appears_whole(tmp_path: Path) -> None:
    with arriving(tmp_path / "new") as file:
        file.write(b"data")
        assert not (tmp_path / "new").exists()
    assert (tmp_path / "new").read_bytes() == b"data"
    assert os.listdir(tmp_path) == ["new"]


def test_file_that_failed_does_not_appear(tmp_path: Path) -> None:
    with pytest.raises(TypeError), arriving(tmp_path / "new") as file:
        file.write("no bytes")  # type: ignore[call-overload]
    assert os.listdir(tmp_path) == []


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of 64 kiB."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root may mount")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_full_disk(full: Path) -> None:
    (full / "most").write_bytes(bytes(60_000))
    with pytest.raises(CacheFull, match=r"No room is left for .*new .*Free some space"), arriving(full / "new") as file:
        writelines(file)
    assert os.listdir(full) == ["most"]


def writelines(file: IO[bytes]) -> None:
    for _ in range(20):
        file.write(bytes(1 << 12))


def test_error_of_the_caller_stays(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), arriving(tmp_path / "new"):
        raise FileNotFoundError("the object")
