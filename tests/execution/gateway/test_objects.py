"""Artifacts for those who ask over a network."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest

from daskflow.artifacts.contents.digests import digest_bytes
from daskflow.artifacts.names import Named, Names
from daskflow.artifacts.places import parts
from daskflow.artifacts.places.cloud import Cloud
from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.trees import Entry, Tree
from daskflow.errors import ArtifactDamaged, ArtifactMissing, NameRefused, WorkInvalid
from daskflow.execution.gateway import objects
from daskflow.execution.gateway.objects import ObjectDesk, Piece
from tests.services.s3 import S3

DATA = bytes(range(256)) * 40


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore(tmp_path / "artifacts")


@pytest.fixture
def claims() -> list[int]:
    return []


@pytest.fixture
def desk(store: ObjectStore, claims: list[int]) -> ObjectDesk:
    return ObjectDesk(store, lambda: claims.append(1))


def brought(desk: ObjectDesk, data: bytes, digest: str = "") -> tuple[str, int]:
    incoming = desk.new()
    try:
        for start in range(0, len(data), 1000):
            incoming.write(data[start : start + 1000])
        return incoming.keep(digest)
    finally:
        incoming.close()


def test_what_comes_is_an_object(desk: ObjectDesk, store: ObjectStore, claims: list[int]) -> None:
    digest, size = brought(desk, DATA)
    assert (digest, size) == (digest_bytes(DATA), len(DATA))
    assert bytes(store.get(digest)) == DATA
    assert claims


def test_other_bytes_are_refused(desk: ObjectDesk, store: ObjectStore) -> None:
    with pytest.raises(ArtifactDamaged, match="instead of"):
        brought(desk, DATA, "0" * 32)
    assert list(store.objects()) == []


def test_what_breaks_off_leaves_nothing(desk: ObjectDesk, store: ObjectStore, tmp_path: Path) -> None:
    incoming = desk.new()
    incoming.write(DATA)
    incoming.close()
    assert list(store.objects()) == []
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.read_bytes() == DATA]


def test_names(desk: ObjectDesk) -> None:
    digest, _ = brought(desk, DATA)
    given = desk.give("raw/sky.h5", digest, "file")
    assert (given.size, given.kind) == (len(DATA), "file")
    assert desk.find("raw/sky.h5") == given
    assert desk.digest_of("raw/sky.h5") == digest
    assert desk.names("raw/", 10) == [given]
    assert desk.names("", 0) == []


def test_what_is_not_there(desk: ObjectDesk, store: ObjectStore) -> None:
    for act in (
        lambda: desk.find("nothing"),
        lambda: desk.give("name", "0" * 32, "file"),
        lambda: desk.piece("0" * 32, None),
    ):
        with pytest.raises(ArtifactMissing) as missing:
            act()
        assert store.url not in str(missing.value)
        assert "artifacts" not in str(missing.value).partition("artifact store")[0]


def test_what_is_no_name_and_no_digest(desk: ObjectDesk) -> None:
    for name in ("../etc", "a//b", "a\0", ""):
        with pytest.raises(NameRefused):
            desk.check(name)
    with pytest.raises(WorkInvalid, match="no digest"):
        desk.give("name", "../../etc/passwd", "file")


def test_a_directory_is_no_file(desk: ObjectDesk, store: ObjectStore) -> None:
    Names(store).give(Named("tree", "0" * 32, 10, "tree"))
    with pytest.raises(WorkInvalid, match="is a directory"):
        desk.digest_of("tree")


@pytest.mark.parametrize(
    ("span", "part"),
    [
        (None, (0, 10240)),
        ((0, None), (0, 10240)),
        ((0, 0), (0, 1)),
        ((5, 9), (5, 10)),
        ((10239, None), (10239, 10240)),
        ((10000, 99999999), (10000, 10240)),
        ((None, 5), (10235, 10240)),
        ((None, 99999), (0, 10240)),
    ],
)
def test_parts(
    desk: ObjectDesk, span: tuple[int | None, int | None] | None, part: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "BLOCK", 4000)
    digest, size = brought(desk, DATA)
    piece = desk.piece(digest, span)
    assert piece == Piece(digest, size, *part)
    found = b""
    while len(found) < part[1] - part[0]:
        found += desk.read(piece, part[0] + len(found))
    assert found == DATA[slice(*part)]


@pytest.mark.parametrize("span", [(10240, None), (99999, 100000), (None, 0)])
def test_parts_that_are_not_there(desk: ObjectDesk, span: tuple[int | None, int | None]) -> None:
    digest, _ = brought(desk, DATA)
    assert desk.piece(digest, span) is None


def test_files_of_a_directory_have_no_links(desk: ObjectDesk) -> None:
    assert desk.link(brought(desk, DATA)[0]) is None


@pytest.mark.integration
def test_an_object_storage_has_links(s3: S3, prefix: str, tmp_path: Path) -> None:
    desk = ObjectDesk(ObjectStore(s3.url(prefix), s3.options), lambda: None)
    digest, _ = brought(desk, DATA)
    link = desk.link(digest)
    assert link is not None
    with urllib.request.urlopen(link) as answer:
        assert answer.read() == DATA
    piece = desk.piece(digest, (1, 3))
    assert piece is not None
    assert desk.read(piece, 1) == DATA[1:4]
    with pytest.raises(ArtifactMissing):
        desk.link("0" * 32)
    desk.uploads.close()


@pytest.mark.integration
def test_a_large_object_goes_through_the_server_and_is_not_copied(
    s3: S3, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "PART_SIZE", 1000)
    monkeypatch.setattr(parts, "PART_LIMIT", 2000)
    store = ObjectStore(s3.url(prefix), s3.options)
    desk = ObjectDesk(store, lambda: None)
    digest, _ = brought(desk, DATA)
    assert desk.link(digest) is None
    place = store._place
    assert isinstance(place, Cloud)
    assert list(place.bucket.list("links")) == []
    piece = desk.piece(digest, (990, 2010))
    assert piece is not None
    assert desk.read(piece, 990) == DATA[990:2011]
    desk.uploads.close()


def test_what_is_to_be_a_directory_is_one(desk: ObjectDesk, store: ObjectStore) -> None:
    digest, _ = brought(desk, DATA)
    with pytest.raises(ArtifactDamaged, match="is no directory"):
        desk.give("tree", digest, "tree")
    lost = store.put(Tree({"a": Entry("f", "0" * 32, 1)}).dump())
    with pytest.raises(ArtifactMissing):
        desk.give("tree", lost, "tree")
    whole = store.put(Tree({"a": Entry("f", digest, len(DATA))}).dump())
    assert desk.give("tree", whole, "tree").kind == "tree"
