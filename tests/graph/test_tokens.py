from __future__ import annotations

import io
import pathlib
from typing import Any

import dask
import dask.array as da
import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from dask.delayed import delayed

from daskflow.errors import NoKey
from daskflow.graph.encoding import Encoder
from daskflow.graph.task import code_text
from tests.graph.projects import Project

encode = Encoder(code_text, str).encode


def test_tables() -> None:
    values = [pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": [1, 3]}), pd.DataFrame({"b": [1, 2]}), pd.Series([1, 2])]
    values += [pd.DataFrame({"a": [1, 2]}, index=["x", "y"]), pd.Series([1, 2], name="n"), pd.Index([1, 2])]
    values += [pd.DataFrame({"a": ["x", "y"]}), pd.DataFrame({"a": [1.0, 2.0]}), pd.Timestamp("2020-01-01")]
    values += [pd.Timestamp("2020-01-01", tz="UTC"), pd.Timedelta(1), pd.Categorical(["a"]), pd.NaT]
    assert len({encode(value) for value in values}) == len(values)
    assert encode(pd.DataFrame({"a": ["x", "y"]})) == encode(pd.DataFrame({"a": ["x", "y"]}))


def test_what_tables_have_beside_their_data_counts() -> None:
    table, days = pd.DataFrame({"a": [1, 2]}), pd.date_range("2020-01-01", periods=2)
    noted, again = table.copy(), table.copy()
    noted.attrs["unit"] = "Jy"
    again.attrs["unit"] = "Jy"
    assert encode(noted) == encode(again) != encode(table)
    loose = pd.DatetimeIndex(list(days))
    assert encode(days) != encode(loose)
    assert encode(pd.Series([1, 2], index=days)) != encode(pd.Series([1, 2], index=loose))


def test_arrays_of_dask_count_by_their_graph() -> None:
    values = [da.ones(4, chunks=2), da.ones(4, chunks=4), da.zeros(4, chunks=2), da.ones(4, chunks=2) + 1]
    values += [da.from_array(np.arange(4)), da.from_array(np.arange(4) + 1)]
    assert len({encode(value) for value in values}) == len(values)
    assert encode(da.from_array(np.arange(4))) == encode(da.from_array(np.arange(4)))


def test_delayed_objects_count_where_they_are_pure() -> None:
    assert encode(delayed(sum, pure=True)([1])) == encode(delayed(sum, pure=True)([1]))
    assert encode(delayed(sum, pure=True)([1])) != encode(delayed(sum, pure=True)([2]))
    for value in (
        delayed(sum)([1]),
        delayed(max, pure=True)(delayed(sum)([1]), 2),
        da.from_delayed(delayed(sum)([1]), (), float),
        da.from_array(np.arange(4), name=False),
    ):
        with pytest.raises(NoKey, match=r"random name.*pure=True"):
            encode(value)


def test_the_users_code_inside_a_graph_counts(tmp_path: pathlib.Path) -> None:
    project = Project(tmp_path)
    texts = []
    for sign in "+-+":
        project.write({"helpers.py": f"def deep(x):\n    return x {sign} 1\ndef clean(x):\n    return deep(x)\n"})
        clean = project.load("helpers").clean
        texts.append(
            (
                encode(da.ones(4, chunks=2).map_blocks(clean, dtype=float, name="fixed")),
                encode(dask.delayed(clean, pure=True)(1, dask_key_name="fixed")),
                encode(np.vectorize(clean)),
            )
        )
    project.forget()
    for first, second, third in zip(*texts, strict=True):
        assert first != second
        assert first == third


def test_the_users_objects_inside_those_of_libraries_count(tmp_path: pathlib.Path) -> None:
    project = Project(tmp_path)
    texts = []
    for value in ("1", "2"):
        project.write({"helpers.py": f"class C:\n    def m(self):\n        return {value}\n"})
        texts.append(encode(pd.Series([project.load("helpers").C()], dtype=object)))
    project.forget()
    assert texts[0] != texts[1]


def test_a_graph_is_looked_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    array = da.ones((100, 100), chunks=1)
    first = encode(array)

    def again(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr("daskflow.graph.tokens._pickled", again)
    assert encode(array) == first


def test_handles_have_no_key(tmp_path: pathlib.Path) -> None:
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["a"] = [1, 2]
        for value in (file, file["a"]):
            with pytest.raises(NoKey, match="Pass the path of the file"):
                encode(value)
    with pytest.raises(NoKey, match="Pass the path of the file"):
        encode(zarr.create_array(store=str(tmp_path / "data.zarr"), shape=2, dtype="f4"))
    with open(__file__) as text, pytest.raises(NoKey, match="Pass the path of the file"):
        encode(text)


def test_files_in_memory_count_by_content() -> None:
    assert encode(io.BytesIO(b"a")) == encode(io.BytesIO(b"a")) != encode(io.BytesIO(b"b"))
