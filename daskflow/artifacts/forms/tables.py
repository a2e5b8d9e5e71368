"""pandas frames and series as Parquet, through pyarrow.

Parquet is meant for large tables that other programs read too. Only what it brings back exactly goes there;
small tables, and those with objects, categories, MultiIndex, frequencies or extension types, are pickled,
which is exact, and ten times as fast for small ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from daskflow.artifacts.contents.frames import Buffer
from daskflow.artifacts.forms import guarded

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

LARGE = 8192
"""From this number of cells on, 64 kB of numbers, a table is written as Parquet."""

_KEY = b"daskflow"
_UNITS = ("ms", "us", "ns")
"""Parquet has no timestamps in seconds, and brings timedeltas back as another type."""
_SERIES = "value"


class Parquet:
    """Large frames and series of numbers, truth values, strings and timestamps, with index and attributes."""

    name = "parquet"

    def matches(self, value: Any) -> bool:
        """Whether it is just a frame or series, large, and of columns that Parquet keeps."""
        kind = type(value)
        if kind.__module__.partition(".")[0] != "pandas" or kind.__name__ not in ("DataFrame", "Series"):
            return False
        return value.size >= LARGE and _kept(value)

    def dump(self, value: Any) -> list[Buffer] | None:
        """The buffers of the table; None where it turns out not to be kept."""
        import pyarrow as pa
        from pyarrow import parquet

        try:
            table = _table(value)
        except (pa.ArrowException, UnicodeEncodeError):  # such as a string with half a surrogate pair
            return None
        if table is None:
            return None
        sink = pa.BufferOutputStream()
        # A dictionary would take -0.0 for 0.0. LZ4 costs no time, and tables are half air.
        parquet.write_table(table, sink, compression="lz4", use_dictionary=False, write_statistics=False)
        return [memoryview(sink.getvalue())]

    def load(self, data: memoryview) -> Any:
        """The frame or series."""
        import pyarrow as pa
        from pyarrow import parquet

        return _pandas(parquet.ParquetFile(pa.BufferReader(pa.py_buffer(data))).read())


def _kept(value: Any) -> bool:
    frame_like = value.ndim > 1
    dtypes = list(value.dtypes) if frame_like else [value.dtype]
    if frame_like and not _names_kept(value.columns):
        return False
    return value.flags.allows_duplicate_labels and _index_kept(value.index) and all(map(_dtype_kept, dtypes))


def _names_kept(columns: pd.Index) -> bool:
    plain = all(type(name) is str and not name.startswith("__index_level_") for name in columns)
    return plain and len(columns) > 0 and columns.is_unique and columns.nlevels == 1 and columns.name is None


def _index_kept(index: pd.Index) -> bool:
    if index.nlevels > 1 or not (index.name is None or type(index.name) is str):
        return False
    return getattr(index, "freq", None) is None and _dtype_kept(index.dtype)


def _dtype_kept(dtype: Any) -> bool:
    import numpy as np
    import pandas as pd

    if isinstance(dtype, pd.DatetimeTZDtype):
        # `datetime.timezone.utc` would come back as `ZoneInfo("UTC")`.
        return dtype.unit in _UNITS and isinstance(dtype.tz, ZoneInfo)
    if isinstance(dtype, pd.StringDtype):
        return True
    if not isinstance(dtype, np.dtype) or not dtype.isnative:
        return False
    return dtype.str[1:] in {"f4", "f8"} or dtype.kind in "biu" or dtype.str[1:] in {f"M8[{u}]" for u in _UNITS}


def _table(value: Any) -> pa.Table | None:
    """The Arrow table of a frame or series, or None where pandas and Arrow do not agree about its types."""
    import pyarrow as pa

    frame = value.copy(deep=False) if value.ndim > 1 else value.to_frame(_SERIES)
    frame.attrs = {}
    if frame.index.name in frame.columns or not _agreed(frame.iloc[:0]):
        return None
    table = pa.Table.from_pandas(frame)
    extra = {"series": value.ndim == 1, "name": getattr(value, "name", None), "attrs": value.attrs}
    table = _with_nans(table, frame)
    return table.replace_schema_metadata({**table.schema.metadata, _KEY: guarded.dumps(extra)})


def _with_nans(table: pa.Table, frame: pd.DataFrame) -> pa.Table:
    """Arrow takes NaN from pandas for a missing value; here each keeps its very bits."""
    import pyarrow as pa

    columns = [frame.iloc[:, i] for i in range(frame.shape[1])]
    if table.num_columns > len(columns):
        columns.append(frame.index)
    for i, column in enumerate(columns):
        if getattr(column.dtype, "kind", "") == "f":
            table = table.set_column(i, table.schema.field(i), pa.array(column.to_numpy()))
    return table


def _agreed(empty: pd.DataFrame) -> bool:
    """Whether a frame without rows comes back with the same types: what versions disagree on shows here."""
    import pyarrow as pa

    again = pa.Table.from_pandas(empty).to_pandas()
    return (
        list(again.dtypes) == list(empty.dtypes)
        and again.columns.dtype == empty.columns.dtype
        and type(again.index) is type(empty.index)
        and again.index.dtype == empty.index.dtype
        and _zones(again) == _zones(empty)
    )


def _zones(frame: pd.DataFrame) -> list[type]:
    return [type(getattr(dtype, "tz", None)) for dtype in (*frame.dtypes, frame.index.dtype)]


def _pandas(table: pa.Table) -> Any:
    extra = guarded.loads(table.schema.metadata[_KEY])
    frame = table.to_pandas()
    # A table of one column without gaps is not copied by Arrow, and its memory is not to be written.
    value = frame[_SERIES].rename(extra["name"]) if extra["series"] else frame
    value.attrs = extra["attrs"]
    return value
