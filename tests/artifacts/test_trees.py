"""Trees: one manifest per content, and none that leads out of its directory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.trees import Entry, Tree, is_tree, leads_out
from daskflow.errors import ArtifactDamaged

FILE = Entry("f", "ab" * 16, 5)

names = st.text(st.characters(exclude_characters="/\0"), min_size=1).filter(lambda name: name not in (".", ".."))
entries = st.dictionaries(
    st.lists(names, min_size=1, max_size=3).map(
        lambda parts: "/".join([f"d{part}" for part in parts[:-1]] + parts[-1:])
    ),
    st.builds(Entry, st.just("f"), st.just("ab" * 16), st.integers(0, 10**15), st.booleans(), st.just("")),
)


def is_good(found: dict[str, Entry]) -> bool:
    return not any(path.startswith(f"{other}/") for path in found for other in found)


@given(entries.filter(is_good))
def test_a_manifest_says_all_and_equal_trees_have_equal_ones(found: dict[str, Entry]) -> None:
    tree = Tree(found)
    again = Tree.load(tree.dump())
    assert again == tree
    assert dict(again.files()) == found
    assert Tree(dict(reversed(found.items()))).dump() == tree.dump()
    assert tree.size == sum(entry.size for entry in found.values())


def test_directories_that_follow_from_others_are_there() -> None:
    tree = Tree({"a/b/file": FILE, "a/\udcff\n": FILE, "empty": Entry("d"), "a/link": Entry("l", target="b/file")})
    assert {path: entry.kind for path, entry in tree.entries.items()} == {
        "a": "d",
        "a/b": "d",
        "a/b/file": "f",
        "a/link": "l",
        "a/\udcff\n": "f",
        "empty": "d",
    }
    assert Tree.load(tree.dump()) == tree
    assert tree.digests == {FILE.digest}


def test_it_lies_in_a_store_as_an_object() -> None:
    store = ObjectStore("memory://trees-lie-here")
    tree = Tree({"file": FILE})
    digest = tree.put(store)
    assert Tree.get(store, digest) == tree
    assert is_tree(store.read(digest, 0, 32))
    assert not is_tree(b"\x89HDF\r\n\x1a\n")
    assert hash(Tree.get(store, digest)) == hash(tree)


@pytest.mark.parametrize("path", ["", ".", "..", "/etc/passwd", "a/../b", "a//b", "a/", "a\0b"])
def test_a_path_that_leads_out_is_refused(path: str) -> None:
    with pytest.raises(ArtifactDamaged, match="cannot hold"):
        Tree({path: FILE})


@pytest.mark.parametrize(
    ("path", "target", "out"),
    [
        ("link", "file", False),
        ("a/link", "../file", False),
        ("a/b/link", "../../c", False),
        ("link", "..", True),
        ("a/link", "../..", True),
        ("a/b/link", "../../../c", True),
        ("link", "/etc/passwd", True),
        ("link", "", True),
        # `a` may be a link to the top, and then this is outside.
        ("p/q/link", "a/../../out", True),
    ],
)
def test_a_link_that_leads_out_is_refused(path: str, target: str, out: bool) -> None:
    assert leads_out(path, target) is out
    if out:
        with pytest.raises(ArtifactDamaged, match="leads out"):
            Tree({path: Entry("l", target=target)})


@pytest.mark.parametrize("kind", ["f", "l"])
def test_nothing_lies_in_what_is_no_directory(kind: str) -> None:
    with pytest.raises(ArtifactDamaged, match="is no directory"):
        Tree({"a": Entry(kind, target="b"), "a/file": FILE})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no manifest",
        b'{"daskflow-tree":1,"entries":[["a"]]}',
        b'{"daskflow-tree":1,"entries":[["a","f"]]}',
        b'{"daskflow-tree":1,"entries":[["a","x"]]}',
        b'{"daskflow-tree":1,}',
        b'{"daskflow-tree":1,"size":3}',
    ],
)
def test_what_is_no_manifest_is_told(data: bytes) -> None:
    with pytest.raises(ArtifactDamaged, match=r"no manifest|cannot be read|cannot hold"):
        Tree.load(data)
