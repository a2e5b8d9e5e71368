"""What `Notes` itself does; tests/contracts has what notes do in each kind of store."""

from __future__ import annotations

import pytest

from daskflow.artifacts.store import ObjectStore
from daskflow.errors import NameRefused


@pytest.mark.parametrize("path", ["../a", "a b", "a//b"])
def test_no_path_leads_elsewhere(path: str) -> None:
    store = ObjectStore("memory://notes-of-a-test")
    for ask in (store.read_note, store.remove_note, lambda path: list(store.notes(path))):
        with pytest.raises(NameRefused, match="is no path of a note"):
            ask(path)


def test_all_notes_are_below_nothing() -> None:
    store = ObjectStore("memory://all-notes-of-a-test")
    store.write_note("a/b", b"text")
    assert [path for path, _ in store.notes()] == [path for path, _ in store.notes("a/")] == ["a/b"]
