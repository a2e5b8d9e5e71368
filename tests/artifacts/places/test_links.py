"""URLs for anybody, from a real server."""

from __future__ import annotations

import os
import urllib.error
import urllib.request

import pytest

from daskflow.artifacts.places import parts
from daskflow.artifacts.places.cloud import Cloud
from daskflow.artifacts.store import ObjectStore
from daskflow.errors import ArtifactError, ArtifactMissing
from tests.services.s3 import S3


@pytest.fixture
def store(s3: S3, prefix: str, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    monkeypatch.setattr(parts, "PART_SIZE", 1000)
    monkeypatch.setattr(parts, "PART_LIMIT", 2000)
    return ObjectStore(s3.url(prefix), s3.options)


@pytest.mark.parametrize("size", [10, 5000])
@pytest.mark.parametrize(
    ("name", "saved"),
    [(None, ""), ("cube 1.h5", "cube_201.h5"), ("a/é#?.h5", ".h5"), ("..", "object"), ("x" * 300, "x")],
)
def test_anybody_can_read(store: ObjectStore, size: int, name: str | None, saved: str) -> None:
    data = os.urandom(size)
    digest = store.put(data)
    for _ in range(2):
        url = store.url_of(digest, 60, name)
        assert url.partition("?")[0].endswith(saved)
        with urllib.request.urlopen(url) as answer:
            assert answer.read() == data


def test_only_what_was_signed(store: ObjectStore) -> None:
    url = store.url_of(store.put(b"data"), 60)
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(url.replace("Expires=60", "Expires=90"))


@pytest.mark.parametrize("expires", [0, -1, 8 * 86400.0])
def test_times_that_no_cloud_takes(store: ObjectStore, expires: float) -> None:
    digest = store.put(b"data")
    with pytest.raises(ArtifactError, match="7 days at most"):
        store.url_of(digest, expires)


def test_missing_object(store: ObjectStore) -> None:
    with pytest.raises(ArtifactMissing):
        store.url_of("0" * 32, 60)


def test_copies_are_swept(store: ObjectStore) -> None:
    digest = store.put(bytes(5000))
    store.url_of(digest, 60)
    assert store.sweep() == 0
    assert store.sweep(older=-10.0) == 5000
    store.verify(digest)


@pytest.mark.parametrize(("size", "ready"), [(2000, True), (2001, False)])
def test_what_is_ready_needs_no_copy(store: ObjectStore, size: int, ready: bool) -> None:
    digest = store.put(os.urandom(size))
    place = store._place
    assert isinstance(place, Cloud)
    assert (place.ready_url(digest, 60) is not None) is ready
    store.url_of(digest, 60)
    assert place.ready_url(digest, 60) is not None
    with pytest.raises(FileNotFoundError):
        place.ready_url("0" * 32, 60)
