from __future__ import annotations

from pathlib import Path

import pytest

from daskflow.stores.buckets.shelf import Shelf, View, Wanted
from daskflow.stores.buckets.table import WorkTable
from daskflow.stores.database import Database


def test_an_empty_field_takes_all() -> None:
    wanted = Wanted(("a",))
    assert (wanted.site, wanted.user, wanted.events, wanted.tags, wanted.parents, wanted.priority) == (
        "",
        "",
        (),
        (),
        (),
        None,
    )


def test_a_view_of_all_shows_a_hundred() -> None:
    assert View() == ({}, {}, (), 0, 100)
    with pytest.raises(TypeError):
        View().query["a"] = 1  # type: ignore[index]


def test_tables_are_a_shelf(tmp_path: Path) -> None:
    shelf: Shelf = WorkTable(Database(tmp_path / "works.db"))
    offered = {name for name in vars(Shelf) if not name.startswith("_")}
    assert offered <= set(dir(shelf))
