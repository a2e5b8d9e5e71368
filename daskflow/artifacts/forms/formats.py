"""The table of formats: each result in the form that fits it, read fast and by other tools too."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeGuard

from daskflow.artifacts.contents.frames import Buffer
from daskflow.artifacts.forms.arrays import Npy
from daskflow.artifacts.forms.netcdf import NetCDF
from daskflow.artifacts.forms.pickles import Cloudpickle, Pickle
from daskflow.artifacts.forms.tables import Parquet
from daskflow.artifacts.forms.zarrs import Zarr
from daskflow.errors import ArtifactError


class BufferFormat(Protocol):
    """A form of values as bytes in memory."""

    name: str
    """Recorded with each value, so it never changes its meaning."""

    def matches(self, value: Any) -> bool:
        """Whether the value may have this form; told from its type, without importing anything heavy."""

    def dump(self, value: Any) -> list[Buffer] | None:
        """The bytes, in buffers that may be the value's own; None where the form would not be exact."""

    def load(self, data: memoryview) -> Any:
        """The value. It may keep `data`, and change it where `data` may be changed."""


class FileFormat(Protocol):
    """A form of values that a library writes as a file."""

    name: str
    """Recorded with each value, so it never changes its meaning."""

    def matches(self, value: Any) -> bool:
        """Whether the value may have this form; told from its type, without importing anything heavy."""

    def dump_file(self, value: Any, path: Path) -> bool:
        """Write a new file; False where the form would not be exact."""

    def load_file(self, path: Path) -> Any:
        """The value; the file is never changed, and may be kept open."""

    def load(self, data: memoryview) -> Any:
        """The value, from the bytes of a file."""


Format: TypeAlias = BufferFormat | FileFormat

FORMATS: tuple[Format, ...] = (Npy(), Parquet(), NetCDF(), Zarr(), Pickle(), Cloudpickle())
"""Asked in this order; the last takes anything or says why not."""


def writes_file(form: Format) -> TypeGuard[FileFormat]:
    """Whether it is a `FileFormat`; `isinstance` would take 8 µs, four times a small result."""
    return hasattr(form, "dump_file")


_BY_NAME = {form.name: form for form in FORMATS}


def format_named(name: str) -> Format:
    """The format that reads what was written under this name.

    Raises
    ------
    ArtifactError
        This version of daskflow has no such format.
    """
    try:
        return _BY_NAME[name]
    except KeyError:
        raise ArtifactError(
            f"A result has the format {name!r}, which this daskflow does not know. Upgrade daskflow."
        ) from None
