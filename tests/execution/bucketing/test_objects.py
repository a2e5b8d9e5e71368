from __future__ import annotations

from pathlib import Path

import pytest

from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.trees import Entry, Tree
from daskflow.errors import ArtifactMissing
from daskflow.execution.bucketing.objects import Taken, take


def test_objects_are_taken_as_far_as_there_is_room(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)
    small, large, last = (store.put(data) for data in (b"s" * 10, b"l" * 100, b"e" * 5))
    taken = take(store, [small, large, small, last], 20)
    assert taken.objects == {small: b"s" * 10, last: b"e" * 5}
    assert taken.absent == (large,)
    assert taken.size == 115


def test_directories_are_taken_with_what_is_in_them(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)
    one, two = store.put(b"one"), store.put(b"two")
    tree = Tree({"a/one": Entry("f", one, 3), "two": Entry("f", two, 3)})
    digest = tree.put(store)
    assert take(store, [digest], 1 << 20).objects == {digest: tree.dump(), one: b"one", two: b"two"}
    assert set(take(store, [digest], len(tree.dump()) + 4).absent) == {max(one, two)}


def test_what_is_in_a_directory_without_room_is_absent_too(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)
    one = store.put(b"one" * 100)
    digest = Tree({"a/one": Entry("f", one, 300)}).put(store)
    assert set(take(store, [digest], 10).absent) == {digest, one}


def test_others_than_those_that_are_meant_are_not_taken(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)
    one, two = store.put(b"one"), store.put(b"two")
    assert take(store, [one, two, "0" * 32], 100, {two}) == Taken({two: b"two"}, (), 3)


def test_what_is_not_there_cannot_be_taken(tmp_path: Path) -> None:
    with pytest.raises(ArtifactMissing):
        take(ObjectStore(tmp_path), ["0" * 32], 100)
