"""Large objects in parts: sizes, manifests, ranges."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskflow.artifacts.places.parts import Manifest, Part, in_parts, load_manifest, part_sizes
from daskflow.errors import ArtifactDamaged

DIGEST = "0" * 32


def test_ten_thousand_parts_hold_more_than_a_tebibyte() -> None:
    sizes = list(islice(part_sizes(), 10_000))
    assert sum(sizes) > 1 << 40
    assert sizes == sorted(sizes)
    assert max(sizes) <= 256 << 20
    assert set(sizes[:1000]) == {16 << 20}


def test_limit_is_part_of_the_layout() -> None:
    assert not in_parts(32 << 20)
    assert in_parts((32 << 20) + 1)


def test_manifest_comes_back() -> None:
    manifest = Manifest(7, (Part(DIGEST, 4), Part("f" * 32, 3)))
    assert load_manifest(manifest.dump(), "x") == manifest


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b'{"size": 4, "parts": [["00", 4]]}',
        b'{"size": 5, "parts": [["%s", 4]]}' % DIGEST.encode(),
        b'{"size": 0, "parts": [["%s", 0]]}' % DIGEST.encode(),
        b'{"size": 4, "parts": [["%s"]]}' % DIGEST.encode(),
    ],
)
def test_damaged_manifest(data: bytes) -> None:
    with pytest.raises(ArtifactDamaged, match="manifest of x is damaged"):
        load_manifest(data, "x")


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 60), st.integers(0, 60))
def test_spans_join_to_the_range(sizes: list[int], start: int, stop: int) -> None:
    data = bytes(range(sum(sizes)))
    manifest = Manifest(len(data), tuple(Part(DIGEST, size) for size in sizes))
    joined, begin = b"", 0
    begins = {}
    for number, size in enumerate(sizes):
        begins[number] = begin
        begin += size
    for span in manifest.spans(start, stop):
        assert span.offset == len(joined)
        number = next(n for n, part in enumerate(manifest.parts) if begins[n] + span.start == start + span.offset)
        joined += data[begins[number] + span.start : begins[number] + span.stop]
    assert joined == data[start:stop]
