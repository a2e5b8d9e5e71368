"""What is peculiar to clouds; tests/contracts has what all places do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from daskflow.artifacts.contents.digests import digest_bytes
from daskflow.artifacts.places import cloud, parts
from daskflow.artifacts.places.parts import manifest_key, object_key
from daskflow.artifacts.store import ObjectStore
from daskflow.errors import ArtifactDamaged
from tests.services.counting import Counting
from tests.services.s3 import S3


@pytest.fixture
def store(s3: S3, prefix: str, counting: Counting, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """A store whose requests are counted, with small parts; the bucket has been looked at already."""
    monkeypatch.setattr(parts, "PART_SIZE", 1000)
    monkeypatch.setattr(parts, "PART_LIMIT", 2000)
    made = ObjectStore(s3.url(prefix), s3.through(counting.endpoint).options)
    made.write_note("first", b"")
    counting.reset()
    return made


def test_small_object_costs_one_request(store: ObjectStore, counting: Counting) -> None:
    digest = store.put(b"data")
    assert [each.method for each in counting.requests] == ["PUT"]
    store.get(digest, 4)
    store.get(digest)
    store.read(digest, 1, 2)
    assert [each.method for each in counting.requests] == ["PUT", "GET", "GET", "GET"]


def test_small_object_that_is_there_is_not_replaced(store: ObjectStore, counting: Counting) -> None:
    store.put(b"data")
    before = list(store.objects())
    counting.reset()
    store.put(b"data")
    assert [each.method for each in counting.requests] == ["PUT", "HEAD"]
    assert list(store.objects()) == before


def test_old_object_is_made_young(store: ObjectStore, counting: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put(b"data")
    large = store.put(os.urandom(5000))
    monkeypatch.setattr(cloud, "FRESH", -10.0)
    counting.reset()
    store.put(b"data")
    assert [each.method for each in counting.requests] == ["PUT", "HEAD", "PUT"]
    counting.reset()
    assert store._place.keep(large, 5000)
    assert counting.count("PUT", "/manifests/") == 1
    assert counting.count("PUT", "/objects/") == 0


def test_ranges_of_parts_move_what_they_touch(store: ObjectStore, counting: Counting) -> None:
    data = os.urandom(10_000)
    digest = store.put(data)
    counting.reset()
    assert store.read(digest, 1990, 2010, 10_000) == data[1990:2010]
    assert store.read(digest, 500, 600, 10_000) == data[500:600]
    assert counting.count("GET", "/objects/") == 3
    assert counting.count("GET", "/manifests/") <= 1, "it is remembered"


@pytest.mark.parametrize("data", [b"date", b"dat", b"datum"])
def test_damaged_object_is_found(store: ObjectStore, data: bytes, tmp_path: Path) -> None:
    digest = store.put(b"data")
    store._place._bucket.put(object_key(digest), data)  # type: ignore[attr-defined]
    for ask in (lambda: store.get(digest), lambda: store.download(digest, tmp_path / "new")):
        with pytest.raises(ArtifactDamaged, match=f"{digest} .* is damaged"):
            ask()
    assert os.listdir(tmp_path) == []


def test_damaged_manifest_is_found(store: ObjectStore) -> None:
    digest = store.put(bytes(5000))
    again = ObjectStore(store.url, store.options)
    again._place._bucket.put(manifest_key(digest), b"{}")  # type: ignore[attr-defined]
    with pytest.raises(ArtifactDamaged, match=r"manifest .* is damaged"):
        again.get(digest)


def test_cut_object_is_written_again(store: ObjectStore) -> None:
    digest = store.put(b"data")
    store._place._bucket.put(object_key(digest), b"da")  # type: ignore[attr-defined]
    store.put(b"data")
    assert bytes(store.get(digest)) == b"data"


def test_parts_stay_for_others(store: ObjectStore) -> None:
    begin = os.urandom(4000)
    one, two = store.put(begin + b"one"), store.put(begin + b"two")
    store.remove(one)
    assert not store.exists(one)
    assert bytes(store.get(two)) == begin + b"two"


@pytest.mark.parametrize("size", [10, 1500, 5000])
def test_what_is_renewed_counts_as_new(
    store: ObjectStore, counting: Counting, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    place, data = store._place, os.urandom(size)
    assert isinstance(place, cloud.Cloud)
    assert not place.renew(digest_bytes(data), size)
    digest = store.put(data)
    assert place.renew(digest, size)
    assert not place.renew(digest, size + 1)
    monkeypatch.setattr(cloud, "FRESH", -10.0)
    counting.reset()
    assert place.renew(digest, size)
    # What has lain there for long is written anew.
    assert "PUT" in [each.method for each in counting.requests]
    assert bytes(store.get(digest)) == data


def test_what_is_damaged_is_not_renewed(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    place, digest = store._place, digest_bytes(b"data")
    assert isinstance(place, cloud.Cloud)
    place.bucket.put(object_key(digest), b"dato")
    monkeypatch.setattr(cloud, "FRESH", -10.0)
    assert not place.renew(digest, 4)
