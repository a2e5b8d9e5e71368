from __future__ import annotations

import pathlib
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from daskflow.errors import NoKey
from daskflow.graph.encoding import Encoder
from daskflow.graph.task import code_text

encode = Encoder(code_text, str).encode

TYPES = st.one_of(
    nps.integer_dtypes(),
    nps.floating_dtypes(),
    nps.datetime64_dtypes(),
    nps.boolean_dtypes(),
    nps.unicode_string_dtypes(),
    nps.array_dtypes(),
)
ARRAYS = nps.arrays(TYPES, nps.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))


@given(ARRAYS)
def test_layout_in_memory_does_not_count(value: np.ndarray[Any, Any]) -> None:
    expected = encode(value)
    assert encode(value.copy(order="F")) == expected
    assert encode(np.repeat(value[None], 2, 0)[0, ...]) == expected
    assert encode(value.copy()) == expected


@given(ARRAYS)
def test_shape_and_type_count(value: np.ndarray[Any, Any]) -> None:
    assert encode(value) != encode(value[None])
    assert encode(value) != encode(value.tolist())
    assert encode(value) != encode(value.reshape(-1).astype("V32") if value.dtype.names is None else value[None])


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_different_arrays_have_different_texts() -> None:
    values: list[Any] = [np.zeros(2), np.zeros(2, "f4"), np.zeros(2, ">f8"), np.zeros(3), np.zeros((1, 2)), np.ones(2)]
    values += [np.zeros(()), np.float64(0), 0.0, np.array([0.0, -0.0]), np.array([]), np.array([], int), np.array([[]])]
    values += [np.array(["a"]), np.array(["b"]), np.array(["a"], object), np.array([1], object), np.array([None])]
    values += [np.array([1.0], object), np.array([[1]], object), np.datetime64("2020"), np.datetime64("2020-01-01")]
    values += [
        np.array([(1, 2)], "i4,i4"),
        np.array([(1, 2)], [("a", "i4"), ("b", "i4")]),
        np.bool_(True),
        np.str_("a"),
    ]
    values += [np.array(["a" * 50], np.dtypes.StringDType()), np.array(["b" * 50], np.dtypes.StringDType())]
    values += [np.dtype("f4"), np.dtype("f8"), np.float32, np.matrix([0.0, 0.0]), np.sin, np.cos]
    values += [np.random.default_rng(1), np.random.default_rng(2), np.random.RandomState(1)]
    assert len({encode(value) for value in values}) == len(values)


def test_strings_count_by_their_letters_and_not_by_where_they_lie() -> None:
    letters = ["a" * 50, "b"]
    one, other = (np.array(list(map(str, letters)), np.dtypes.StringDType()) for _ in range(2))
    assert encode(one) == encode(other)


def test_bytes_between_the_fields_do_not_count() -> None:
    layout = np.dtype({"names": ["a", "b"], "formats": ["u1", "f8"], "offsets": [0, 8], "itemsize": 16})
    one, other = np.full(2, 255, "V16").view(layout).copy(), np.zeros(2, layout)
    for name in ("a", "b"):
        one[name] = other[name] = 1
    assert encode(one) == encode(other)
    assert encode(one[0]) == encode(other[0])


def test_objects_in_arrays_count_as_they_do_elsewhere(tmp_path: pathlib.Path) -> None:
    assert encode(np.array([{"a": 1, "b": 2}, None])) == encode(np.array([{"b": 2, "a": 1}, None]))
    with pytest.raises(NoKey, match="object"):
        encode(np.array([object()]))
    fields = np.array([(1, "a")], [("n", "i4"), ("o", object)])
    other = np.array([(1, "b")], [("n", "i4"), ("o", object)])
    assert encode(fields) != encode(other)


def test_the_state_of_a_generator_counts() -> None:
    generator = np.random.default_rng(1)
    before = encode(generator)
    generator.random()
    assert encode(generator) != before


def test_what_a_mask_hides_does_not_count() -> None:
    one, other = (np.ma.masked_array([1, hidden, 3], [False, True, False]) for hidden in (2, 9))
    assert encode(one) == encode(other)
    assert encode(one) != encode(np.ma.masked_array([1, 2, 3], [False] * 3)) != encode(np.array([1, 2, 3]))


def test_units_count() -> None:
    units = pytest.importorskip("astropy.units")
    values = [np.ones(2) * units.m, np.ones(2) * units.s, np.ones(2), 1 * units.m, 1 * units.m / units.s]
    assert len({encode(value) for value in values}) == len(values)


class Tagged(np.ndarray[Any, Any]):
    tag = ""


def test_subclasses_count_by_all_they_hold() -> None:
    one, other = np.zeros(2).view(Tagged), np.zeros(2).view(Tagged)
    other.tag = "other"
    texts = [encode(one), encode(other), encode(np.ones(2).view(Tagged)), encode(np.zeros(2))]
    assert len(set(texts)) == 4
    assert encode(one) == encode(np.zeros(2).view(Tagged))


def test_mapped_files_count_by_content(tmp_path: pathlib.Path) -> None:
    for name in ("a", "b"):
        np.save(tmp_path / f"{name}.npy", np.arange(3))
    one, other = (np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in ("a", "b"))
    assert encode(one) == encode(other) == encode(np.arange(3))


def dataset(**changes: Any) -> xr.Dataset:
    given = {"values": [1.0, 2.0], "labels": ["a", "b"], "attrs": {"unit": "m"}, "own": {"k": 1}, **changes}
    return xr.Dataset({"v": ("x", given["values"], given["own"])}, {"x": given["labels"]}, given["attrs"])


def test_datasets_count_by_variables_coordinates_and_attributes() -> None:
    texts = [
        encode(made)
        for made in (
            dataset(),
            dataset(values=[1.0, 3.0]),
            dataset(labels=["a", "c"]),
            dataset(attrs={"unit": "s"}),
            dataset(own={"k": 2}),
            dataset().rename(v="w"),
            dataset().rename(x="y"),
            dataset().drop_vars("x"),
            dataset().expand_dims("time"),
            dataset()["v"],
            dataset()["v"].rename("w"),
            dataset()["v"].drop_vars("x"),
            dataset()["v"].variable,
            dataset().chunk(x=1),
            dataset(values=[1.0, 3.0]).chunk(x=1),
        )
    ]
    assert len(set(texts)) == len(texts)
    assert encode(dataset()) == encode(dataset())
    assert encode(dataset().chunk(x=1)) == encode(dataset().chunk(x=1))


def test_lazy_data_that_is_in_memory_counts_by_content() -> None:
    stacked = dataset().expand_dims(t=[1, 2]).stack(z=("t", "x"))
    assert encode(stacked) == encode(dataset().expand_dims(t=[1, 2]).stack(z=("t", "x")))
    assert encode(xr.DataArray(da.ones(4, chunks=2))) == encode(xr.DataArray(da.ones(4, chunks=2)))
    assert encode(xr.DataArray(da.ones(4, chunks=2))) != encode(xr.DataArray(da.zeros(4, chunks=2)))


def test_trees_of_datasets() -> None:
    one = xr.DataTree.from_dict({"/a": dataset()})
    assert encode(one) == encode(xr.DataTree.from_dict({"/a": dataset()}))
    assert encode(one) != encode(xr.DataTree.from_dict({"/b": dataset()}))
    assert encode(one) != encode(xr.DataTree.from_dict({"/a": dataset(attrs={})}))
