"""Buffers: what formats write and stores keep, and several buffers packed into one object.

A pickle whose large parts stay out of band (PEP 574) is one small pickle and several raw buffers. An object
in the store is one run of bytes, so they are laid behind each other, each at a multiple of 64 bytes: read by
mmap, an array then starts where vector instructions and the page cache like it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TypeAlias

Buffer: TypeAlias = bytes | bytearray | memoryview

MAGIC = b"DFB\x01"
"""First bytes of packed buffers. A pickle starts with 0x80, so one look tells them apart."""

_ALIGNMENT = 64
_HEAD = struct.Struct("<4sI")


def _padding(position: int) -> int:
    return -position % _ALIGNMENT


def pack(parts: Sequence[Buffer]) -> list[Buffer]:
    """Lay the parts behind each other; the large ones are not copied.

    Returns
    -------
    list of buffers
        The head with the lengths of the parts [bytes], then the parts, with padding between them.

    Examples
    --------
    >>> [bytes(part) for part in unpack(memoryview(b"".join(pack([b"ab", b"", b"c"]))))]
    [b'ab', b'', b'c']
    """
    lengths = [len(part) for part in parts]
    head = _HEAD.pack(MAGIC, len(parts)) + struct.pack(f"<{len(parts)}Q", *lengths)
    packed: list[Buffer] = [head]
    position = len(head)
    for part in parts:
        packed += [bytes(_padding(position)), part]
        position += _padding(position) + len(part)
    return packed


def unpack(data: memoryview) -> list[memoryview]:
    """The parts of what `pack` made, as views: nothing is copied.

    Raises
    ------
    ValueError
        The bytes end before the parts do, or were not packed.
    """
    if len(data) < _HEAD.size or data[:4] != MAGIC:
        raise ValueError("these bytes are no packed buffers")
    _, count = _HEAD.unpack_from(data)
    lengths = struct.unpack_from(f"<{count}Q", data, _HEAD.size)
    parts, position = [], _HEAD.size + 8 * count
    for length in lengths:
        position += _padding(position)
        parts.append(data[position : position + length])
        position += length
    if position > len(data):
        raise ValueError(f"{position - len(data)} bytes are missing at the end")
    return parts
