from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from daskflow.compat.prominence.errors import JobGetError
from daskflow.compat.prominence.reading import as_wanted, packed


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
