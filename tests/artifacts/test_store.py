"""What is peculiar to some stores, and what stores do with URLs; tests/contracts has what all of them do."""

from __future__ import annotations

import errno
import os
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskflow.artifacts.cache import NodeCache
from daskflow.artifacts.contents.digests import digest_bytes
from daskflow.artifacts.store import ObjectStore, known
from daskflow.errors import AccessRefused, ArtifactDamaged, ArtifactError, SettingsInvalid
from tests.services.counting import Counting
from tests.services.s3 import S3

ABSENT = "0" * 32


def damage(store: ObjectStore, digest: str, data: bytes) -> None:
    path = store.local_path(digest)
    path.chmod(0o644)
    path.write_bytes(data)


@given(st.lists(st.binary(max_size=100), max_size=5))
def test_buffers_count_as_joined(parts: list[bytes]) -> None:
    store = ObjectStore("memory://test-buffers")
    assert store.get(store.put([memoryview(part) for part in parts])) == b"".join(parts)


def test_known_object_is_not_written_again(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)
    path = store.local_path(store.put(b"data"))
    before = path.stat().st_ino
    store.put(b"data")
    assert path.stat().st_ino == before


def test_known_file_is_not_even_read(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path / "store")
    digest = store.put(b"data")
    (tmp_path / "file").write_bytes(b"tada")
    assert store.put_file(tmp_path / "file", digest) == digest, "believed: it is there, and as long"


def test_cut_object_is_written_again(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)
    digest = store.put(b"data")
    damage(store, digest, b"da")
    for ask in (store.get, store.local_path):
        with pytest.raises(ArtifactDamaged, match="has 2 bytes instead of 4"):
            ask(digest, 4)
    store.put(b"data")
    assert bytes(store.get(digest, 4)) == b"data"


def test_damage_is_found(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path / "store")
    digest = store.put(b"data")
    damage(store, digest, b"date")
    with pytest.raises(ArtifactDamaged, match=digest):
        store.verify(digest)
    with pytest.raises(ArtifactDamaged, match="is damaged"):
        store.download(digest, tmp_path / "new")
    assert os.listdir(tmp_path) == ["store"]


def test_files_are_used_in_place(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path, cache=NodeCache(tmp_path / "cache"))
    digest = store.put(b"data")
    assert store.local
    assert store.local_path(digest, 4).is_relative_to(tmp_path / "objects")
    assert not (tmp_path / "cache").exists()


def test_objects_of_a_cloud_become_files_once(s3: S3, prefix: str, tmp_path: Path) -> None:
    store = ObjectStore(s3.url(prefix), s3.options, NodeCache(tmp_path / "cache"))
    digest = store.put(b"data")
    assert not store.local
    with Counting(s3.endpoint) as counting:
        far = ObjectStore(s3.url(prefix), s3.through(counting.endpoint).options, NodeCache(tmp_path / "cache"))
        paths = {far.local_path(digest, 4) for _ in range(3)}
        assert counting.count("GET", digest) == 1
    [path] = paths
    assert path.read_bytes() == b"data"
    assert path.is_relative_to(tmp_path / "cache")


def test_urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "a b%"
    digest = ObjectStore(place).put(b"data")
    for url in (str(place), "a b%", place.as_uri(), ObjectStore(place).url):
        assert bytes(ObjectStore(url).get(digest)) == b"data"
    assert repr(ObjectStore(place)) == f"ObjectStore('{place.as_uri()}')"


def test_url_is_kept_when_the_working_directory_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = ObjectStore("store")
    monkeypatch.chdir("/")
    assert store.url == (tmp_path / "store").as_uri()


def test_the_one_made_last_is_known(tmp_path: Path) -> None:
    assert known(str(tmp_path)) is None
    ObjectStore(tmp_path)
    last = ObjectStore(tmp_path)
    assert known(last.url) is last
    again = pickle.loads(pickle.dumps(last))
    assert known(str(tmp_path)) is again


def test_pickles_with_options_and_cache_but_shows_neither(tmp_path: Path) -> None:
    store = ObjectStore("s3://bucket/a", {"secret_access_key": "hidden"}, NodeCache(tmp_path, 1000))
    again = pickle.loads(pickle.dumps(store))
    assert (again.url, again.options, again.cache.limit) == (store.url, store.options, 1000)
    assert "hidden" not in repr(store)


def test_environment_says_how_a_cloud_is_reached(s3: S3, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    store = ObjectStore(s3.url(prefix))
    assert bytes(store.get(store.put(b"data"))) == b"data"


def test_options_win_over_the_environment(s3: S3, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in s3.environ:
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    store = ObjectStore(s3.url(prefix), s3.options)
    assert bytes(store.get(store.put(b"data"))) == b"data"


def test_no_credentials_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    with pytest.raises(AccessRefused, match="Set AWS_ACCESS_KEY_ID"):
        ObjectStore("s3://bucket", {"endpoint": "http://127.0.0.1:1"}).exists(ABSENT)


def test_unknown_option() -> None:
    with pytest.raises(SettingsInvalid, match="'colour' is not valid"):
        ObjectStore("s3://bucket", {"colour": "red"}).exists(ABSENT)


def test_nothing_is_made_before_the_first_put(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path / "store")
    assert not store.exists(ABSENT)
    assert store.sweep() == 0
    assert not list(store.notes())
    assert not list(store.objects())
    assert not (tmp_path / "store").exists()


def test_a_directory_beside_the_objects(tmp_path: Path) -> None:
    made = ObjectStore(tmp_path / "store").folder("extra")
    assert made == tmp_path / "store" / "extra"


def test_directories_of_two_clouds_are_two(tmp_path: Path) -> None:
    cache = NodeCache(tmp_path)
    found = {ObjectStore(url, cache=cache).folder("extra") for url in ("s3://a", "s3://b", "s3://b/")}
    assert len(found) == 2


def test_a_full_disk_says_what_to_do_where_files_are_written(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="Free some space"), ObjectStore(tmp_path).written():
        raise OSError(errno.ENOSPC, "no space")


def test_urls_of_files(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)
    with pytest.raises(ArtifactError, match="have no URLs"):
        store.url_of(store.put(b"data"), 60)


def test_digest_that_is_given_is_believed(tmp_path: Path) -> None:
    assert ObjectStore(tmp_path).put(b"data", digest_bytes(b"data")) == digest_bytes(b"data")
