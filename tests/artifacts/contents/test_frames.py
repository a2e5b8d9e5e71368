"""Buffers packed into one object come back whole and aligned."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskflow.artifacts.contents.frames import MAGIC, pack, unpack


@given(st.lists(st.binary(max_size=300), max_size=6))
def test_round_trip(parts: list[bytes]) -> None:
    assert [bytes(part) for part in unpack(memoryview(b"".join(pack(parts))))] == parts


def test_parts_are_aligned() -> None:
    data = b"".join(pack([b"a", b"b" * 100, b"c"]))
    assert data.index(b"a" + bytes(63)) % 64 == 0
    assert data.index(b"b" * 100) % 64 == 0


def test_large_parts_are_not_copied() -> None:
    large = bytes(1000)
    assert any(part is large for part in pack([large]))


@pytest.mark.parametrize("data", [b"", b"something else", MAGIC + b"\x01\0\0\0" + b"\xff\0\0\0\0\0\0\0"])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"packed|missing"):
        unpack(memoryview(data))
