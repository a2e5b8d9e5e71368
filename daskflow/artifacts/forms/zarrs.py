"""xarray objects that dask holds as Zarr: how they are written anywhere, and small ones as one zip file."""

from __future__ import annotations

import io
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

from daskflow.artifacts.forms.skeletons import is_lazy, is_xarray, put_together, take_apart, variables_of

_IN_MEMORY = "_daskflow_in_memory"
"""Attribute that names the variables that dask did not hold."""
_HERE: dict[str, Any] = {"scheduler": "synchronous"}
"""In this thread; handed to each call, for `dask.config` is shared with the other threads of a worker."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The oldest date a zip file knows; a true one would make equal results unequal."""


class Zarr:
    """Datasets and DataArrays of which dask holds a part, in one uncompressed zip file.

    Notes
    -----
    For those that are too small for a `ZarrTree`, and for all where there is no store.
    The chunks are computed one after the other in the thread that calls, because a job has no more cores than
    it asked for and memory for one chunk is all one can count on. For a moment the data are on disk twice: as
    Zarr's directory, whose chunks may come in any order, and as the zip file, whose order is fixed.
    """

    name = "zarr"

    def matches(self, value: Any) -> bool:
        """Whether it is just a Dataset or DataArray, with dask."""
        return is_xarray(value) and is_lazy(value)

    def dump_file(self, value: Any, path: Path) -> bool:
        """Compute and write; False where Zarr would not bring the value back exactly."""
        plain = take_apart(with_text(value))
        if plain is None:
            return False
        directory = path.with_name(f"{path.name}.zarr")
        try:
            write_zarr(plain, directory)
            _zip(directory, path)
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        return True

    def load_file(self, path: Path) -> Any:
        """The value, held by dask, in the chunks of the file."""
        from zarr.storage import ZipStore

        return open_zarr(ZipStore(path, mode="r"))

    def load(self, data: memoryview) -> Any:
        """The value, held by dask, its chunks in memory."""
        from zarr.core.buffer.cpu import Buffer
        from zarr.storage import MemoryStore

        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            chunks: dict[str, Any] = {name: Buffer.from_bytes(archive.read(name)) for name in archive.namelist()}
        return open_zarr(MemoryStore(chunks))


def with_text(value: Any) -> Any:
    """The same with strings in memory: whether they can be kept shows only when they are seen."""
    # The copy shares the data, but has variables of its own; `assign` would change their order.
    value = value.copy(deep=False)
    for variable in variables_of(value).values():
        if variable.dtype.kind == "U" and variable.chunks is not None:
            variable.load(**_HERE)
    return value


def write_zarr(plain: Any, target: Any, cores: int = 1) -> None:
    """Compute a plain dataset and write it, chunk by chunk, at most `cores` of them at a time.

    Parameters
    ----------
    target
        A Zarr store, or the path of a new directory.
    """
    plain.attrs[_IN_MEMORY] = [name for name, variable in plain.variables.items() if variable.chunks is None]
    regular = _regular(plain.map(_vlen).assign_coords({name: _vlen(plain[name]) for name in plain.coords}))
    encoding = {name: {"compressors": None} for name in regular.variables}
    # Zarr leaves out chunks that equal the fill value, and would take -0.0 for 0.0.
    options = {"zarr_format": 3, "consolidated": False, "write_empty_chunks": True, "compute": False}
    regular.to_zarr(target, encoding=encoding, **options).compute(**_by(cores))


def _by(cores: int) -> dict[str, Any]:
    return _HERE if cores == 1 else {"scheduler": "threads", "num_workers": cores}


def _vlen(array: Any) -> Any:
    """Strings as Zarr 3 specifies them: of variable length."""
    import numpy as np

    if array.dtype.kind != "U":
        return array
    # NumPy takes swapped bytes for wrong letters.
    return array.astype(array.dtype.newbyteorder("=")).astype(np.dtypes.StringDType())


def _regular(plain: Any) -> Any:
    """The same with chunks of one size along each dimension, as Zarr has them."""
    sizes: dict[Any, int] = {}
    for variable in plain.variables.values():
        for dim, chunks in variable.chunksizes.items():
            sizes[dim] = max(sizes.get(dim, 1), *chunks)
    return plain.chunk(sizes) if sizes else plain


def _zip(directory: Path, path: Path) -> None:
    names = sorted(
        os.path.relpath(os.path.join(root, name), directory) for root, _, files in os.walk(directory) for name in files
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in names:
            entry = zipfile.ZipInfo(name, _EPOCH)
            with open(directory / name, "rb") as source, archive.open(entry, "w", force_zip64=True) as target:
                shutil.copyfileobj(source, target, 1 << 20)


def open_zarr(store: Any) -> Any:
    """The value that `write_zarr` wrote; what dask held is held by dask again."""
    import xarray as xr

    plain = xr.open_zarr(
        store, chunks={}, decode_cf=False, consolidated=False, zarr_format=3, create_default_indexes=False
    )
    for name in plain.attrs[_IN_MEMORY]:
        plain[name].variable.load(**_HERE)
    return put_together(plain)
