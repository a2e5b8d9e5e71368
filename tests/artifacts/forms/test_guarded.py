from __future__ import annotations

import collections
import datetime
import decimal
import fractions
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskflow.artifacts.forms import guarded
from daskflow.artifacts.forms.signing import Signer, signing
from daskflow.errors import SignatureWrong

ATOMS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.complex_numbers(), st.text(), st.binary(),
    st.datetimes(timezones=st.none() | st.just(datetime.UTC)), st.timedeltas(),
    st.floats(width=32).map(np.float32), st.integers(0, 255).map(np.uint8), st.text().map(np.str_),
    st.binary().map(np.bytes_), st.booleans().map(np.bool_),
)  # fmt: skip
PLAIN = st.recursive(
    ATOMS, lambda inner: st.one_of(st.lists(inner), st.tuples(inner), st.dictionaries(st.text(), inner))
)


@given(PLAIN)
def test_plain_data_runs_no_code(value: Any) -> None:
    data = guarded.dumps(value)
    assert data[:1] == b"p"
    again = guarded.loads(data)
    assert repr(again) == repr(value)
    assert pickle.dumps(again) == pickle.dumps(value) or again == value


@given(st.text() | st.binary())
def test_numpys_strings_keep_the_nuls_at_their_end(value: str | bytes) -> None:
    """Its own pickles lose them."""
    again = guarded.loads(guarded.dumps(np.str_(value) if isinstance(value, str) else np.bytes_(value)))
    assert type(again) in (np.str_, np.bytes_)
    assert list(again) == list(value)


@pytest.mark.parametrize(
    "value",
    [
        np.dtype(">f4"),
        np.dtype([("a", "i2"), ("b", "f8", (3,))]),
        np.datetime64("2026-11-21", "ns"),
        np.longdouble("0.1"),
        np.array([("x", 1.5)], [("name", "U3"), ("size", "f8")])[0],
        {1, 2},
        frozenset({"a"}),
        bytearray(b"x"),
        range(3),
        slice(1, None, 2),
        decimal.Decimal("0.1"),
        collections.OrderedDict(b=1, a=2),
    ],
)
def test_more_plain_data(value: Any) -> None:
    data = guarded.dumps({"x": value})
    assert data[:1] == b"p"
    again = guarded.loads(data)["x"]
    assert (type(again), repr(again)) == (type(value), repr(value))
    assert again == value


def test_arrays() -> None:
    for array in (np.arange(6.0).reshape(2, 3).T, np.array(["a", "bcd"]), np.zeros((0, 3), "c8")):
        again = guarded.loads(guarded.dumps([array]))[0]
        assert (again.dtype, again.shape, again.tolist()) == (array.dtype, array.shape, array.tolist())


class Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("value", [fractions.Fraction(1, 3), np.array([None, "x"], object), np.float32, Path("/x")])
def test_other_data_are_signed(value: Any) -> None:
    data = guarded.dumps([value])
    assert data[:1] == b"s"
    assert repr(guarded.loads(data)) == repr([value])
    with pytest.raises(SignatureWrong, match="The attributes of a result"), signing(Signer.of(bytes(32))):
        guarded.loads(data)


def test_what_claims_to_be_plain_and_is_not(tmp_path: Path) -> None:
    for protocol in range(6):
        data = b"p" + pickle.dumps(Trap(tmp_path / "sprung"), protocol)
        with pytest.raises(pickle.UnpicklingError, match="is no plain data"):
            guarded.loads(data)
    assert not (tmp_path / "sprung").exists()


def test_what_does_not_pickle() -> None:
    with pytest.raises(TypeError, match="cannot pickle"):
        guarded.dumps(i for i in range(3))
