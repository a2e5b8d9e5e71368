"""Stores to which others bring objects by themselves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import urllib3

from daskflow.artifacts import arriving
from daskflow.artifacts.arriving import Arriving, Opening
from daskflow.artifacts.contents.digests import digest_bytes
from daskflow.artifacts.store import ObjectStore
from daskflow.errors import ArtifactMissing
from tests.services.s3 import S3

DATA = os.urandom(300_000)
DIGEST = digest_bytes(DATA)


@pytest.fixture
def store(s3: S3, prefix: str) -> ObjectStore:
    return ObjectStore(s3.url(prefix), s3.options)


def bring(opening: Opening) -> None:
    for slot in opening.slots:
        urllib3.request("PUT", slot.url, body=DATA[slot.start : slot.start + slot.size], timeout=60.0)


def test_an_object_is_brought_once(store: ObjectStore) -> None:
    coming = Arriving(store)
    opened = coming.open(DIGEST, len(DATA), "", 60)
    assert (opened.there, len(opened.upload), len(opened.slots)) == (False, 32, 1)
    bring(opened)
    again = coming.open(DIGEST, len(DATA), opened.upload, 60)
    assert again == Opening(False, opened.upload, ())
    coming.accept(opened.upload, DIGEST, len(DATA))
    assert bytes(store.get(DIGEST)) == DATA
    # Whoever heard no answer.
    coming.accept(opened.upload, DIGEST, len(DATA))
    assert coming.open(DIGEST, len(DATA), "", 60) == Opening(True, "", ())


def test_what_has_not_come_is_no_object(store: ObjectStore) -> None:
    coming = Arriving(store)
    opened = coming.open(DIGEST, len(DATA), "", 60)
    with pytest.raises(ArtifactMissing, match="Not all of the object"):
        coming.accept(opened.upload, DIGEST, len(DATA))
    assert not store.exists(DIGEST)


def test_what_is_never_accepted_is_swept(store: ObjectStore) -> None:
    coming = Arriving(store)
    bring(coming.open(DIGEST, len(DATA), "", 60))
    assert coming.sweep(60) == 0
    assert coming.sweep(-10) == len(DATA)


@pytest.mark.parametrize("memory", [True, False])
def test_other_stores_take_nothing_by_addresses(tmp_path: Path, memory: bool) -> None:
    store = ObjectStore("memory://arriving" if memory else tmp_path)
    coming = Arriving(store)
    assert coming.open(DIGEST, len(DATA), "", 60) == Opening(False, "", ())
    assert coming.sweep(0) == 0
    with pytest.raises(ArtifactMissing, match="takes nothing by URLs"):
        coming.accept("0" * 32, DIGEST, len(DATA))


def test_what_is_too_large_is_not_brought_so(store: ObjectStore) -> None:
    assert Arriving(store).open(DIGEST, arriving.LARGEST + 1, "", 60) == Opening(False, "", ())
