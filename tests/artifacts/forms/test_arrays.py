"""Arrays come back from npy bit for bit."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from daskflow.artifacts.forms.arrays import Npy

NPY = Npy()
DTYPES = st.one_of(
    hnp.scalar_dtypes(),
    hnp.byte_string_dtypes(),
    hnp.unicode_string_dtypes(),
    hnp.array_dtypes(allow_subarrays=True),
    hnp.nested_dtypes(),
)
ARRAYS = hnp.arrays(DTYPES, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))


def dumped(array: Any) -> bytes:
    buffers = NPY.dump(array)
    assert all(memoryview(buffer).ndim == 1 for buffer in buffers)
    return b"".join(buffers)


def assert_same(one: Any, two: Any) -> None:
    assert type(one) is type(two) is np.ndarray
    assert (one.dtype, one.shape) == (two.dtype, two.shape)
    assert one.tobytes() == two.tobytes()


@given(ARRAYS)
def test_round_trip(array: Any) -> None:
    assume(NPY.matches(array))
    data = dumped(array)
    for source in (memoryview(data), memoryview(bytearray(data))):
        again = NPY.load(source)
        assert_same(again, array)
        assert again.flags.writeable


@given(hnp.arrays(hnp.scalar_dtypes(), 3))
def test_every_plain_dtype_is_kept(array: Any) -> None:
    assert NPY.matches(array)


@given(ARRAYS)
def test_numpy_reads_the_same(array: Any) -> None:
    assume(NPY.matches(array))
    assert_same(np.load(io.BytesIO(dumped(array)), allow_pickle=False), array)


@pytest.mark.parametrize("order", ["C", "F"])
def test_order_is_kept(order: Any) -> None:
    array = np.asarray(np.arange(24.0).reshape(2, 3, 4), order=order)
    again = NPY.load(memoryview(dumped(array)))
    assert_same(again, array)
    assert again.flags.c_contiguous == array.flags.c_contiguous
    assert again.strides == array.strides


def test_views_with_gaps() -> None:
    array = np.arange(100).reshape(10, 10)
    for view in (array[::2], array[:, ::-3], array.T[1:7, ::2], np.broadcast_to(np.int8(3), (4, 5))):
        assert_same(NPY.load(memoryview(dumped(view))), view)


def test_payloads_of_nan() -> None:
    bits = np.array([0x7FF8000000000001, 0xFFF8000000000000, 0x7FF0000000000001, 1 << 63], "u8")
    array = bits.view("f8")
    assert (NPY.load(memoryview(dumped(array))).view("u8") == bits).all()


@pytest.mark.parametrize("kind", ["M8", "m8"])
@pytest.mark.parametrize("unit", ["Y", "D", "s", "ms", "us", "ns", "as", "25s"])
def test_times(kind: str, unit: str) -> None:
    array = np.array([0, 1, -(2**63), 2**62], "i8").view(f"{kind}[{unit}]")
    assert_same(NPY.load(memoryview(dumped(array))), array)


def test_header_of_more_than_64_kilobytes() -> None:
    array = np.zeros(3, [(f"field_{i}", "f8") for i in range(5000)])
    assert_same(NPY.load(memoryview(dumped(array))), array)


@pytest.mark.parametrize(
    "value",
    [
        np.array([None, 1]),
        np.zeros(2, [("a", object)]),
        np.zeros(2, [("a", "i1"), ("b", "f8")]).astype(np.dtype([("a", "i1"), ("b", "f8")], align=True)),
        np.zeros(2, np.dtype("f8", metadata={"unit": "Jy"})),
        np.zeros(2, [(("a title", "a"), "f8")]),
        np.zeros(2, [("Ā", "f8")]),
        np.ma.zeros(3),
        np.zeros(3).view(np.recarray),
        np.array(["a"], np.dtypes.StringDType()),
        np.float64(1.0),
        1.0,
        [1.0],
    ],
    ids=repr,
)
def test_what_npy_would_change_is_left_alone(value: object) -> None:
    assert not NPY.matches(value)


def test_header_that_asks_for_objects() -> None:
    head = dumped(np.zeros(1)).replace(b"'<f8'", b"'|O' ")
    with pytest.raises(ValueError, match="object"):
        NPY.load(memoryview(head))


def test_equal_arrays_have_equal_bytes() -> None:
    assert dumped(np.arange(10.0)) == dumped(np.arange(20.0)[:10].copy())


def test_large_arrays_are_not_copied() -> None:
    array = np.zeros(1000)
    assert np.shares_memory(np.frombuffer(NPY.dump(array)[1], "u1"), array)
    data = memoryview(bytearray(dumped(array)))
    assert np.shares_memory(np.frombuffer(data, "u1"), NPY.load(data))
