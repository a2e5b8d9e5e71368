"""The routes by which objects go to the object storage by themselves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from daskflow.artifacts.contents.digests import digest_bytes
from daskflow.execution.gateway.uploads import TooMany
from daskflow.views.server import uploads
from tests.services.s3 import S3
from tests.services.servers import serving
from tests.views.server.conftest import Client

DATA = os.urandom(400_000)
DIGEST = digest_bytes(DATA)
SAID = {"digest": DIGEST, "size": len(DATA)}
NONE = "0" * 32


@pytest.fixture
def stored(s3: S3, prefix: str, tmp_path: Path) -> Iterator[Client]:
    with serving(tmp_path, artifacts=s3.url(prefix), storage=s3.options) as service:
        client = Client(service.url, tmp_path)
        yield client
        client.close()


def bring(opened: dict[str, Any], data: bytes = DATA) -> None:
    for part in opened["parts"]:
        sent = data[part["start"] : part["start"] + part["size"]]
        assert urllib3.request("PUT", part["url"], body=sent, timeout=60.0).status == 200


def test_an_object_goes_there_without_passing_through_the_server(stored: Client, s3: S3) -> None:
    opened = stored("POST", "/artifacts/uploads", SAID).value
    assert (opened["there"], len(opened["parts"])) == (False, 1)
    assert opened["parts"][0]["url"].startswith(s3.endpoint)
    bring(opened)
    # It is none before it is verified.
    assert stored("GET", f"/artifacts/objects/{DIGEST}").status == 404
    done = stored("POST", f"/artifacts/uploads/{opened['upload']}/completed", SAID)
    assert (done.status, done.value) == (200, SAID | {"verified": len(DATA)})
    assert stored("GET", f"/artifacts/objects/{DIGEST}?via=server").data == DATA
    # Whoever hears no answer says it again, and needs not bring it again.
    assert stored("POST", f"/artifacts/uploads/{opened['upload']}/completed", SAID).status == 200
    assert stored("POST", "/artifacts/uploads", SAID).value["there"]
    named = stored("PUT", "/artifacts/names/sky", {"digest": DIGEST})
    assert (named.status, named.value["size"]) == (200, len(DATA))


def test_who_lies_about_the_digest_makes_no_object(stored: Client) -> None:
    opened = stored("POST", "/artifacts/uploads", SAID).value
    bring(opened, bytes(len(DATA)))
    told = stored("POST", f"/artifacts/uploads/{opened['upload']}/completed", SAID)
    assert (told.status, told.value["kind"]) == (422, "ArtifactDamaged")
    assert "daskflow/" not in told.value["error"]
    assert stored("GET", f"/artifacts/objects/{DIGEST}").status == 404
    assert stored("GET", f"/artifacts/objects/{digest_bytes(bytes(len(DATA)))}").status == 404
    # All of it is to be brought again.
    again = stored("POST", "/artifacts/uploads", SAID | {"upload": opened["upload"]}).value
    assert [part["size"] for part in again["parts"]] == [len(DATA)]


def test_what_has_not_come(stored: Client) -> None:
    opened = stored("POST", "/artifacts/uploads", SAID).value
    told = stored("POST", f"/artifacts/uploads/{opened['upload']}/completed", SAID)
    assert (told.status, told.value["kind"]) == (404, "ArtifactMissing")
    bring(opened)
    assert stored("POST", "/artifacts/uploads", SAID | {"upload": opened["upload"]}).value["parts"] == []
    assert stored("POST", f"/artifacts/uploads/{opened['upload']}/completed", SAID).status == 200


def test_who_waits_for_a_long_verification_asks_again(stored: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "_PATIENCE", 0.0)
    opened = stored("POST", "/artifacts/uploads", SAID).value
    bring(opened)
    told = stored("POST", f"/artifacts/uploads/{opened['upload']}/completed", SAID)
    while told.status == 202:
        assert 0 <= told.value["verified"] <= len(DATA)
        told = stored("POST", f"/artifacts/uploads/{opened['upload']}/completed", SAID)
    assert told.status == 200


def test_too_many(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daskflow.execution.gateway.uploads.Uploads.verify", raising)
    told = client("POST", f"/artifacts/uploads/{NONE}/completed", SAID)
    assert (told.status, told.headers["Retry-After"]) == (429, "5")


def raising(*_: object) -> None:
    raise TooMany


def test_a_directory_takes_it_through_the_server(client: Client) -> None:
    assert client("POST", "/artifacts/uploads", SAID).value == {
        "there": False,
        "upload": "",
        "parts": [],
        "expires": 3600.0,
    }
    assert client("POST", f"/artifacts/uploads/{NONE}/completed", SAID).status == 404
    assert client("PUT", f"/artifacts/objects/{DIGEST}", data=DATA).value == SAID


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"digest": DIGEST},
        {"digest": DIGEST.upper(), "size": 1},
        {"digest": "../" * 11, "size": 1},
        {"digest": DIGEST, "size": -1},
        {"digest": DIGEST, "size": 2**70},
        {"digest": DIGEST, "size": 1, "upload": "../objects"},
        {"digest": DIGEST, "size": "1"},
        {"digest": DIGEST, "size": 1, "more": 1},
        [],
    ],
)
def test_what_is_no_announcement(client: Client, said: Any) -> None:
    assert client("POST", "/artifacts/uploads", said).status == 422


@pytest.mark.parametrize("upload", ["x", NONE.upper()[:31], "..%2f..%2fobjects", NONE + "0", "A" * 32])
def test_what_is_no_upload(client: Client, upload: str) -> None:
    assert client("POST", f"/artifacts/uploads/{upload}/completed", SAID).status in {404, 422}
