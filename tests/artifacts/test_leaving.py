"""Objects that others read by themselves: nothing is copied for them."""

from __future__ import annotations

import os
import urllib.request
from pathlib import Path

import pytest

from daskflow.artifacts.leaving import Leaving
from daskflow.artifacts.places import parts
from daskflow.artifacts.places.cloud import Cloud
from daskflow.artifacts.store import ObjectStore
from daskflow.errors import ArtifactError, ArtifactMissing
from tests.services.s3 import S3

pytestmark = pytest.mark.integration


@pytest.fixture
def store(s3: S3, prefix: str, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    monkeypatch.setattr(parts, "PART_SIZE", 1000)
    monkeypatch.setattr(parts, "PART_LIMIT", 2000)
    return ObjectStore(s3.url(prefix), s3.options)


def copies(store: ObjectStore) -> list[str]:
    assert isinstance(store._place, Cloud)
    return [key for key, _ in store._place.bucket.list("links")]


def got(url: str | None) -> bytes:
    assert url is not None
    with urllib.request.urlopen(url) as answer:
        return bytes(answer.read())


def test_an_object_in_one_piece_is_read_by_a_url(store: ObjectStore) -> None:
    data = os.urandom(2000)
    assert got(Leaving(store).url(store.put(data), 60)) == data


def test_an_object_in_parts_is_not_copied_for_it(store: ObjectStore) -> None:
    data = os.urandom(4500)
    digest = store.put(data)
    assert Leaving(store).url(digest, 60) is None
    assert copies(store) == []
    # Where somebody had it copied already it serves others, too.
    store.url_of(digest, 60)
    assert len(copies(store)) == 1
    assert got(Leaving(store).url(digest, 60)) == data


def test_what_is_not_there(store: ObjectStore) -> None:
    with pytest.raises(ArtifactMissing, match="0" * 32):
        Leaving(store).url("0" * 32, 60)


def test_stores_without_urls(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)
    assert Leaving(store).url(store.put(b"data"), 60) is None
    memory = ObjectStore("memory://leaving")
    with pytest.raises(ArtifactError, match="have no URLs"):
        Leaving(memory).url(memory.put(b"data"), 60)
