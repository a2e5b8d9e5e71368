from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from daskflow.artifacts.artifact import Artifact
from daskflow.artifacts.names import Named, Names
from daskflow.artifacts.places import parts
from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.sweeping import Garbage, Sweep, digests_in
from daskflow.artifacts.trees import Entry, Tree

LATER = 3600.0
"""A search from so far in the future [s] finds everything old."""


@pytest.fixture(params=["directory", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    return ObjectStore(tmp_path if request.param == "directory" else f"memory://{tmp_path}")


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """A store in which 100 bytes are a large object."""
    monkeypatch.setattr(parts, "PART_LIMIT", 64)
    monkeypatch.setattr(parts, "PART_SIZE", 40)
    return ObjectStore(f"memory://{tmp_path}")


def sweep(store: ObjectStore, needed: Iterable[tuple[str, str]] = (), *, after: float = LATER) -> Sweep:
    rows = list(needed)
    return Sweep(store, lambda: rows, before=time.time() + after)


def listed(store: ObjectStore) -> set[str]:
    return {digest for digest, _, _ in store.objects()}


def digests(garbage: Garbage) -> set[str]:
    return {found.digest for found in garbage.objects}


def test_what_nobody_needs_goes(store: ObjectStore) -> None:
    needed, spare, large = store.put(b"needed"), store.put(b"spare"), store.put(b"larger")
    search = sweep(store, [(needed, "pickle"), ("0" * 32, "")])
    found = search.find()
    assert [each.digest for each in found.objects] == [large, spare]
    assert (found.size, found.kept, found.kept_size) == (11, 1, 6)
    assert listed(store) == {needed, spare, large}
    assert search.remove(found) == (2, 11)
    assert listed(store) == {needed}


def test_what_is_young_stays_with_all_that_it_names(store: ObjectStore) -> None:
    old = store.put(b"old")
    spare = store.put(b"spare")
    tree = Tree({"file": Entry("f", old, 3)}).put(store)
    times = dict.fromkeys((old, spare), 1.0) | {tree: 3.0}
    rows = [(digest, size, times[digest]) for digest, size, _ in store.objects()]
    store.objects = lambda: iter(rows)  # type: ignore[method-assign]
    assert digests(Sweep(store, lambda: [], before=2.0).find()) == {spare}


def test_names_and_pins_need_their_bytes(store: ObjectStore) -> None:
    named, pinned, spare = store.put(b"named"), store.put(b"pinned"), store.put(b"spare")
    names = Names(store)
    names.give(Named("survey/sky map.fits", named, 5))
    names.pin(Named("old", pinned, 6))
    assert digests(sweep(store).find()) == {spare}
    names.take("survey/sky map.fits")
    names.unpin(pinned)
    assert digests(sweep(store).find()) == {named, pinned, spare}


@pytest.mark.parametrize("how", ["a name", "a result", "an object that a result mentions"])
def test_trees_need_their_files(store: ObjectStore, how: str) -> None:
    file, spare = store.put(b"file"), store.put(b"spare")
    tree = Tree({"deep/file": Entry("f", file, 4)}).put(store)
    if how == "a name":
        Names(store).give(Named("cube.zarr", tree, 4, "tree"))
    needed = {"a name": [], "a result": [(tree, "zarr-tree")]}.get(how, [(tree, "")])
    assert digests(sweep(store, needed).find()) == {spare}


def test_results_that_are_no_trees_are_not_read(store: ObjectStore) -> None:
    needed = store.put(b"needed")
    store.read = lambda *_: pytest.fail("it was read")  # type: ignore[method-assign]
    assert sweep(store, [(needed, "npy")]).find().kept == 1


def test_notes_of_an_unknown_kind_need_what_they_mention(store: ObjectStore) -> None:
    mentioned, spare = store.put(b"mentioned"), store.put(b"spare")
    store.write_note("future/kind", f"see {mentioned}".encode())
    store.write_note("downloads/file", f'["", "{spare}"]'.encode())
    assert digests(sweep(store).find()) == {spare}


def test_what_is_touched_meanwhile_stays(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)
    week = time.time() - 7 * 86400
    written, spare = store.put(b"written again"), store.put(b"spare")
    for digest in (written, spare):
        os.utime(store.local_path(digest), (week, week))
    search = sweep(store, after=-LATER)
    found = search.find()
    assert store.put(b"written again") == written
    assert search.remove(found) == (1, 5)
    assert listed(store) == {written}
    assert bytes(store.get(written)) == b"written again"


def _together(start: threading.Barrier, work: Callable[[], object]) -> None:
    start.wait()
    work()


def test_what_is_written_while_it_is_removed_is_there_afterwards(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)
    week = time.time() - 7 * 86400
    digest = store.put(b"wanted")
    with ThreadPoolExecutor(2) as pool:
        for _ in range(300):
            os.utime(store.local_path(digest), (week, week))
            start = threading.Barrier(2)
            removing = pool.submit(_together, start, partial(store.discard, digest, week + 1))
            writing = pool.submit(_together, start, partial(store.put, b"wanted"))
            writing.result()
            removing.result()
            assert store.exists(digest)


def test_what_cannot_be_touched_is_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ObjectStore(tmp_path)
    digest = store.put(b"of somebody else")
    os.utime(store.local_path(digest), (1.0, 1.0))

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "utime", refuse)
    search = sweep(store, after=-LATER)
    found = search.find()
    store.put(b"of somebody else")
    assert search.remove(found) == (0, 0)


def test_links_to_what_is_gone_go(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)
    paths = {}
    for content in (b"kept", b"spare"):
        named = Named(f"{content.decode()}.fits", store.put(content), len(content))
        paths[named.digest] = Artifact.of(named, store).path()
    kept, spare = paths
    search = sweep(store, [(kept, "npy")])
    search.remove(search.find())
    assert paths[kept].read_bytes() == b"kept"
    assert not paths[spare].parent.exists()


def test_what_is_needed_is_asked_after_the_listing(store: ObjectStore) -> None:
    old = store.put(b"old")
    late: list[str] = []

    def needed() -> Iterable[tuple[str, str]]:
        # Written between the two: it was not listed, so it is not removed.
        late.append(store.put(b"late"))
        return [(old, "npy")]

    search = Sweep(store, needed, before=time.time() + LATER)
    assert search.remove(search.find()) == (0, 0)
    assert listed(store) == {old, *late}


def test_large_objects_go_with_their_parts(cloud: ObjectStore) -> None:
    kept, spare = cloud.put(bytes(range(100))), cloud.put(bytes(range(100, 200)))
    assert len(listed(cloud)) > 3
    search = sweep(cloud, [(kept, "npy")])
    found = search.find()
    assert [each.digest for each in found.manifests] == [spare]
    assert search.remove(found)[1] == 100
    assert bytes(cloud.get(kept)) == bytes(range(100))
    assert not cloud.exists(spare)
    assert [path.rpartition("/")[2] for path, _ in cloud.notes()] == [kept]


def test_parts_that_two_large_objects_have_stay(cloud: ObjectStore) -> None:
    kept, spare = cloud.put(bytes(range(100))), cloud.put(bytes(range(120)))
    search = sweep(cloud, [(kept, "npy")])
    search.remove(search.find())
    assert bytes(cloud.get(kept)) == bytes(range(100))
    assert not cloud.exists(spare)


def test_parts_without_a_manifest_go_and_manifests_without_a_part(cloud: ObjectStore) -> None:
    whole, broken = cloud.put(bytes(range(100))), cloud.put(bytes(range(100, 200)))
    cloud.remove(whole)
    parts_left = listed(cloud)
    cloud.discard(next(each for each in parts_left if bytes(cloud.get(each))[0] == 100), time.time() + LATER)
    search = sweep(cloud, [(broken, "npy")])
    found = search.find()
    assert [each.digest for each in found.manifests] == [broken]
    search.remove(found)
    assert not cloud.exists(broken)
    assert not cloud.exists(whole)


def test_a_large_object_that_is_written_again_meanwhile_stays_whole(
    cloud: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = cloud.put(bytes(range(100)))
    search = sweep(cloud)
    found = search.find()
    notes = dict(cloud.notes())
    monkeypatch.setattr(cloud, "notes", lambda _: ((path, time + 2 * LATER) for path, time in notes.items()))
    assert search.remove(found) == (0, 0)
    assert bytes(cloud.get(digest)) == bytes(range(100))


def test_only_whole_digests_are_found() -> None:
    digest = "af1349b9f5f9a1a6a0404dea36dcc949"
    assert digests_in(f"file('a.h5',{digest})".encode()) == {digest}
    assert digests_in(f"{digest}0 {digest[1:]} {digest.upper()}".encode()) == set()
