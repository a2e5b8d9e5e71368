"""Names of artifacts: what is one, how they lie in the store, and what they stand for."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from daskflow.artifacts.names import Named, Names, changes, checked, note_of
from daskflow.artifacts.store import ObjectStore
from daskflow.errors import ArtifactDamaged, ArtifactMissing, NameRefused

DIGEST = "ab" * 16

letters = st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="/")
words = st.text(letters, min_size=1, max_size=300).filter(lambda word: word not in (".", ".."))
names = st.lists(words, min_size=1, max_size=4).map("/".join).filter(lambda name: len(name) <= 512)


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore(tmp_path / "store")


@given(names)
def test_notes_have_plain_paths_that_buckets_and_filesystems_take(name: str) -> None:
    segments = note_of(name).split("/")
    assert len("/".join(segments)) < 700
    for segment in segments:
        assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}", segment)


@given(names, names)
def test_no_two_names_have_one_note_nor_one_within_the_other(one: str, other: str) -> None:
    assume(one != other)
    first, second = note_of(one), note_of(other)
    assert first != second
    assert not first.startswith(f"{second}/")


@given(st.sets(names, max_size=5), st.sampled_from(["", "a", "a/", "Ω/ "]))
def test_names_come_back_as_they_were_given(given_names: set[str], start: str) -> None:
    store = ObjectStore("memory://names-come-back")
    for path, _ in list(store.notes("names")):
        store.remove_note(path)
    names = Names(store)
    for name in given_names:
        names.give(Named(name, DIGEST, 5))
    assert names.list() == sorted(given_names)
    assert names.list(start) == sorted(name for name in given_names if name.startswith(start))
    assert all(names.find(name).name == name for name in given_names)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "0 characters"),
        ("x" * 513, "513 characters"),
        ("/etc/passwd", "at its beginning"),
        ("raw/", "at its end"),
        ("raw//map", "beside another"),
        ("raw/../map", "no words"),
        (".", "no words"),
        ("two\nlines", "control characters"),
        ("raw\0", "control characters"),
        ("\udc80", "no UTF-8"),
        (b"raw", "a bytes, not a text"),
    ],
)
def test_what_is_no_name_is_told(name: str, why: str) -> None:
    with pytest.raises(NameRefused, match=why):
        checked(name)


def test_a_name_stands_for_what_was_given_last(store: ObjectStore) -> None:
    names = Names(store)
    names.give(Named("raw/map", DIGEST, 5, source="here"))
    given = names.give(Named("raw/map", "cd" * 16, 7, "tree"))
    assert names.find("raw/map") == given
    assert given.time > 0
    names.give(Named("raw/map/zoom", DIGEST, 5))
    assert [named.digest for named in names.all("raw/")] == ["cd" * 16, DIGEST]


def test_a_name_that_is_taken_away_is_no_more(store: ObjectStore) -> None:
    names = Names(store)
    names.give(Named("map", DIGEST, 5))
    assert names.take("map")
    assert not names.take("map")
    assert names.look("map") is None
    assert names.list() == []


def test_a_missing_name_tells_those_like_it(store: ObjectStore) -> None:
    names = Names(store)
    names.give(Named("raw/deep field.h5", DIGEST, 5))
    names.give(Named("unlike", DIGEST, 5))
    with pytest.raises(ArtifactMissing, match=r"Like it are: 'raw/deep field.h5'\. Upload it: `daskflow artifact put"):
        names.find("raw/deep_field.h5")


def test_a_note_that_is_damaged_is_told(store: ObjectStore) -> None:
    store.write_note(note_of("map"), b"{}")
    with pytest.raises(ArtifactDamaged, match="the artifact 'map'"):
        Names(store).find("map")


def test_pins_outlast_names(store: ObjectStore) -> None:
    names = Names(store)
    named = names.give(Named("map", DIGEST, 5, "tree"))
    names.pin(named)
    names.take("map")
    assert list(names.pinned()) == [named]
    names.unpin(DIGEST)
    names.unpin(DIGEST)
    assert list(names.pinned()) == []


@pytest.mark.parametrize("url", ["directory", "memory://claims-of-names"])
def test_of_those_who_claim_a_name_one_gets_it(tmp_path: Path, url: str) -> None:
    url = str(tmp_path / "store") if url == "directory" else url
    digests = [f"{number:032x}" for number in range(8)]
    begin = threading.Barrier(len(digests))

    def claim(digest: str) -> Named:
        begin.wait(timeout=60)
        return Names(ObjectStore(url)).claim(Named("raw/sky", digest, 5))

    with ThreadPoolExecutor(len(digests)) as pool:
        found = set(pool.map(claim, digests))
    names = Names(ObjectStore(url))
    assert found == {names.find("raw/sky")}
    before = changes(ObjectStore(url))
    (winner,) = found
    assert names.claim(Named("raw/sky", "f" * 32, 5)) == winner
    assert changes(ObjectStore(url)) == before
    with pytest.raises(NameRefused):
        names.claim(Named("", digests[0], 5))
