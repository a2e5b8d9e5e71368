from __future__ import annotations

from pathlib import Path

import pytest

from daskflow.artifacts.contents.digests import digest_bytes
from daskflow.artifacts.fetching.downloads import Note, Shelf, named
from daskflow.artifacts.fetching.sources import NOTHING, Seen
from daskflow.artifacts.store import ObjectStore
from daskflow.errors import ArtifactError

URL = "https://a.org/x"


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore(tmp_path)


def test_a_part_is_found_again(store: ObjectStore) -> None:
    assert Shelf(store, URL).begun() == (0, NOTHING)
    with Shelf(store, URL).writing(0, Seen('"1"')) as file:
        file.write(b"begi")
    with Shelf(store, URL).writing(2, Seen('"1"')) as file:
        file.write(b"st")
    assert Shelf(store, URL).begun() == (4, Seen('"1"'))
    assert Shelf(store, URL).part().read_bytes() == b"best"
    assert Shelf(store, URL + "2").begun() == (0, NOTHING)


def test_a_new_state_never_goes_on_with_an_old_part(store: ObjectStore) -> None:
    with Shelf(store, URL).writing(0, Seen('"1"')) as file:
        file.write(b"old")
    with Shelf(store, URL).writing(0, Seen('"2"')):
        pass
    assert Shelf(store, URL).begun() == (0, Seen('"2"'))


def test_what_is_whole_becomes_an_object(store: ObjectStore) -> None:
    shelf = Shelf(store, URL)
    note = Note("etag 1", digest_bytes(b"whole"), 5)
    assert shelf.note() is None
    for _ in range(2):  # the second time the object is there already
        with shelf.writing(0, NOTHING) as file:
            file.write(b"whole")
        shelf.finish(note)
    assert bytes(store.get(note.digest)) == b"whole"
    assert Shelf(store, URL).note() == note
    assert list(store.folder("incoming").iterdir()) == []
    store.remove(note.digest)
    assert shelf.note() is None


def test_a_damaged_note_counts_as_none(store: ObjectStore) -> None:
    (store.folder("downloads") / f"{digest_bytes(URL.encode())}.json").write_text("[1")
    assert Shelf(store, URL).note() is None


def test_a_name_for_an_object(store: ObjectStore, tmp_path: Path) -> None:
    digest = store.put(b"content")
    link = named(store, digest, "sky.fits")
    assert (link.name, link.read_bytes()) == ("sky.fits", b"content")
    assert named(store, digest, "sky.fits") == link
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    assert (moved / link.relative_to(tmp_path)).read_bytes() == b"content"


def test_a_store_without_files_says_so() -> None:
    with pytest.raises(ArtifactError, match="memory://nowhere holds no files"):
        Shelf(ObjectStore("memory://nowhere"), URL)
