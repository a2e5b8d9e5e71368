"""The table of formats."""

from __future__ import annotations

import pytest

from daskflow.artifacts.forms.formats import FORMATS, format_named, writes_file
from daskflow.errors import ArtifactError


def test_names_never_change() -> None:
    """They stand in the journals of users."""
    assert [form.name for form in FORMATS] == ["npy", "parquet", "netcdf", "zarr", "pickle", "cloudpickle"]


def test_by_name() -> None:
    assert all(format_named(form.name) is form for form in FORMATS)
    with pytest.raises(ArtifactError, match="'arrow', which this daskflow does not know"):
        format_named("arrow")


def test_kinds() -> None:
    assert [form.name for form in FORMATS if writes_file(form)] == ["netcdf", "zarr"]
