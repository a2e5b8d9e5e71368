from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from daskflow.artifacts.cache import NodeCache
from daskflow.artifacts.contents.digests import digest_bytes
from daskflow.artifacts.fetching.downloads import Note, Shelf, named
from daskflow.artifacts.fetching.sources import NOTHING, Seen
from daskflow.artifacts.store import ObjectStore

URL = "https://a.org/x"


@pytest.fixture(params=["directory", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    place = tmp_path / "store"
    if request.param == "directory":
        return ObjectStore(place)
    return ObjectStore(f"memory://{uuid.uuid4()}", cache=NodeCache(place))


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
    assert bytes(store.get(note.digest)) == store.local_path(note.digest).read_bytes() == b"whole"
    assert Shelf(store, URL).note() == note
    assert list(store.folder("incoming").iterdir()) == []
    store.remove(note.digest)
    assert shelf.note() is None


def test_a_damaged_note_counts_as_none(store: ObjectStore) -> None:
    store.write_note(f"downloads/{digest_bytes(URL.encode())}", b"[1")
    assert Shelf(store, URL).note() is None


def test_a_name_for_an_object(store: ObjectStore, tmp_path: Path) -> None:
    digest = store.put(b"content")
    link = named(store, digest, "sky.fits")
    assert (link.name, link.read_bytes()) == ("sky.fits", b"content")
    assert named(store, digest, "sky.fits") == link
    moved = (tmp_path / "store").rename(tmp_path / "moved")
    assert (moved / link.relative_to(tmp_path / "store")).read_bytes() == b"content"


def test_what_went_to_a_cloud_is_not_brought_back_from_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ObjectStore(f"memory://{uuid.uuid4()}", cache=NodeCache(tmp_path))
    shelf, digest = Shelf(store, URL), digest_bytes(b"whole")
    with shelf.writing(0, NOTHING) as file:
        file.write(b"whole")
    monkeypatch.setattr(store, "download", None)
    shelf.finish(Note("etag 1", digest, 5))
    assert named(store, digest, "x", 5).read_bytes() == b"whole"


def test_another_node_sees_what_was_fetched_and_brings_it_when_it_is_read(tmp_path: Path) -> None:
    url, note = f"memory://{uuid.uuid4()}", Note("etag 1", digest_bytes(b"whole"), 5)
    here, there = (ObjectStore(url, cache=NodeCache(tmp_path / node)) for node in ("here", "there"))
    with Shelf(here, URL).writing(0, NOTHING) as file:
        file.write(b"whole")
    assert Shelf(there, URL).begun() == (0, NOTHING)
    Shelf(here, URL).finish(note)
    assert Shelf(there, URL).note() == note
    path = named(there, note.digest, "sky.fits", 5)
    assert (path.name, path.read_bytes(), path.is_relative_to(tmp_path / "there")) == ("sky.fits", b"whole", True)


def test_where_the_cache_has_no_room_the_file_is_in_the_cloud(tmp_path: Path) -> None:
    store = ObjectStore(f"memory://{uuid.uuid4()}", cache=NodeCache(tmp_path, limit=3))
    shelf, note = Shelf(store, URL), Note("etag 1", digest_bytes(b"whole"), 5)
    with shelf.writing(0, NOTHING) as file:
        file.write(b"whole")
    shelf.finish(note)
    assert shelf.note() == note
