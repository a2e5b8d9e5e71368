from __future__ import annotations

import mmap
import pickle
from pathlib import Path

import pytest

from daskflow.artifacts.contents.frames import pack
from daskflow.artifacts.forms import signing
from daskflow.artifacts.forms.keys import own_key
from daskflow.artifacts.forms.signing import CURRENT_SIGNER, SIGNATURE, Signer
from daskflow.errors import SettingsInvalid, SignatureWrong

KEY = bytes(range(32))


def test_what_was_signed_is_opened() -> None:
    signer = Signer.of(KEY)
    data = b"ab" + b"c" + signer.sign("pickle", [b"ab", b"c"])
    assert (signer.opened("pickle", data), len(data)) == (b"abc", 3 + SIGNATURE)
    assert bytes(signer.opened("pickle", memoryview(data))) == b"abc"


@pytest.mark.parametrize(("name", "data"), [("other", b"abc"), ("pickle", b"abd"), ("pickle", b"ab"), ("pickle", b"")])
def test_what_was_not_is_refused(name: str, data: bytes) -> None:
    signer = Signer.of(KEY)
    signature = signer.sign("pickle", [b"abc"])
    with pytest.raises(SignatureWrong, match=rf"The result x \(format {name}\) was not written with your signing key"):
        signer.opened(name, data + signature, "The result x")
    with pytest.raises(SignatureWrong):
        Signer.of(KEY[::-1]).opened("pickle", b"abc" + signature)


def test_it_pickles_as_its_id() -> None:
    signer = Signer.of(KEY)
    packed = pickle.dumps(signer)
    assert KEY not in packed
    assert pickle.loads(packed).sign("pickle", [b"x"]) == signer.sign("pickle", [b"x"])


def test_a_process_that_was_not_given_the_key_takes_that_of_its_user(monkeypatch: pytest.MonkeyPatch) -> None:
    own, other = Signer.own(), Signer.of(KEY)
    monkeypatch.setattr(signing, "_KEYS", {})
    assert Signer(own.id).key == own_key()
    with pytest.raises(SignatureWrong, match=f"key {other.id} is not on this machine.*`signing_key`"):
        _ = Signer(other.id).key


def test_a_key_of_another_length() -> None:
    with pytest.raises(SettingsInvalid, match="32 bytes, not 3"):
        Signer.of(b"abc")


def test_a_signer_for_a_block() -> None:
    signer = Signer.of(KEY)
    with signing.signing(signer):
        assert CURRENT_SIGNER.get() is signer
    assert CURRENT_SIGNER.get() is None


@pytest.mark.parametrize("packed", [True, False])
def test_what_was_checked_can_no_longer_be_changed_in_its_file(tmp_path: Path, packed: bool) -> None:
    """Whoever owns the file of an object may write to it at any time."""
    code, array = b"c" * 200_000, b"a" * 2_000_000
    buffers = pack([code, array]) if packed else [code + array]
    signer, path = Signer.of(KEY), tmp_path / "object"
    path.write_bytes(b"".join([*buffers, signer.sign("pickle", buffers)]))
    with open(path, "rb") as file:
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    body = signer.opened("pickle", data)
    with open(path, "r+b") as file:
        file.write(b"x" * len(data))
    assert code in bytes(body[: len(code) + 4096])
    assert packed is (b"x" in bytes(body)), "arrays stay in the file: they run nothing"
