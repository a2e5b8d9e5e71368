from __future__ import annotations

import hashlib

import pytest
from blake3 import blake3

from daskflow.artifacts.contents.checksums import Sums, normal_checksum
from daskflow.artifacts.contents.digests import digest_bytes
from daskflow.errors import ArgumentsInvalid


@pytest.mark.parametrize("name", ["md5", "sha1", "sha256", "sha512", "blake3"])
def test_sums_of_what_passes_by(name: str) -> None:
    made = blake3(b"one two") if name == "blake3" else hashlib.new(name, b"one two")
    wanted = normal_checksum(f"{name}:{made.hexdigest()}")
    sums = Sums(wanted)
    for part in (b"one", b" ", b"two"):
        sums.update(part)
    assert (sums.checksum, sums.digest, sums.size) == (wanted, digest_bytes(b"one two"), 7)


def test_without_a_wish_there_is_no_checksum() -> None:
    sums = Sums("")
    sums.update(b"one")
    assert (sums.checksum, sums.digest) == ("", digest_bytes(b"one"))


@pytest.mark.parametrize("text", ["", "sha256", "sha256:12", "crc:1234", "md5:" + 32 * "g", "blake3:" + 32 * "0"])
def test_what_is_no_checksum(text: str) -> None:
    with pytest.raises(ArgumentsInvalid, match=r"not readable.*known are md5"):
        normal_checksum(text)
