from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from daskflow.artifacts.forms.signing import Signer
from daskflow.errors import SignatureWrong
from daskflow.execution.bucketing.parcel import ROOM, Answer, Parcel, open_answer, open_parcel, seal
from daskflow.model.work import LIMIT

KEY, OTHER = b"k" * 32, b"o" * 32
PARCEL = Parcel("a-run", "fit", "fit-1", b"package", (), b"", "", (), {"d": b"data"}, (), 1000, (), (), {})
ANSWER = Answer("a-run", "fit", (), b"records", {}, {}, {})


class Bomb:
    """Runs code where it is loaded."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


def test_what_is_sealed_opens_with_the_same_key() -> None:
    signer = Signer.of(KEY)
    found, by = open_parcel(seal(PARCEL, signer))
    assert (found, by.id) == (PARCEL, signer.id)
    assert open_answer(seal(ANSWER, signer), signer) == ANSWER


@pytest.mark.parametrize("place", [0, 7, 8, 20, -1])
def test_not_a_byte_may_be_changed(place: int) -> None:
    data = bytearray(seal(PARCEL, Signer.of(KEY)))
    data[place] ^= 1
    with pytest.raises(SignatureWrong):
        open_parcel(bytes(data))


@pytest.mark.parametrize("length", [0, 5, 8, 24, 40])
def test_what_is_cut_short_does_not_open(length: int) -> None:
    with pytest.raises(SignatureWrong):
        open_parcel(seal(PARCEL, Signer.of(KEY))[:length])


def test_nothing_of_a_stranger_is_loaded(tmp_path: Path) -> None:
    signer = Signer.of(KEY)
    bomb = pickle.dumps(Bomb(str(tmp_path / "bombed")))
    for data in (bomb, signer.id.encode() + bomb, signer.id.encode() + bomb + b"s" * 16):
        with pytest.raises(SignatureWrong):
            open_parcel(data)
        with pytest.raises(SignatureWrong):
            open_answer(data, signer)
    assert not (tmp_path / "bombed").exists()


def test_a_key_that_is_not_here_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    stranger = Signer.of(OTHER)
    data = seal(PARCEL, stranger)
    monkeypatch.setattr("daskflow.artifacts.forms.signing._KEYS", {})
    with pytest.raises(SignatureWrong, match=f"{stranger.id} is not on this machine.*signing_key"):
        open_parcel(data)


def test_an_answer_is_no_parcel_and_needs_the_key_of_the_driver() -> None:
    signer = Signer.of(KEY)
    with pytest.raises(SignatureWrong):
        open_parcel(seal(ANSWER, signer))
    with pytest.raises(SignatureWrong):
        open_answer(seal(PARCEL, signer), signer)
    with pytest.raises(SignatureWrong):
        open_answer(seal(ANSWER, Signer.of(OTHER)), signer)


def test_what_has_room_fits_into_a_work_as_text() -> None:
    assert ROOM * 4 / 3 + 1000 < LIMIT
