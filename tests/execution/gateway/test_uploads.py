"""Uploads by addresses, as a server looks after them."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator

import pytest
import urllib3

from daskflow.artifacts.arriving import Arriving
from daskflow.artifacts.contents.digests import digest_bytes
from daskflow.artifacts.store import ObjectStore
from daskflow.errors import ArtifactDamaged, StoreSilent
from daskflow.execution.gateway import uploads
from daskflow.execution.gateway.uploads import TooMany, Uploads
from tests.services.s3 import S3

DATA = os.urandom(50_000)
DIGEST = digest_bytes(DATA)


@pytest.fixture
def store(s3: S3, prefix: str) -> ObjectStore:
    return ObjectStore(s3.url(prefix), s3.options)


@pytest.fixture
def desk(store: ObjectStore) -> Iterator[Uploads]:
    made = Uploads(store, lambda: None)
    yield made
    made.close()


def brought(desk: Uploads, data: bytes = DATA) -> str:
    opened = desk.open(DIGEST, len(DATA))
    for slot in opened.slots:
        urllib3.request("PUT", slot.url, body=data)
    return opened.upload


def test_what_is_brought_is_verified(desk: Uploads, store: ObjectStore) -> None:
    found = desk.verify(brought(desk), DIGEST, len(DATA))
    assert asyncio.run(found.wait(60))
    found.future.result()
    assert found.done == len(DATA)
    assert bytes(store.get(DIGEST)) == DATA


def test_a_lie_is_told(desk: Uploads, store: ObjectStore) -> None:
    found = desk.verify(brought(desk, bytes(len(DATA))), DIGEST, len(DATA))
    with pytest.raises(ArtifactDamaged):
        found.future.result(60)
    assert not store.exists(DIGEST)


def test_who_asks_again_meanwhile_starts_nothing_more(desk: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, entered = threading.Event(), []

    def slow(self: Arriving, *_: object) -> None:
        entered.append(self)
        assert gate.wait(60)

    monkeypatch.setattr(Arriving, "accept", slow)
    first = desk.verify("a" * 32, DIGEST, 1)
    assert desk.verify("a" * 32, DIGEST, 1) is first
    assert not asyncio.run(first.wait(0.01))
    gate.set()
    assert asyncio.run(first.wait(60))
    assert len(entered) == 1
    # The answer is kept until somebody has heard it.
    assert desk.verify("a" * 32, DIGEST, 1) is first
    desk.heard("a" * 32, DIGEST, 1)
    assert desk.verify("a" * 32, DIGEST, 1) is not first


def test_only_so_many_are_verified(desk: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr(uploads, "MOST", 1)
    monkeypatch.setattr(Arriving, "accept", lambda *_: gate.wait(60))
    first = desk.verify("a" * 32, DIGEST, 1)
    with pytest.raises(TooMany):
        desk.verify("b" * 32, DIGEST, 1)
    gate.set()
    first.future.result(60)
    # Of what has ended, and nobody asks for, nothing stays in the way.
    desk.verify("b" * 32, DIGEST, 1).future.result(60)


def test_closing_ends_what_is_verified(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    desk, entered = Uploads(store, lambda: None), threading.Event()

    def slow(self: Arriving, upload: str, digest: str, size: int, progress: Callable[[int], object]) -> None:
        entered.set()
        while True:
            progress(1)

    monkeypatch.setattr(Arriving, "accept", slow)
    found = desk.verify("a" * 32, DIGEST, 1)
    assert entered.wait(60)
    desk.close()
    with pytest.raises(StoreSilent):
        found.future.result(60)


def test_what_was_never_completed_is_removed_now_and_then(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "_AT_ONCE", 1)
    time = [0.0]
    claims: list[int] = []
    desk = Uploads(store, lambda: claims.append(1), clock=lambda: time[0])
    upload = brought(desk)
    # What the first one had removed is over.
    desk._pool.submit(int).result(60)
    monkeypatch.setattr(uploads, "_KEPT", -10.0)
    assert desk.open(DIGEST, len(DATA), upload).slots == ()
    time[0] += 4000.0
    desk.open(DIGEST, len(DATA), upload)
    desk.close()
    desk = Uploads(store, lambda: None)
    (slot,) = desk.open(DIGEST, len(DATA), upload).slots
    assert slot.size == len(DATA)
    assert len(claims) == 3
    desk.close()
