"""How stores are reached: options, environment, and what fits neither."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from daskflow.artifacts.places.bucket import Bucket
from daskflow.artifacts.places.connection import connect
from daskflow.errors import AccessRefused, SettingsInvalid

LOGIN = {"access_key_id": "a", "secret_access_key": "hidden"}


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("AWS_", "AZURE_", "GOOGLE_"))]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("url", "options", "kind"),
    [
        ("s3://bucket/a/b", LOGIN, "S3Store"),
        ("s3://bucket", {"AWS_ACCESS_KEY_ID": "a", "aws_secret_access_key": "b", "endpoint": "http://x:1"}, "S3Store"),
        ("s3://bucket", {"skip_signature": "true", "endpoint": "https://x"}, "S3Store"),
        ("gs://bucket/a", {}, "GCSStore"),
        ("az://container/a", {"account_name": "me"}, "AzureStore"),
    ],
)
def test_kinds(url: str, options: dict[str, str], kind: str) -> None:
    store = connect(url, options)
    assert type(store).__name__ == kind
    assert (store.prefix or "") == url.split("/", 3)[3] if url.count("/") > 2 else not store.prefix  # type: ignore[union-attr]


def test_account_of_azure_is_asked_for() -> None:
    with pytest.raises(SettingsInvalid, match="Account must be specified"):
        connect("az://container/a", {})


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"])
def test_endpoint_of_the_environment_counts_too(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:1")
    with pytest.raises(AccessRefused, match="no credentials"):
        connect("s3://bucket", {})
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    connect("s3://bucket", {})


@pytest.mark.parametrize("text", ["soon", "-1", ""])
def test_retry_timeout_is_a_time(text: str) -> None:
    with pytest.raises(SettingsInvalid, match="retry_timeout is a number of seconds"):
        connect("s3://bucket", {**LOGIN, "retry_timeout": text})


def test_option_that_does_not_fit_is_named_without_secrets() -> None:
    with pytest.raises(SettingsInvalid, match="colour") as caught:
        connect("s3://bucket", {**LOGIN, "colour": "red"})
    assert "hidden" not in str(caught.value)


class Answering(BaseHTTPRequestHandler):
    """Takes whatever is written, and has nothing."""

    seen: ClassVar[list[tuple[str, str, bool]]] = []

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.seen.append((self.command, self.path, "Authorization" in self.headers))
        listing = "comp=list" in self.path or "list-type" in self.path
        root = b"EnumerationResults" if "comp=list" in self.path else b"ListBucketResult"
        body = b"<%s><Blobs></Blobs></%s>" % (root, root) if listing else b""
        self.send_response(201 if self.command == "PUT" else 200 if listing else 404)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"1"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_HEAD = _answer  # noqa: N815 - names that the base class looks for

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def endpoint() -> Iterator[str]:
    """A server that answers in the words of Azure; there is none of Google's or Microsoft's to be had on loopback."""
    Answering.seen.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_azure_is_asked_below_the_prefix(endpoint: str) -> None:
    options = {"account_name": "me", "account_key": "c2VjcmV0", "endpoint": f"{endpoint}/me"}
    bucket = Bucket("az://container/pre", lambda: connect("az://container/pre", options))
    assert bucket.create("a/b", b"data")
    assert bucket.head("none") is None
    asked = [each for each in Answering.seen if "comp=list" not in each[1]]
    assert asked == [("PUT", "/me/container/pre/a/b", True), ("HEAD", "/me/container/pre/none", True)]


def test_google_is_asked_at_the_endpoint(endpoint: str) -> None:
    login = {
        "gcs_base_url": endpoint,
        "disable_oauth": True,
        "client_email": "",
        "private_key": "",
        "private_key_id": "",
    }
    options = {"service_account_key": json.dumps(login), "endpoint": endpoint}
    bucket = Bucket("gs://bucket/pre", lambda: connect("gs://bucket/pre", options))
    assert bucket.head("none") is None
    assert ("HEAD", "/bucket/pre%2Fnone", False) in Answering.seen
