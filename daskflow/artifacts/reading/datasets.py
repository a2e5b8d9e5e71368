"""Datasets and HDF5 files of the artifact store, read where they are or from a copy on this node."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from daskflow.artifacts.reading.copies import CopyRanges
from daskflow.artifacts.reading.ranges import ObjectRanges, RangeFile
from daskflow.artifacts.store import ObjectStore
from daskflow.errors import ArgumentsInvalid, ArtifactError, DaskflowError, ExtraMissing

if TYPE_CHECKING:
    import h5py
    import xarray as xr

STAGED = 16 << 20
"""Files up to this size [bytes] are copied to the node before they are opened, unless one says otherwise."""

_HDF5 = b"\x89HDF\r\n\x1a\n"
_NETCDF3 = (b"CDF\x01", b"CDF\x02", b"CDF\x05")
_USER_BLOCKS = (0, 512, 1024, 2048, 4096, 8192)
"""Where HDF5 may begin [bytes]: MATLAB, for one, puts a text before it."""
_OTHERS = {b"PK\x03\x04": "a zip file", b"\x1f\x8b": "packed by gzip", b"SIMPLE": "a FITS file", b"PAR1": "Parquet"}


class Readable(Protocol):
    """What is known of the file or directory to open: an `Artifact`."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def kind(self) -> str:
        """`file` or `tree`."""

    @property
    def digest(self) -> str:
        """That of its bytes, or of its manifest."""

    @property
    def size(self) -> int:
        """Size of the file [bytes]."""

    @property
    def store(self) -> ObjectStore:
        """Where its objects are."""

    def path(self) -> Path:
        """A copy on this node."""

    def pinned(self) -> Readable:
        """The same, whatever becomes of the name."""


def open_dataset(
    artifact: Readable,
    *,
    chunks: Any = None,
    engine: str | None = None,
    staged: bool | None = None,
    **options: Any,
) -> xr.Dataset:
    """Open a NetCDF or HDF5 file, or a directory that is a Zarr store, as an xarray dataset.

    Parameters
    ----------
    chunks
        As for `xarray.open_dataset`: with it dask holds the variables.
    engine
        The xarray engine, where the one that the first bytes tell is not wanted.
    staged
        True: from a copy on this node. False: by ranges, straight from the store. None: a file up to 16 MiB from a
        copy, a larger one by ranges, a Zarr store by its chunks. Where the store is a directory, files are
        opened there in any case.
    **options
        More arguments of `xarray.open_dataset`, such as `group`.

    Raises
    ------
    ArtifactMissing
        It is not in the store.
    ArtifactError
        It is neither NetCDF nor HDF5 nor Zarr, or cannot be read.
    ArgumentsInvalid
        The engine cannot read it by ranges.
    ExtraMissing
        NetCDF-3 needs scipy.

    Notes
    -----
    Only metadata are read now; data when they are asked for. The dataset pickles: on another node it opens
    itself there. (An engine other than h5netcdf and Zarr reads a copy whose path is known on this node only.)
    """
    import xarray as xr

    artifact = artifact.pinned()
    if artifact.kind == "tree":
        source, engine = _tree(artifact, engine, staged, options)
    else:
        source, engine = _file(artifact, engine, staged)
    if engine == "h5netcdf":
        # Without it xarray warns of each HDF5 file whose dimensions have no names; so does netCDF-C name them.
        options.setdefault("phony_dims", "sort")
    try:
        return xr.open_dataset(source, engine=engine, chunks=chunks, **options)
    except OSError as error:
        raise _unreadable(artifact, error) from error


def open_h5(artifact: Readable, *, staged: bool | None = None) -> h5py.File:
    """Open an HDF5 file for reading with h5py.

    Parameters
    ----------
    staged
        As for `open_dataset`.

    Raises
    ------
    ArtifactMissing
        It is not in the store.
    ArtifactError
        It is no HDF5 file, or cannot be read.
    """
    import h5py

    artifact = artifact.pinned()
    source = _source(artifact, staged)
    form, _ = _told(artifact, source)
    if form != "hdf5":
        raise ArtifactError(f"The artifact {artifact.name} is no HDF5 file, but NetCDF-3. Use `open_dataset()`.")
    try:
        return h5py.File(source, "r")
    except OSError as error:
        raise _unreadable(artifact, error) from error


def _source(artifact: Readable, staged: bool | None) -> Path | RangeFile:
    """What to open: the file itself where the store has files, else one that is read by ranges."""
    if artifact.kind == "tree":
        raise ArtifactError(f"The artifact {artifact.name} is a directory. Take a file of it from `path()`.")
    store, digest, size = artifact.store, artifact.digest, artifact.size
    if store.local:
        return store.local_path(digest, size)
    if staged is None:
        staged = size <= STAGED
    return RangeFile((CopyRanges if staged else ObjectRanges)(store, digest, size), size)


def _file(artifact: Readable, engine: str | None, staged: bool | None) -> tuple[Any, str]:
    source = _source(artifact, staged)
    form, start = _told(artifact, source)
    if form == "netcdf3":
        engine = engine or "scipy"
        if engine == "scipy" and find_spec("scipy") is None:
            raise ExtraMissing(f"{artifact.name} is a NetCDF-3 file, which scipy reads. Do `pip install scipy`.")
    elif engine is None:
        engine = "h5netcdf"
    # xarray takes an open file only where HDF5 begins with the first byte.
    if engine == "h5netcdf" and start == 0:
        return source, engine
    if staged is False and not artifact.store.local:
        raise ArgumentsInvalid(
            f"{artifact.name} cannot be read by ranges with the engine {engine!r}. Leave `staged=False` away."
        )
    return artifact.store.local_path(artifact.digest, artifact.size), engine


def _told(artifact: Readable, source: Path | RangeFile) -> tuple[str, int]:
    """What the first bytes tell, and where it begins [bytes]."""
    head = _head(source)
    if head.startswith(_NETCDF3):
        return "netcdf3", 0
    for start in _USER_BLOCKS:
        if head.startswith(_HDF5, start):
            return "hdf5", start
    found = next((f"it is {what}" for magic, what in _OTHERS.items() if head.startswith(magic)), "")
    raise ArtifactError(
        f"The artifact {artifact.name} is neither NetCDF nor HDF5: "
        f"{found or f'it begins with {head[:8]!r}'}. Read it from `open()` or `path()`."
    )


def _head(source: Path | RangeFile) -> bytes:
    length = _USER_BLOCKS[-1] + len(_HDF5)
    if isinstance(source, RangeFile):
        return bytes(source.read_at(0, length))
    with open(source, "rb") as file:
        return file.read(length)


def _tree(artifact: Readable, engine: str | None, staged: bool | None, options: dict[str, Any]) -> tuple[Any, str]:
    # Late, for it imports Zarr.
    from daskflow.artifacts.reading.treestore import TreeStore  # noqa: PLC0415, it imports zarr

    if engine not in (None, "zarr"):
        return artifact.path(), str(engine)
    store = TreeStore(artifact.store, artifact.digest)
    if not store.is_zarr:
        raise ArtifactError(
            f"The directory {artifact.name} is no Zarr store: zarr.json, .zgroup and .zarray are missing. "
            "Take its files from `path()`."
        )
    options.setdefault("consolidated", store.consolidated)
    return (artifact.path() if staged else store), "zarr"


def _unreadable(artifact: Readable, error: OSError) -> DaskflowError:
    return ArtifactError(
        f"The artifact {artifact.name} cannot be read: {error}. "
        "Look whether the file is whole, and what was asked for is in it."
    )
