"""Objects on their way to a real server and back, by a real object storage and without."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
from urllib3.exceptions import HTTPError, NewConnectionError, ProtocolError

from daskflow.artifacts.contents.digests import digest_bytes
from daskflow.artifacts.places import parts
from daskflow.artifacts.places.cloud import Cloud
from daskflow.artifacts.store import ObjectStore
from daskflow.errors import ArtifactDamaged, ArtifactMissing, NameRefused, ServerSilent
from daskflow.stores.buckets import freight as freights
from daskflow.stores.buckets.freight import Freight
from daskflow.stores.buckets.line import Line
from daskflow.views.server import uploads
from tests.services.certificates import authority, taking
from tests.services.s3 import S3
from tests.services.servers import serving

SIZES = [0, 1, 1000, 1001, 2000, 4500]


class Sent:
    """Tells by which ways bytes went."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.through: list[int] = []
        send = Line.send

        def told(line: Line, path: str, size: int, data: Callable[[], Any]) -> Any:
            self.through.append(size)
            return send(line, path, size, data)

        monkeypatch.setattr(Line, "send", told)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    return Sent(monkeypatch)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freights, "_SMALL", 1000)
    monkeypatch.setattr(freights, "_BLOCK", 700)
    monkeypatch.setattr(parts, "PART_SIZE", 1000)
    monkeypatch.setattr(parts, "PART_LIMIT", 2000)


@pytest.fixture(params=["directory", "s3"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def store(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> ObjectStore:
    if kind == "directory":
        return ObjectStore(tmp_path / "artifacts")
    s3, prefix = request.getfixturevalue("s3"), request.getfixturevalue("prefix")
    assert isinstance(s3, S3)
    return ObjectStore(s3.url(prefix), s3.options)


@pytest.fixture
def freight(store: ObjectStore, tmp_path: Path) -> Iterator[Freight]:
    with serving(tmp_path, artifacts=store.url, storage=store.options) as service:
        line = Line(service.url, None, patience=5.0)
        made = Freight(line)
        yield made
        made.close()
        line.close()


def bring(freight: Freight, data: bytes, digest: str = "") -> str:
    digest = digest or digest_bytes(data)
    freight.store(digest, len(data), lambda start, size: data[start : start + size])
    return digest


@pytest.mark.parametrize("size", SIZES)
def test_what_is_brought_is_there(freight: Freight, store: ObjectStore, kind: str, sent: Sent, size: int) -> None:
    data = os.urandom(size)
    assert freight.size(digest_bytes(data)) is None
    digest = bring(freight, data)
    assert bytes(store.get(digest)) == data
    assert freight.size(digest) == size
    assert b"".join(freight.fetch(digest)) == data
    assert b"".join(freight.fetch(digest, 300, 1200)) == data[300:1200]
    # Large ones go to the object storage by themselves.
    assert sent.through == ([] if kind == "s3" and size > 1000 else [size])


def test_what_is_there_is_not_brought_again(freight: Freight, sent: Sent) -> None:
    data = os.urandom(300_000)
    digest = bring(freight, data)
    assert freight.has(digest, len(data))

    def unread(start: int, size: int) -> bytes:
        raise AssertionError("nothing is to be read")

    sent.through.clear()
    freight.store(digest, len(data), unread)
    assert sent.through == []


@pytest.mark.parametrize("size", [500, 1500, 4500])
def test_a_lie_about_the_digest_is_told(freight: Freight, store: ObjectStore, size: int) -> None:
    lie = digest_bytes(os.urandom(size))
    with pytest.raises(ArtifactDamaged, match=lie):
        bring(freight, os.urandom(size), lie)
    assert not store.exists(lie)


def test_what_is_not_there(freight: Freight) -> None:
    with pytest.raises(ArtifactMissing):
        list(freight.fetch("0" * 32))
    with pytest.raises(ArtifactMissing):
        freight.named("nothing")
    with pytest.raises(ArtifactMissing):
        freight.give("name", "0" * 32, "file")


def test_names(freight: Freight, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    ask = Line.ask

    def told(line: Line, method: str, path: str, **more: Any) -> Any:
        asked.append(path)
        return ask(line, method, path, **more)

    monkeypatch.setattr(Line, "ask", told)
    digest = bring(freight, b"data")
    assert freight.give("raw/sky map.h5", digest, "file")["size"] == 4
    assert freight.named("raw/sky map.h5")["digest"] == digest
    assert freight.names("raw/") == ["raw/sky map.h5"]
    with pytest.raises(NameRefused):
        freight.give("a//b", digest, "file")
    # Proxies may take no slashes that are written as %2F.
    assert "/artifacts/names/raw/sky%20map.h5" in asked
    assert not [path for path in asked if "%2F" in path.upper()]


class Broken:
    """Connections that fail so often before they work."""

    def __init__(self, error: HTTPError, times: int) -> None:
        self._pool = urllib3.PoolManager()
        self._error = error
        self.times = times

    def request(self, *given: Any, **more: Any) -> Any:
        if self.times:
            self.times -= 1
            raise self._error
        return self._pool.request(*given, **more)


@pytest.mark.parametrize("kind", ["s3"])
def test_where_the_object_storage_is_out_of_reach_all_goes_through_the_server(
    freight: Freight, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Broken(NewConnectionError(urllib3.connection.HTTPConnection("127.0.0.1"), "refused"), 10**6)
    monkeypatch.setattr(freight, "_connected", lambda: broken)
    data = os.urandom(4500)
    digest = bring(freight, data)
    assert sent.through == [4500]
    assert b"".join(freight.fetch(digest)) == data
    # After the first time it is not tried again.
    used = 10**6 - broken.times
    assert bring(freight, data[1:])
    assert b"".join(freight.fetch(digest, 1, 9)) == data[1:9]
    assert 10**6 - broken.times == used


@pytest.mark.parametrize("kind", ["s3"])
def test_what_breaks_off_is_brought_again(freight: Freight, sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    # Of five parts, once each of four.
    broken = Broken(ProtocolError("broken"), 4)
    monkeypatch.setattr(freight, "_connected", lambda: broken)
    data = os.urandom(4500)
    digest = bring(freight, data)
    assert sent.through == []
    broken.times = 1
    assert b"".join(freight.fetch(digest)) == data


@pytest.mark.parametrize("kind", ["s3"])
def test_an_object_storage_that_takes_nothing_is_left_alone(
    freight: Freight, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Broken(ProtocolError("broken"), 10**6)
    monkeypatch.setattr(freight, "_connected", lambda: broken)
    data = os.urandom(4500)
    bring(freight, data)
    assert sent.through == [4500]
    # Each part was tried once.
    assert 10**6 - broken.times == 5


def send_elsewhere(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Have parts sent to another address."""
    ask = Line.ask

    def told(line: Line, method: str, path: str, **more: Any) -> Any:
        reply = ask(line, method, path, **more)
        if path == "/artifacts/uploads":
            for part in reply.value["parts"]:
                part["url"] = f"{url}/{part['start']}"
        return reply

    monkeypatch.setattr(Line, "ask", told)


@pytest.mark.parametrize("kind", ["s3"])
def test_the_authorities_of_the_server_are_trusted_at_the_object_storage_too(
    freight: Freight, sent: Sent, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    certificate = authority(tmp_path)
    with taking(certificate) as taker:
        send_elsewhere(monkeypatch, taker.url)
        bring(freight, os.urandom(4500))
        assert (taker.taken, sent.through) == ([], [4500])
        # Who is not trusted is not tried again, neither with another part nor with another object.
        tried = taker.tried
        assert tried <= 5
        bring(freight, os.urandom(4500))
        assert taker.tried == tried
        trusting = Freight(Line(freight.url, None, authorities=certificate, patience=5.0))
        bring(trusting, os.urandom(4500))
        assert set(taker.taken) == {500, 1000}
        trusting._line.close()
        trusting.close()


@pytest.mark.parametrize("size", [500, 4500])
def test_what_is_there_is_known(freight: Freight, store: ObjectStore, size: int) -> None:
    data = os.urandom(size)
    assert not freight.has(digest_bytes(data), size)
    digest = store.put(data)
    assert freight.has(digest, size)
    assert not freight.has(digest, size + 1)


@pytest.mark.parametrize("kind", ["s3"])
def test_large_objects_are_not_copied_within_the_object_storage(freight: Freight, store: ObjectStore) -> None:
    data = os.urandom(4500)
    digest = store.put(data)
    assert b"".join(freight.fetch(digest, 0, 1)) == data[:1]
    assert b"".join(freight.fetch(digest, 900, 3100)) == data[900:3100]
    assert b"".join(freight.fetch(digest)) == data
    assert list(freight.fetch(digest, 4500)) == []
    place = store._place
    assert isinstance(place, Cloud)
    assert list(place.bucket.list("links")) == []


@pytest.mark.parametrize("kind", ["s3"])
def test_addresses_that_have_ended_are_asked_for_again(
    freight: Freight, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = [True]
    ask = Line.ask

    def told(line: Line, method: str, path: str, **more: Any) -> Any:
        reply = ask(line, method, path, **more)
        if path == "/artifacts/uploads" and ended and ended.pop():
            for part in reply.value["parts"]:
                part["url"] = part["url"].replace("X-Amz-Date=2", "X-Amz-Date=1")
        return reply

    monkeypatch.setattr(Line, "ask", told)
    data = os.urandom(4500)
    bring(freight, data)
    assert sent.through == []


@pytest.mark.parametrize("kind", ["s3"])
def test_a_long_verification_is_asked_for_until_it_ends(freight: Freight, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "_PATIENCE", 0.0)
    data = os.urandom(4500)
    digest = bring(freight, data)
    assert b"".join(freight.fetch(digest)) == data


class Torn:
    """An answer that breaks off after some bytes."""

    status = 200

    def __init__(self, data: bytes) -> None:
        self._data = data

    def stream(self, size: int) -> Iterator[bytes]:
        yield self._data
        raise ProtocolError("broken")

    def close(self) -> None:
        pass


def test_an_answer_that_breaks_off_goes_on_where_it_was(freight: Freight, monkeypatch: pytest.MonkeyPatch) -> None:
    data = os.urandom(3000)
    digest = bring(freight, data)
    opened, torn = freight._opened, [True, False, True]

    def opening(digest: str, start: int, stop: int | None) -> Any:
        return Torn(data[start : start + 100]) if torn and torn.pop() else opened(digest, start, stop)

    monkeypatch.setattr(freight, "_opened", opening)
    assert b"".join(freight.fetch(digest)) == data
    monkeypatch.setattr(freight, "_opened", lambda *_: Torn(b""))
    monkeypatch.setattr(freights, "_PAUSE", 0.0)
    with pytest.raises(ServerSilent, match="breaks off"):
        list(freight.fetch(digest))


def test_it_pickles(freight: Freight) -> None:
    digest = bring(freight, b"data")
    other = pickle.loads(pickle.dumps(freight))
    assert b"".join(other.fetch(digest)) == b"data"
    assert other.url == freight.url
    other._line.close()
    other.close()
