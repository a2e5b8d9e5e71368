"""What is peculiar to objects in memory; test_store.py has the contract."""

from __future__ import annotations

from daskflow.artifacts.contents.digests import digest_bytes
from daskflow.artifacts.places.memory import Memory

DIGEST = digest_bytes(b"data")


def test_stores_of_one_name_are_one() -> None:
    Memory("one").write(DIGEST, [b"da", b"ta"])
    assert bytes(Memory("one").read(DIGEST)) == b"data"
    assert Memory("two").size(DIGEST) is None


def test_no_files_and_nothing_to_sweep() -> None:
    assert Memory("one").path(DIGEST) is None  # type: ignore[func-returns-value]
    assert Memory("one").sweep() == 0
