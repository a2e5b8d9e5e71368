"""The table of formats."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from daskflow.artifacts.forms.formats import (
    FORMATS,
    adopt,
    format_named,
    formats,
    record_name,
    register_format,
    registered,
    runs_code,
    unregister_format,
    writes_file,
    writes_tree,
)
from daskflow.errors import ArgumentsInvalid, ArtifactError


def form(name: Any, *methods: str, **more: Any) -> Any:
    wanted = methods or ("matches", "dump", "load")
    return SimpleNamespace(name=name, **{method: lambda *given: None for method in wanted}, **more)


@pytest.fixture(autouse=True)
def _table_as_it_was() -> Iterator[None]:
    before = registered()
    yield
    for one in registered():
        unregister_format(one.name)
    adopt(before)


def test_names_never_change() -> None:
    """They stand in the journals of users."""
    assert {"npy", "parquet", "netcdf", "zarr"} < {one.name for one in FORMATS}
    assert [one.name for one in FORMATS][-2:] == ["pickle", "cloudpickle"]


def test_by_name() -> None:
    assert all(format_named(record_name(one)) is one for one in FORMATS)
    with pytest.raises(ArtifactError, match="'arrow', which this daskflow does not know"):
        format_named("arrow")


def test_kinds() -> None:
    assert {"netcdf", "zarr"} == {one.name for one in FORMATS if writes_file(one)}
    assert all(one.name.endswith("-tree") for one in FORMATS if writes_tree(one))
    assert [one.name for one in FORMATS if runs_code(one)] == ["pickle", "cloudpickle"]


def test_those_of_users_come_first_and_the_newest_before_all() -> None:
    one, two, again = form("one"), form("two"), form("one")
    register_format(one)
    register_format(two)
    assert formats() == (two, one, *FORMATS)
    register_format(again)
    assert registered() == (again, two)
    adopt([one, two])
    assert registered() == (one, two)


def test_one_that_is_not_here_names_its_module() -> None:
    record = record_name(register_format(form("one")))
    assert record == "types:one"
    assert format_named(record).name == "one"
    unregister_format("one")
    with pytest.raises(ArtifactError, match=r"'one', which the module types registered\. Import that first"):
        format_named(record)
    with pytest.raises(ArtifactError, match="which the script or notebook registered"):
        format_named("__main__:one")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (form("pickle"), "'pickle' is a format of daskflow"),
        (form("My Format"), "'My Format' is no name"),
        (form("a:b"), "'a:b' is no name"),
        (form("a#b"), "'a#b' is no name"),
        (form(3), "an object of a class that has a `name`"),
        (SimpleNamespace, "an object of a class that has a `name`"),
        (form("one", "dump", "load"), "needs the methods `matches`"),
        (form("one", "matches", "dump_file", "load_file"), "needs the methods .* dump_file, load_file, load"),
        (form("one", "matches", "dump_tree", "load_tree"), "'one' ends with '-tree' exactly where"),
        (form("one-tree"), "'one-tree' ends with '-tree' exactly where"),
        (form("one-tree", "matches", "dump_tree", "load_tree", runs_code=True), "may run no code"),
    ],
)
def test_what_is_no_format(bad: Any, message: str) -> None:
    with pytest.raises(ArgumentsInvalid, match=message):
        register_format(bad)
    assert registered() == ()
