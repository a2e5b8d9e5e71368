"""Tables come back from Parquet exactly, or are left to pickle."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from daskflow.artifacts.forms import tables
from daskflow.artifacts.forms.tables import Parquet

PARQUET = Parquet()
ROWS = 5
DTYPES = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8", "M8[ms]", "M8[us]", "M8[ns]"]
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture(autouse=True)
def _all_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "LARGE", 0)


def load(value: Any) -> Any:
    assert PARQUET.matches(value)
    buffers = PARQUET.dump(value)
    assert buffers is not None
    return PARQUET.load(memoryview(b"".join(buffers)))


def bits(column: Any) -> Any:
    """The very bits of a column of numbers, or its values."""
    values = column.to_numpy()
    return values.tobytes() if values.dtype != object else [None if pd.isna(item) else item for item in values]


def assert_same(one: Any, two: Any) -> None:
    if two.ndim == 1:
        pd.testing.assert_series_equal(one, two, check_freq=True, check_exact=True)
        assert bits(one) == bits(two)
    else:
        pd.testing.assert_frame_equal(one, two, check_freq=True, check_exact=True, check_column_type="exact")
        assert all(bits(one.iloc[:, i]) == bits(two.iloc[:, i]) for i in range(two.shape[1]))
    assert bits(one.index) == bits(two.index)
    assert type(one.index) is type(two.index)
    assert one.index.dtype == two.index.dtype
    assert one.attrs == two.attrs


def columns(rows: int) -> st.SearchStrategy[Any]:
    numbers = st.sampled_from(DTYPES)
    bits_of = numbers.flatmap(
        lambda dtype: (
            hnp.arrays(dtype, rows)
            if dtype == "?"
            else hnp.arrays(f"u{np.dtype(dtype).itemsize}", rows).map(lambda array: array.view(dtype))
        )
    )
    text = st.lists(st.one_of(st.none(), st.text(st.characters(codec="utf-8"))), min_size=rows, max_size=rows)
    zoned = hnp.arrays("i8", rows, elements=st.integers(-(2**60), 2**60)).map(
        lambda array: pd.Series(array.view("M8[ns]")).dt.tz_localize("UTC").dt.tz_convert(BERLIN)
    )
    return st.one_of(bits_of.map(pd.Series), text.map(lambda items: pd.Series(items, dtype="str")), zoned)


ATTRS = st.dictionaries(st.one_of(st.text(), st.integers()), st.one_of(st.text(), st.tuples(st.integers())))
NAMES = st.text("abcxyz é.", min_size=1)


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    names = draw(st.lists(NAMES, max_size=4, unique=True))
    frame = pd.DataFrame({name: draw(columns(ROWS)) for name in names}, index=pd.RangeIndex(ROWS))
    index = draw(st.one_of(st.none(), columns(ROWS)))
    if index is not None:
        frame.index = pd.Index(index, name=draw(st.one_of(st.none(), st.just("the index"))))
    frame.attrs = draw(ATTRS)
    return frame


@settings(deadline=None)
@given(frames())
def test_frames(frame: pd.DataFrame) -> None:
    if PARQUET.matches(frame):
        assert_same(load(frame), frame)


@settings(deadline=None)
@given(columns(ROWS), st.one_of(st.none(), NAMES, st.integers(), st.tuples(st.integers())), ATTRS)
def test_series(series: Any, name: Any, attrs: Any) -> None:
    series.name, series.attrs = name, attrs
    assert_same(load(series), series)


@pytest.mark.parametrize(
    "index",
    [
        pd.RangeIndex(10, 20, 2),
        pd.RangeIndex(ROWS, name="n"),
        pd.Index([5, 4, 3, 2, 1]),
        pd.Index([0.5, np.nan, -0.0, 0.0, np.inf], name="x"),
        pd.Index(["a", "b", "a", "c", ""]),
        pd.DatetimeIndex(["2020-01-01", "2020-01-02", "2021-01-01", None, "1900-01-01"], name="time"),
        pd.DatetimeIndex(["2020-10-25 00:30", "2020-10-25 01:30"] + 3 * ["2020-01-01"], tz="UTC").tz_convert(BERLIN),
    ],
    ids=lambda index: type(index).__name__,
)
def test_indexes(index: pd.Index) -> None:
    frame = pd.DataFrame({"a": np.arange(5.0), "b": list("abcde")}, index=index)
    assert_same(load(frame), frame)
    assert_same(load(frame["a"]), frame["a"])


def test_no_rows() -> None:
    frame = pd.DataFrame({"a": np.empty(0), "b": np.empty(0, "u1")})
    assert_same(load(frame), frame)


FRAME = pd.DataFrame({"a": [1.0, 2.0]})


class Frame(pd.DataFrame):  # type: ignore[misc]
    pass


@pytest.mark.parametrize(
    "value",
    [
        pd.DataFrame({"a": [1, "x"]}),
        pd.DataFrame(np.zeros((2, 2)), columns=["a", "a"]),
        pd.DataFrame(np.zeros((2, 2))),
        pd.DataFrame(np.zeros((2, 2)), columns=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)])),
        pd.DataFrame(np.zeros((2, 1)), columns=pd.Index(["a"], name="columns")),
        pd.DataFrame({"__index_level_0__": [1, 2]}),
        pd.DataFrame({"a": [1, 2]}, index=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)])),
        pd.DataFrame({"a": [1, 2]}, index=pd.date_range("2020", periods=2)),
        pd.DataFrame({"a": [1, 2]}, index=pd.Index([1, 2], name=3)),
        pd.DataFrame({"a": pd.Categorical(["x", "y"], categories=["z", "y", "x"])}),
        pd.DataFrame({"a": pd.array([1, None], dtype="Int64")}),
        pd.DataFrame({"a": np.array([1, 2], "m8[ns]")}),
        pd.DataFrame({"a": np.array([1, 2], "M8[s]")}),
        pd.DataFrame({"a": np.array([1, 2], "f2")}),
        pd.DataFrame({"a": np.array([1, 2], "c16")}),
        pd.DataFrame({"a": pd.DatetimeIndex(["2020", "2021"], tz=timezone(timedelta(hours=1)))}),
        pd.DataFrame({"a": pd.DatetimeIndex(["2020", "2021"], tz=UTC)}),
        pd.DataFrame(index=pd.RangeIndex(3)),
        pd.DataFrame({"a": [pd.Interval(0, 1), pd.Interval(1, 2)]}),
        FRAME.set_flags(allows_duplicate_labels=False),
        Frame({"a": [1, 2]}),
        FRAME.index,
        [FRAME],
        1,
    ],
    ids=range(24),
)
def test_what_parquet_would_change_is_left_alone(value: Any) -> None:
    assert not PARQUET.matches(value)


def test_index_named_like_a_column() -> None:
    assert PARQUET.dump(pd.DataFrame({"a": [1, 2]}, index=pd.Index([3, 4], name="a"))) is None


def test_what_was_loaded_may_be_changed() -> None:
    frame = load(pd.DataFrame({"a": [1.0, 2.0]}))
    frame.iloc[0, 0] = 5
    series = load(pd.Series([1.0, 2.0]))
    series.iloc[0] = 5
    array = load(pd.DataFrame({"a": [1.0, 2.0]}))
    array["a"] += 1
    assert (frame.iloc[0, 0], series.iloc[0], array.iloc[0, 0]) == (5, 5, 2)


def test_equal_frames_have_equal_bytes() -> None:
    def made() -> Any:
        index = pd.Index(np.linspace(0, 1, 100), name="x")
        return PARQUET.dump(pd.DataFrame({"a": np.arange(100), "s": ["é"] * 100}, index=index))

    assert b"".join(made()) == b"".join(made())


def test_small_tables_are_pickled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert not PARQUET.matches(FRAME)
    assert PARQUET.matches(pd.DataFrame({"a": np.zeros(10_000)}))
