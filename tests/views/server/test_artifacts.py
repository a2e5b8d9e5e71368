"""The routes of artifacts."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest

from daskflow.artifacts.contents.digests import digest_bytes
from tests.services.s3 import S3
from tests.services.servers import serving
from tests.views.server.conftest import Client

DATA = bytes(range(256)) * 9000
DIGEST = digest_bytes(DATA)


def test_a_file_comes_and_goes(client: Client) -> None:
    told = client("PUT", "/artifacts/files/raw/sky map.h5".replace(" ", "%20"), data=DATA)
    assert (told.value["name"], told.value["digest"], told.value["size"]) == ("raw/sky map.h5", DIGEST, len(DATA))
    assert client("GET", "/artifacts/files/raw/sky%20map.h5").data == DATA
    assert client("GET", "/artifacts/names/raw/sky%20map.h5").value == told.value
    assert told.value in client("GET", "/artifacts?prefix=raw/").value
    assert client("GET", "/artifacts?prefix=cooked/").value == []


def test_objects_by_their_digests(client: Client) -> None:
    told = client("PUT", f"/artifacts/objects/{DIGEST}", data=DATA)
    assert told.value == {"digest": DIGEST, "size": len(DATA)}
    got = client("GET", f"/artifacts/objects/{DIGEST}")
    assert got.data == DATA
    assert (got.headers["ETag"], got.headers["Content-Length"]) == (f'"{DIGEST}"', str(len(DATA)))
    named = client("PUT", "/artifacts/names/copy", {"digest": DIGEST})
    assert (named.status, named.value["size"]) == (200, len(DATA))
    assert client("GET", "/artifacts/files/copy").data == DATA


def test_a_name_is_created_once(client: Client) -> None:
    another = digest_bytes(b"another")
    client("PUT", f"/artifacts/objects/{DIGEST}", data=DATA)
    client("PUT", f"/artifacts/objects/{another}", data=b"another")
    first = client("PUT", "/artifacts/names/fit", {"digest": DIGEST, "create": True}).value
    told = client("PUT", "/artifacts/names/fit", {"digest": another, "create": True})
    assert (told.status, told.value) == (200, first)
    assert client("GET", "/artifacts/names/fit").value == first
    assert client("PUT", "/artifacts/names/fit", {"digest": another}).value["digest"] != DIGEST
    assert client("PUT", "/artifacts/names/fit", {"digest": DIGEST, "create": 1}).status == 422


def test_other_bytes_than_those_of_the_digest(client: Client) -> None:
    other = digest_bytes(b"other")
    told = client("PUT", f"/artifacts/objects/{other}", data=b"something else")
    assert (told.status, told.value["kind"]) == (422, "ArtifactDamaged")
    assert client("GET", f"/artifacts/objects/{other}").status == 404


@pytest.mark.parametrize(
    ("range", "part"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=1000-1999", (1000, 2000)),
        ("bytes=2303999-", (2303999, 2304000)),
        ("bytes=-7", (2303993, 2304000)),
    ],
)
def test_parts(client: Client, range: str, part: tuple[int, int]) -> None:
    client("PUT", f"/artifacts/objects/{DIGEST}", data=DATA)
    told = client("GET", f"/artifacts/objects/{DIGEST}", Range=range, If_Range=f'"{DIGEST}"')
    assert told.status == 206
    assert told.data == DATA[slice(*part)]
    assert told.headers["Content-Range"] == f"bytes {part[0]}-{part[1] - 1}/{len(DATA)}"


@pytest.mark.parametrize(
    "range", ["bytes=5-1", "bytes=-", "bytes=0-1,4-5", "lines=1-2", "bytes=x-y", "bytes=1-" + "9" * 50]
)
def test_what_is_no_part_gives_all(client: Client, range: str) -> None:
    client("PUT", f"/artifacts/objects/{DIGEST}", data=DATA)
    told = client("GET", f"/artifacts/objects/{DIGEST}", Range=range)
    assert (told.status, len(told.data)) == (200, len(DATA))


def test_a_part_behind_the_end(client: Client) -> None:
    client("PUT", f"/artifacts/objects/{DIGEST}", data=DATA)
    told = client("GET", f"/artifacts/objects/{DIGEST}", Range="bytes=2304000-")
    assert (told.status, told.headers["Content-Range"]) == (416, "bytes */2304000")


def test_a_part_of_something_else_gives_all(client: Client) -> None:
    client("PUT", f"/artifacts/objects/{DIGEST}", data=DATA)
    told = client("GET", f"/artifacts/objects/{DIGEST}", Range="bytes=0-0", If_Range='"other"')
    assert (told.status, len(told.data)) == (200, len(DATA))


def test_what_somebody_has_is_not_sent_again(client: Client) -> None:
    client("PUT", f"/artifacts/objects/{DIGEST}", data=DATA)
    told = client("GET", f"/artifacts/objects/{DIGEST}", If_None_Match=f'W/"x", "{DIGEST}"')
    assert (told.status, told.data) == (304, b"")
    assert client("GET", f"/artifacts/objects/{'1' * 32}", If_None_Match=f'"{"1" * 32}"').status == 404


def test_what_is_empty(client: Client) -> None:
    told = client("PUT", "/artifacts/files/empty", data=b"")
    assert told.value["size"] == 0
    assert client("GET", "/artifacts/files/empty").data == b""


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/artifacts/names/nothing", 404),
        ("GET", "/artifacts/files/nothing", 404),
        ("GET", f"/artifacts/objects/{'0' * 32}", 404),
        ("GET", "/artifacts/objects/..%2f..%2fetc%2fpasswd", 404),
        ("GET", "/artifacts/objects/xyz", 422),
        ("GET", "/artifacts/files/..%2f..%2fetc%2fpasswd", 422),
        ("PUT", "/artifacts/files/a%00b", 422),
        ("PUT", "/artifacts/files/a%2f%2fb", 422),
        ("GET", "/artifacts?limit=0", 422),
    ],
)
def test_what_is_not_there_or_no_name(client: Client, method: str, path: str, status: int) -> None:
    told = client(method, path)
    assert told.status == status
    assert str(client.directory) not in told.data.decode()


@pytest.mark.integration
def test_an_object_storage_gives_by_itself_what_it_has(s3: S3, prefix: str, tmp_path: Path) -> None:
    with serving(tmp_path, artifacts=s3.url(prefix), storage=s3.options) as service:
        client = Client(service.url, tmp_path)
        assert client("PUT", "/artifacts/files/sky.h5", data=DATA).value["digest"] == DIGEST
        told = client("GET", "/artifacts/files/sky.h5")
        assert told.status == 307
        with urllib.request.urlopen(told.headers["Location"]) as answer:
            assert answer.read() == DATA
        assert client("GET", "/artifacts/files/sky.h5?via=server").data == DATA
        assert client("GET", f"/artifacts/objects/{DIGEST}?via=server", Range="bytes=1-3").data == DATA[1:4]
        client.close()
