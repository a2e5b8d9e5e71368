"""What others bring into a bucket, on a real server: verified before it counts, whatever they send."""

from __future__ import annotations

import os

import pytest
import urllib3

from daskflow.artifacts.contents.digests import digest_bytes
from daskflow.artifacts.places import arrivals, parts
from daskflow.artifacts.places.arrivals import Arrivals, spans
from daskflow.artifacts.places.cloud import Cloud
from daskflow.errors import ArtifactDamaged
from tests.services.s3 import S3

UPLOAD = "0123456789abcdef" * 2


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART_SIZE", 1000)
    monkeypatch.setattr(parts, "PART_LIMIT", 2000)


@pytest.fixture
def cloud(s3: S3, prefix: str) -> Cloud:
    return Cloud(s3.url(prefix), s3.options)


def put(url: str, data: bytes) -> int:
    return urllib3.request("PUT", url, body=data, retries=False, timeout=60.0).status


def bring(cloud: Cloud, data: bytes, size: int | None = None) -> None:
    for slot in Arrivals(cloud.bucket).slots(UPLOAD, len(data) if size is None else size, 60):
        assert put(slot.url, data[slot.start : slot.start + slot.size]) == 200


def accept(cloud: Cloud, digest: str, size: int) -> int:
    read: list[int] = []
    cloud.accept(UPLOAD, digest, size, read.append)
    return sum(read)


def left(cloud: Cloud) -> list[str]:
    return [key for key, _ in cloud.bucket.list("incoming")]


@pytest.mark.parametrize("size", [0, 10, 2000, 2001, 5500])
def test_what_is_brought_becomes_an_object(cloud: Cloud, size: int) -> None:
    data = os.urandom(size)
    digest = digest_bytes(data)
    bring(cloud, data)
    assert cloud.size(digest) is None
    assert accept(cloud, digest, size) == size
    assert bytes(cloud.read(digest)) == data
    assert left(cloud) == []


@pytest.mark.parametrize("size", [10, 5500])
def test_other_bytes_than_those_of_the_digest_are_no_object(cloud: Cloud, size: int) -> None:
    told = digest_bytes(os.urandom(size))
    bring(cloud, os.urandom(size))
    with pytest.raises(ArtifactDamaged, match=f"instead of {told}"):
        accept(cloud, told, size)
    assert cloud.size(told) is None
    assert left(cloud) == []


@pytest.mark.parametrize("sent", [9, 11])
def test_more_or_fewer_bytes(cloud: Cloud, sent: int) -> None:
    data = os.urandom(sent)
    (slot,) = Arrivals(cloud.bucket).slots(UPLOAD, 10, 60)
    assert put(slot.url, data) == 200
    with pytest.raises(ArtifactDamaged, match=f"{sent} bytes came instead of 10"):
        accept(cloud, digest_bytes(data[:10]), 10)
    assert left(cloud) == []


def test_what_has_not_come_is_asked_for_again(cloud: Cloud) -> None:
    data = os.urandom(3500)
    coming = Arrivals(cloud.bucket)
    _, second, *rest = coming.slots(UPLOAD, 3500, 60)
    bring(cloud, data)
    assert put(second.url, data[1000:1999]) == 200
    with pytest.raises(ArtifactDamaged, match="Of part 2 999 bytes"):
        accept(cloud, digest_bytes(data), 3500)
    bring(cloud, data)
    cloud.bucket.delete(f"incoming/{UPLOAD}/000002")
    with pytest.raises(FileNotFoundError):
        accept(cloud, digest_bytes(data), 3500)
    assert [(slot.start, slot.size) for slot in coming.slots(UPLOAD, 3500, 60)] == [(2000, 1000)]
    bring(cloud, data)
    assert accept(cloud, digest_bytes(data), 3500) == 3500
    assert len(rest) == 2


def test_what_has_not_come_is_told_before_anything_is_read(cloud: Cloud) -> None:
    data, read = os.urandom(3500), list[int]()
    bring(cloud, data)
    cloud.bucket.delete(f"incoming/{UPLOAD}/000003")
    before = left(cloud)
    with pytest.raises(FileNotFoundError):
        cloud.accept(UPLOAD, digest_bytes(data), 3500, read.append)
    assert read == []
    assert left(cloud) == before


def test_only_some_slots_are_opened_at_a_time(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "MOST", 2)
    data = os.urandom(4500)
    seen = []
    while slots := Arrivals(cloud.bucket).slots(UPLOAD, 4500, 60):
        seen += [slot.start for slot in slots]
        for slot in slots:
            put(slot.url, data[slot.start : slot.start + slot.size])
    assert seen == [0, 1000, 2000, 3000, 4000]
    assert accept(cloud, digest_bytes(data), 4500) == 4500


def test_who_still_has_the_address_changes_nothing_of_what_was_verified(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, bad = os.urandom(10), os.urandom(10)
    (slot,) = Arrivals(cloud.bucket).slots(UPLOAD, 10, 60)
    put(slot.url, data)
    # While it is verified, and afterwards.
    cloud.accept(UPLOAD, digest_bytes(data), 10, lambda _: put(slot.url, bad))
    put(slot.url, bad)
    assert bytes(cloud.read(digest_bytes(data))) == data
    assert accept_fails(cloud, digest_bytes(data))
    assert bytes(cloud.read(digest_bytes(data))) == data


def accept_fails(cloud: Cloud, digest: str) -> bool:
    with pytest.raises(ArtifactDamaged):
        accept(cloud, digest, 10)
    return True


def test_an_address_that_is_over_takes_nothing(cloud: Cloud, s3: S3) -> None:
    (slot,) = Arrivals(cloud.bucket).slots(UPLOAD, 10, 60)
    # An address says itself how long it is good; it is signed with that.
    assert put(slot.url.replace("Expires=60", "Expires=6000"), bytes(10)) == 403
    (short,) = Arrivals(cloud.bucket).slots(UPLOAD, 10, 1)
    while put(short.url, bytes(10)) != 403:
        pass
    cloud.bucket.delete(f"incoming/{UPLOAD}/000000")
    with pytest.raises(FileNotFoundError):
        accept(cloud, digest_bytes(bytes(10)), 10)


def test_an_address_of_one_slot_is_none_of_another_nor_of_an_object(cloud: Cloud) -> None:
    (slot,) = Arrivals(cloud.bucket).slots(UPLOAD, 10, 60)
    digest = digest_bytes(bytes(10))
    for other in ("incoming/" + "f" * 32, f"objects/{digest[:2]}/{digest}"):
        url = slot.url.replace(f"incoming/{UPLOAD}/000000", other)
        assert url != slot.url
        assert put(url, bytes(10)) == 403
    assert urllib3.request("GET", slot.url, retries=False, timeout=60.0).status == 403


def test_what_is_never_accepted_is_swept(cloud: Cloud) -> None:
    bring(cloud, bytes(3500))
    assert cloud.sweep() == 0
    assert len(left(cloud)) == 4
    assert cloud.sweep(-10.0) == 3500
    assert left(cloud) == []


def test_pieces_follow_one_another() -> None:
    for size in (0, 1, 2000, 2001, 12345):
        found = list(spans(size))
        assert [at for at, _ in found] == [sum(length for _, length in found[:n]) for n in range(len(found))]
        assert sum(length for _, length in found) == size
