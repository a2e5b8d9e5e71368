"""Who knocks with the right word is let in."""

from __future__ import annotations

import json
import socket
import time

import pytest

from daskflow.execution.doctor.door import Door


def knock(door: Door, said: bytes) -> bytes:
    with socket.create_connection((door.host, door.port), timeout=60) as one:
        one.sendall(said + b"\n")
        return one.recv(16)


def test_the_right_word_and_the_time() -> None:
    with Door("127.0.0.1", "word") as door:
        assert knock(door, json.dumps({"token": "word", "time": time.time() + 100}).encode()) == b"hello"
        skew = door.skew
    assert skew is not None
    assert 40 < skew <= 100
    with pytest.raises(OSError, match="refused"):
        knock(door, b"")


@pytest.mark.parametrize("said", [b"", b"{", b"[]", b'{"token": "other", "time": 1}', b'{"token": "word"}', b"\xff"])
def test_others_hear_nothing_and_harm_nothing(said: bytes) -> None:
    with Door("127.0.0.1", "word") as door:
        assert knock(door, said) == b""
        assert door.skew is None
        assert knock(door, json.dumps({"token": "word", "time": time.time()}).encode()) == b"hello"
