"""xarray objects taken apart: plain variables that any netCDF or Zarr tool reads, and an exact skeleton.

netCDF and Zarr know neither Python's types of attributes nor xarray's encodings, and xarray applies
encodings when it writes (packing floats into integers, say), so what comes back is not what was given. Here
the variables are written as they are, with attributes in a readable copy, and one attribute more holds the
skeleton: which variables there are and in which order, their dimensions, dtypes, true attributes and
encodings.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from daskflow.artifacts.forms import guarded

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

Skeleton: TypeAlias = dict[str, Any]

ATTRIBUTE = "_daskflow"
"""Name of the attribute of the file that holds the skeleton."""

_LIMIT = 60_000
"""HDF5 holds attributes up to 64 kB."""
_UNITS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_SURROGATES = (0xD800, 0xDFFF)
_EPOCH = "1970-01-01"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.@+-]*", re.ASCII)
_UNNAMED = "__xarray_dataarray_variable__"
"""xarray's own name for the data of an array without a name."""
_TAKEN = frozenset(
    {
        "_FillValue",
        "add_offset",
        "ancillary_variables",
        "bounds",
        "calendar",
        "CLASS",
        "coordinates",
        "DIMENSION_LIST",
        "dtype",
        "grid_mapping",
        "missing_value",
        "NAME",
        "REFERENCE_LIST",
        "scale_factor",
        "_ARRAY_DIMENSIONS",
        "_Netcdf4Coordinates",
        "_Netcdf4Dimid",
        "_nc3_strict",
        "_NCProperties",
        "_Unsigned",
    }
)
"""Attributes that mean something to xarray, netCDF or HDF5."""


def is_xarray(value: Any) -> bool:
    """Whether it is just a Dataset or DataArray; imports nothing."""
    kind = type(value)
    return kind.__module__.startswith("xarray.core.") and kind.__name__ in ("Dataset", "DataArray")


def is_lazy(value: Any) -> bool:
    """Whether dask holds any part of it."""
    return any(variable.chunks is not None for variable in variables_of(value).values())


def take_apart(value: Any) -> xr.Dataset | None:
    """The plain dataset that stands for a Dataset or DataArray; None where this would not be exact.

    Not exact are: names that are no simple strings, indexes other than the usual one of each dimension,
    arrays other than NumPy's and dask's, dtypes other than numbers, truth values, times and strings, and
    skeletons too large for an attribute.
    """
    import xarray as xr

    variables = variables_of(value)
    if not _structure_kept(value, variables) or not all(map(_data_kept, variables.values())):
        return None
    skeleton = _packed(_skeleton(value, variables))
    if skeleton is None:
        return None
    coords = {name: _plain(variables[name]) for name in variables if name in value.coords}
    data = {name: _plain(variables[name]) for name in variables if name not in value.coords}
    attrs = {**(_readable(value.attrs) if hasattr(value, "data_vars") else {}), ATTRIBUTE: skeleton}
    return xr.Dataset(data, xr.Coordinates(coords, indexes={}), attrs)


def put_together(plain: xr.Dataset) -> Any:
    """The Dataset or DataArray that `plain` stands for; what `plain` holds lazily stays lazy where it can."""
    import xarray as xr

    skeleton = guarded.loads(base64.b64decode(plain.attrs[ATTRIBUTE]))
    variables = {name: _restored(plain[name].variable, *told) for name, told in skeleton["variables"].items()}
    coords = {name: variables.pop(name) for name in list(variables) if name in skeleton["coords"]}
    if "main" in skeleton:
        main = variables[skeleton["main"]]
        array = xr.DataArray(main, coords, name=skeleton["name"])
        array.encoding = main.encoding
        return array
    dataset = xr.Dataset(variables, coords, skeleton["attrs"])
    dataset.encoding = skeleton["encoding"]
    return dataset


def variables_of(value: Any) -> dict[Hashable, xr.Variable]:
    """The variables of a Dataset or DataArray, by name; the data of an array are one of them."""
    if hasattr(value, "data_vars"):
        return dict(value.variables)
    return {_main(value): value.variable, **{name: coord.variable for name, coord in value.coords.items()}}


def _main(array: xr.DataArray) -> str:
    usable = type(array.name) is str and _NAME.fullmatch(array.name)
    return str(array.name) if usable and array.name not in (*array.coords, *array.dims) else _UNNAMED


def _structure_kept(value: Any, variables: Mapping[Hashable, xr.Variable]) -> bool:
    from xarray.indexes import PandasIndex

    names = [*variables, *value.dims]
    if not all(type(name) is str and _NAME.fullmatch(name) for name in names):
        return False
    if any(name in value.dims and variables[name].dims != (name,) for name in variables):
        return False
    along = {name for name in variables if name in value.dims}
    indexes = value.xindexes
    return set(indexes) == along and all(type(index) is PandasIndex for index in indexes.values())


def _data_kept(variable: xr.Variable) -> bool:
    data = variable._data if variable.chunks is not None else variable.data
    kind = type(data)
    known = (kind.__module__, kind.__name__) in {("numpy", "ndarray"), ("dask.array.core", "Array")}
    return known and _dtype_kept(variable.dtype) and (variable.dtype.kind != "U" or _text_kept(data))


def _dtype_kept(dtype: np.dtype[Any]) -> bool:
    if dtype.metadata is not None or not dtype.itemsize:
        return False
    if dtype.kind in "Mm":
        return dtype.isnative and dtype.str[4:-1] in _UNITS
    return dtype.kind in "biuU" or dtype.str[1:] in {"f4", "f8", "c8", "c16"}


def _text_kept(data: Any) -> bool:
    """Whether strings survive as UTF-8 with a NUL at the end: no NUL within, no half of a surrogate pair."""
    import numpy as np

    if type(data) is not np.ndarray:
        return False
    flat = np.ascontiguousarray(data).reshape(-1)
    codes: Any = flat.view(f"{data.dtype.byteorder}u4").reshape(-1, data.dtype.itemsize // 4)
    within = (codes[:, :-1] == 0) & (codes[:, 1:] != 0)
    halves = (codes >= _SURROGATES[0]) & (codes <= _SURROGATES[1])
    return not (within.any() or halves.any())


def _skeleton(value: Any, variables: Mapping[Hashable, xr.Variable]) -> Skeleton:
    told = {
        name: (variable.dims, variable.dtype.str, variable.attrs, variable.encoding)
        for name, variable in variables.items()
    }
    skeleton: Skeleton = {"variables": told, "coords": list(value.coords)}
    if hasattr(value, "data_vars"):
        return {**skeleton, "attrs": value.attrs, "encoding": value.encoding}
    return {**skeleton, "main": _main(value), "name": value.name}


def _packed(skeleton: Skeleton) -> str | None:
    try:
        packed = base64.b64encode(guarded.dumps(skeleton)).decode()
    except Exception:  # an attribute that does not pickle; the next format tells the user
        return None
    return packed if len(packed) <= _LIMIT else None


def _plain(variable: xr.Variable) -> xr.Variable:
    """The variable as a netCDF tool understands it: times as integers with units, truth values as bytes."""
    import numpy as np
    import xarray as xr

    data, attrs, kind = variable.data, _readable(variable.attrs), variable.dtype.kind
    encoding: dict[str, Any] = {"_FillValue": None}
    if kind in "Mm":
        unit = _UNITS[variable.dtype.str[4:-1]]
        attrs["units"] = f"{unit} since {_EPOCH}" if kind == "M" else unit
        data, encoding = data.view("i8"), {"_FillValue": np.iinfo("i8").min}
    elif kind == "b":
        attrs["dtype"] = "bool"
        data = data.view("i1")
    return xr.Variable(variable.dims, data, attrs, encoding)


def _restored(
    plain: xr.Variable, dims: tuple[str, ...], dtype: str, attrs: dict[Any, Any], encoding: dict[Any, Any]
) -> xr.Variable:
    import numpy as np
    import xarray as xr

    wanted = np.dtype(dtype)
    if wanted.kind in "Mmb":
        view = xr.Variable(plain.dims, plain.data.view(wanted))
    elif plain.dtype != wanted:
        # First in the order of this machine: NumPy casts its variable strings to swapped bytes without swapping.
        view = xr.Variable(plain.dims, plain.data.astype(wanted.newbyteorder("=")).astype(wanted))
    else:
        view = plain.copy(deep=False)
    view.attrs, view.encoding = attrs, encoding
    return view.transpose(*dims)


def _readable(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    """The attributes that every tool can hold; the skeleton has all of them as they were."""
    readable = {str(name): _value(value) for name, value in attrs.items() if _allowed(name)}
    return {name: value for name, value in readable.items() if value is not None}


def _allowed(name: Any) -> bool:
    return type(name) is str and name not in _TAKEN and name != ATTRIBUTE and bool(_NAME.fullmatch(name))


def _value(value: Any) -> Any:
    if type(value) is bool:
        return int(value)
    if type(value) is int:
        return value if abs(value) < 1 << 63 else None
    if type(value) is float:
        return value if math.isfinite(value) else str(value)
    if type(value) is str:
        return value if value and value.isprintable() else None
    if type(value) in (list, tuple) and value and all(type(item) in (int, float) for item in value):
        return [_value(float(item)) for item in value]
    return None
