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
from daskflow.artifacts.places.parts import PART_LIMIT
from daskflow.artifacts.store import ObjectStore
from daskflow.errors import ArtifactDamaged, ArtifactError, ArtifactMissing, StoreSilent
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
        urllib3.request("PUT", slot.url, body=data, timeout=60.0)
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


class Sweeps:
    """Counts how often it was swept."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: Exception | None = None) -> None:
        self._change = threading.Condition()
        self._count = 0
        sweep = Arriving.sweep

        def counted(coming: Arriving, older: float) -> int:
            try:
                if error is not None and not self._count:
                    raise error
                return sweep(coming, older)
            finally:
                with self._change:
                    self._count += 1
                    self._change.notify_all()

        monkeypatch.setattr(Arriving, "sweep", counted)

    def wait(self, more: int) -> None:
        with self._change:
            count = self._count + more
            assert self._change.wait_for(lambda: self._count >= count, 60)


def test_what_was_never_completed_is_removed_though_nobody_brings_anything(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "_SWEEPS", 0.01)
    sweeps = Sweeps(monkeypatch)
    claims: list[int] = []
    desk = Uploads(store, lambda: claims.append(1))
    upload = brought(desk)
    sweeps.wait(2)
    assert desk.open(DIGEST, len(DATA), upload).slots == ()
    monkeypatch.setattr(uploads, "_KEPT", -10.0)
    sweeps.wait(2)
    (slot,) = desk.open(DIGEST, len(DATA), upload).slots
    assert slot.size == len(DATA)
    assert len(claims) == 3
    desk.close()


@pytest.mark.parametrize("error", [ArtifactError("away"), ValueError("a defect")])
def test_it_is_swept_again_after_it_failed(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(uploads, "_SWEEPS", 0.01)
    sweeps = Sweeps(monkeypatch, error)
    desk = Uploads(store, lambda: None)
    sweeps.wait(3)
    desk.close()


def test_small_objects_do_not_wait_for_large_ones(desk: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()

    def slow(self: Arriving, upload: str, digest: str, size: int, *_: object) -> None:
        assert size <= PART_LIMIT or gate.wait(60)

    monkeypatch.setattr(Arriving, "accept", slow)
    large = [desk.verify(f"{number:032x}", DIGEST, PART_LIMIT + 1) for number in range(3)]
    desk.verify("f" * 32, DIGEST, PART_LIMIT).future.result(60)
    assert not any(found.future.done() for found in large)
    gate.set()
    for found in large:
        found.future.result(60)


def test_what_was_missing_and_came_since_is_verified_anew(desk: Uploads, store: ObjectStore) -> None:
    opened = desk.open(DIGEST, len(DATA))
    with pytest.raises(ArtifactMissing):
        desk.verify(opened.upload, DIGEST, len(DATA)).future.result(60)
    # Who asked has gone before it was told, and comes back.
    for slot in opened.slots:
        urllib3.request("PUT", slot.url, body=DATA, timeout=60.0)
    desk.verify(opened.upload, DIGEST, len(DATA)).future.result(60)
    assert store.exists(DIGEST)


def test_a_refusal_is_told_for_some_time_and_not_to_who_goes_on(
    desk: Uploads, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = brought(desk, bytes(len(DATA)))
    refused = desk.verify(upload, DIGEST, len(DATA))
    with pytest.raises(ArtifactDamaged):
        refused.future.result(60)
    # Its bytes are forgotten: who asks again and again hears why.
    assert desk.verify(upload, DIGEST, len(DATA)) is refused
    monkeypatch.setattr(uploads, "_HEARD", -1.0)
    with pytest.raises(ArtifactMissing):
        desk.verify(upload, DIGEST, len(DATA)).future.result(60)
    monkeypatch.undo()
    again = brought(desk, bytes(len(DATA)))
    with pytest.raises(ArtifactDamaged):
        desk.verify(again, DIGEST, len(DATA)).future.result(60)
    for slot in desk.open(DIGEST, len(DATA), again).slots:
        urllib3.request("PUT", slot.url, body=DATA, timeout=60.0)
    desk.verify(again, DIGEST, len(DATA)).future.result(60)
    assert store.exists(DIGEST)
