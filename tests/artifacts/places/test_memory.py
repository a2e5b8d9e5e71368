"""What is peculiar to objects in memory; tests/contracts has what all places do."""

from __future__ import annotations

from daskflow.artifacts.contents.digests import digest_bytes
from daskflow.artifacts.places.memory import Memory

DIGEST = digest_bytes(b"data")


def test_stores_of_one_name_are_one() -> None:
    Memory("one").write(DIGEST, [b"da", b"ta"])
    assert bytes(Memory("one").read(DIGEST)) == b"data"
    assert Memory("two").size(DIGEST) is None


def test_what_is_given_may_be_used_again() -> None:
    data = bytearray(b"data")
    Memory("again").write(DIGEST, [data])
    data[:] = b"gone"
    assert bytes(Memory("again").read(DIGEST)) == b"data"
