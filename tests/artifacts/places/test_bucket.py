"""A bucket on a real server, and before it a proxy that has bad days."""

from __future__ import annotations

import os
import time
import urllib.request
from pathlib import Path

import pytest

from daskflow.artifacts.places.bucket import Bucket
from daskflow.artifacts.places.connection import connect
from daskflow.artifacts.places.memory import Memory
from daskflow.errors import AccessRefused, ArtifactError, StoreSilent
from tests.services.counting import Counting, Request
from tests.services.s3 import S3


def bucket(server: S3, prefix: str, **options: str) -> Bucket:
    url = server.url(prefix)
    return Bucket(url, lambda: connect(url, {**server.options, **options}))


def test_round_trip(s3: S3, prefix: str, tmp_path: Path) -> None:
    found = bucket(s3, prefix)
    found.put("a/b", b"data")
    assert bytes(found.get("a/b")) == b"data"
    assert bytes(found.get_range("a/b", 1, 3)) == b"at"
    assert bytes(found.get_range("a/b", 1, 30)) == b"ata"
    assert bytes(found.get_range("a/b", 4, 30)) == b""
    head = found.head("a/b")
    assert head is not None
    assert head.size == 4
    assert abs(head.time - time.time()) < 600
    found.copy("a/b", "a/c")
    (tmp_path / "file").write_bytes(b"longer")
    found.put_file("d", tmp_path / "file")
    assert [(key, each.size) for key, each in found.list("a")] == [("a/b", 4), ("a/c", 4)]
    found.delete("a/b")
    found.delete("a/b")
    assert found.head("a/b") is None
    assert bytes(found.get("d")) == b"longer"


def test_what_is_not_there(s3: S3, prefix: str) -> None:
    found = bucket(s3, prefix)
    assert found.head("none") is None
    assert list(found.list("none")) == []
    for ask in (lambda: found.get("none"), lambda: found.get_range("none", 0, 1), lambda: found.copy("none", "a")):
        with pytest.raises(FileNotFoundError):
            ask()


def test_create(s3: S3, prefix: str) -> None:
    found = bucket(s3, prefix)
    assert found.create("a", b"mine")
    assert not found.create("a", b"yours")
    assert bytes(found.get("a")) == b"mine"


def test_bucket_that_does_not_exist(s3: S3) -> None:
    """The server would make it when something is written; that it is not there is told before."""
    url = "s3://no-such-bucket/prefix"

    def opened() -> Bucket:
        return Bucket(url, lambda: connect(url, s3.options))

    for ask in (
        lambda: opened().head("a"),
        lambda: opened().get("a"),
        lambda: opened().put("a", b""),
        lambda: opened().create("a", b""),
        lambda: list(opened().list("a")),
    ):
        with pytest.raises(AccessRefused, match=r"The bucket 'no-such-bucket' of .* does not exist\. Make it"):
            ask()


@pytest.mark.parametrize("name", ["secret_access_key", "access_key_id", "session_token"])
def test_wrong_credentials(s3: S3, prefix: str, name: str) -> None:
    found = bucket(s3, prefix, **{name: "not-this-one"})
    for ask in (lambda: found.head("a"), lambda: found.get("a"), lambda: found.put("a", b"")):
        with pytest.raises(AccessRefused, match="refuses the credentials") as caught:
            ask()
        assert "not-this-one" not in str(caught.value)
        assert s3.options["secret_access_key"] not in str(caught.value)


def test_busy_store_is_asked_again(s3: S3, prefix: str, counting: Counting) -> None:
    found = bucket(s3.through(counting.endpoint), prefix)
    found.put("a", b"data")
    for ask in (lambda: found.head("a"), lambda: found.get("a"), lambda: found.put("a", b"data")):
        counting.reset()
        counting.busy = 3
        ask()
        assert len(counting.requests) == 4
    counting.busy = 2
    assert found.create("b", b"data")


def test_store_that_stays_busy(s3: S3, prefix: str, counting: Counting) -> None:
    found = bucket(s3.through(counting.endpoint), prefix, retry_timeout="0.5")
    counting.busy = 1_000_000
    with pytest.raises(StoreSilent, match=r"does not answer.*503") as caught:
        found.get("a")
    assert caught.value.transient
    assert len(counting.requests) >= 2


def test_store_that_is_down(s3: S3, prefix: str) -> None:
    found = bucket(s3.through("http://127.0.0.1:1"), prefix, retry_timeout="0.3")
    with pytest.raises(StoreSilent, match="Connection refused"):
        found.head("a")


def test_broken_connections(s3: S3, prefix: str, counting: Counting) -> None:
    found, data = bucket(s3.through(counting.endpoint), prefix), os.urandom(1 << 20)
    for key, write in (("a", found.put), ("b", found.create)):
        counting.cutting = 1
        write(key, data)
        counting.breaking = 1
        assert found.get(key) == data
        assert counting.breaking == counting.cutting == 0


def test_broken_connection_does_not_replace_what_another_made(s3: S3, prefix: str, counting: Counting) -> None:
    found = bucket(s3.through(counting.endpoint), prefix)
    found.head("none")

    def overtake(request: Request) -> None:
        if request.method == "PUT":
            counting.on_request = None
            bucket(s3, prefix).put("a", b"theirs")
            raise EOFError

    counting.on_request = overtake
    assert not found.create("a", b"ours")
    assert bytes(found.get("a")) == b"theirs"


def test_signed_url(s3: S3, prefix: str) -> None:
    found = bucket(s3, prefix)
    found.put("a", b"data")
    url = found.sign("a", 60)
    assert s3.options["secret_access_key"] not in url
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"data"


def test_no_urls_of_memory() -> None:
    with pytest.raises(ArtifactError, match="have no URLs"):
        Memory("urls")._bucket.sign("a", 60)
