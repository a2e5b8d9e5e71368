"""xarray objects in memory as netCDF-4 (HDF5), through h5netcdf."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from daskflow.artifacts.forms.skeletons import is_lazy, is_xarray, put_together, take_apart

LARGE = 1 << 16
"""From this size [bytes] on a dataset is written as netCDF: a small one pickles in 1/100 of the 25 ms."""
LAZY = 256 << 20
"""From this size [bytes] on a file is opened and read when asked, not loaded."""


class NetCDF:
    """Datasets and DataArrays in memory, large enough to be worth a file that other tools read."""

    name = "netcdf"

    def matches(self, value: Any) -> bool:
        """Whether it is just a Dataset or DataArray, large, and without dask."""
        return is_xarray(value) and value.nbytes >= LARGE and not is_lazy(value)

    def dump_file(self, value: Any, path: Path) -> bool:
        """Write the file; False where netCDF would not bring the value back exactly."""
        plain = take_apart(value)
        if plain is None:
            return False
        plain.to_netcdf(path, engine="h5netcdf", format="NETCDF4")
        return True

    def load_file(self, path: Path) -> Any:
        """The value, in memory; a file over `LAZY` stays open and is read when its data are asked for."""
        if path.stat().st_size > LAZY:
            return _opened(path)
        return _loaded(path)

    def load(self, data: memoryview) -> Any:
        """The value, in memory."""
        return _loaded(io.BytesIO(data))


def _loaded(source: Path | io.BytesIO) -> Any:
    with _plain(source) as plain:
        return put_together(plain.load())


def _opened(path: Path) -> Any:
    plain = _plain(path)
    value = put_together(plain)
    value.set_close(plain.close)
    return value


def _plain(source: Path | io.BytesIO) -> Any:
    import xarray as xr

    return xr.open_dataset(source, engine="h5netcdf", decode_cf=False, create_default_indexes=False)
