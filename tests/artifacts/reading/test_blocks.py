"""Small reads come in blocks that are kept, large ones exactly; nobody moves much more than was asked for."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskflow.artifacts.reading import blocks as module
from daskflow.artifacts.reading.blocks import BLOCK, KEPT, Blocks
from daskflow.errors import ArtifactDamaged

DATA = random.Random(3).randbytes(5 * BLOCK + 77)
MIB = 1 << 20


class Asked(Blocks):
    """Writes down which ranges the store was asked for."""

    def __init__(self, data: bytes = DATA) -> None:
        self.ranges: list[tuple[int, int]] = []
        super().__init__(self._slice, len(data))
        self.data = data

    def _slice(self, start: int, stop: int) -> bytes:
        self.ranges.append((start, stop))
        return self.data[start:stop]


@given(st.lists(st.tuples(st.integers(0, len(DATA) + 9), st.integers(0, 2 * BLOCK)), max_size=12))
def test_what_is_read_is_what_is_there(reads: list[tuple[int, int]]) -> None:
    blocks = Asked()
    for start, length in reads:
        assert bytes(blocks.read(start, start + length)) == DATA[start : start + length]
    assert blocks.moved == sum(stop - start for start, stop in blocks.ranges)
    assert blocks.requests == len(blocks.ranges)


def test_small_reads_share_a_block() -> None:
    blocks = Asked()
    for start in (10, 500, 70, BLOCK - 3):
        blocks.read(start, start + 3)
    assert blocks.ranges == [(0, BLOCK)]


def test_small_read_over_an_edge() -> None:
    blocks = Asked()
    assert bytes(blocks.read(BLOCK - 5, BLOCK + 5)) == DATA[BLOCK - 5 : BLOCK + 5]
    assert blocks.ranges == [(0, 2 * BLOCK)]


@pytest.mark.parametrize("length", [BLOCK // 4, BLOCK - 1, BLOCK, 3 * BLOCK])
def test_large_reads_are_exact(length: int) -> None:
    blocks = Asked()
    blocks.read(100, 100 + length)
    assert blocks.ranges == [(100, 100 + length)]


def test_large_read_of_kept_blocks_moves_nothing() -> None:
    blocks = Asked()
    for start in (1, BLOCK + 1, 2 * BLOCK + 1):
        blocks.read(start, start + 1)
    before = blocks.moved
    assert bytes(blocks.read(0, 3 * BLOCK)) == DATA[: 3 * BLOCK]
    assert blocks.moved == before


@pytest.mark.parametrize("piece", [100, 8192, BLOCK // 2, 5 * BLOCK])
def test_reading_on_and_on_takes_few_requests(piece: int) -> None:
    blocks = Asked(bytes(64 * MIB))
    for start in range(0, 64 * MIB, piece):
        blocks.read(start, start + piece)
    assert blocks.moved <= 64 * MIB + BLOCK
    assert blocks.requests <= 60


@pytest.mark.parametrize("length", [BLOCK, MIB // 2, 3 * MIB])
def test_who_stops_moved_a_quarter_too_much_at_most(length: int) -> None:
    blocks = Asked(bytes(64 * MIB))
    for start in range(0, length, BLOCK // 2):
        blocks.read(start, start + BLOCK // 2)
    assert blocks.moved <= 1.25 * length + BLOCK


def test_slab_of_large_pieces_is_exact() -> None:
    blocks = Asked(bytes(64 * MIB))
    for start in range(5 * MIB + 100, 6 * MIB + 100, MIB // 4):
        blocks.read(start, start + MIB // 4)
    assert blocks.moved == MIB


def test_reading_on_is_seen_between_other_reads() -> None:
    blocks = Asked(bytes(64 * MIB))
    for turn in range(64):
        start = MIB + turn * BLOCK // 2
        blocks.read(start, start + BLOCK // 2)
        blocks.read(63 * MIB + 100 * turn, 63 * MIB + 100 * turn + 8)
    assert blocks.requests < 30


def test_jumping_about_is_not_read_ahead_for() -> None:
    blocks = Asked(bytes(64 * MIB))
    for start in range(0, 64 * MIB, MIB):
        blocks.read(start, start + BLOCK // 2)
    assert blocks.moved == 64 * BLOCK // 2


def test_kept_blocks_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 2 * BLOCK)
    blocks = Asked()
    for number in (0, 1, 0, 2, 0, 1):
        blocks.read(number * BLOCK + 5, number * BLOCK + 7)
    assert [start // BLOCK for start, _ in blocks.ranges] == [0, 1, 2, 1]
    assert KEPT >= 8 * MIB


def test_two_that_miss_the_same_move_it_once() -> None:
    started = threading.Barrier(8)
    blocks = Asked()

    def read(number: int) -> bytes:
        started.wait()
        return bytes(blocks.read(number, number + 9))

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(read, range(8)))
    assert found == [DATA[number : number + 9] for number in range(8)]
    assert blocks.requests == 1


def test_large_reads_go_side_by_side() -> None:
    both = threading.Barrier(2)

    def read(start: int, stop: int) -> bytes:
        both.wait(30)
        return bytes(stop - start)

    blocks = Blocks(read, 100 * MIB)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda start: blocks.read(start, start + MIB), [0, 50 * MIB]))
    assert blocks.moved == 2 * MIB


def test_short_answer() -> None:
    with pytest.raises(ArtifactDamaged, match="ends after 3 of its 10 bytes"):
        Blocks(lambda start, stop: b"abc", 10).read(0, 10)


def test_arrays_may_be_the_answer() -> None:
    numbers = np.arange(BLOCK, dtype="u1")
    assert bytes(Blocks(lambda start, stop: numbers[start:stop].data, BLOCK).read(5, 7)) == b"\x05\x06"
