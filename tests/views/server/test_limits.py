"""Requests that are too large are refused before they are kept."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.views.server.conftest import Client, work


def large(size: int) -> bytes:
    return json.dumps([work(parameters={"x": "a" * size})]).encode()


def test_what_is_announced_as_too_large(client: Client) -> None:
    told = client("POST", "/work", data=large(1 << 20), Content_Type="application/json")
    assert told.status == 413
    assert "at most 1 MiB" in told.value["error"]
    assert client("POST", "/work", data=large(1 << 19), Content_Type="application/json").status == 200


@pytest.mark.parametrize("path", ["/work", "/api/v1/work"])
def test_what_turns_out_to_be_too_large(client: Client, path: str) -> None:
    def pieces() -> Iterator[bytes]:
        data = large(1 << 20)
        for start in range(0, len(data), 1 << 16):
            yield data[start : start + (1 << 16)]

    parts = urlsplit(client.url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)
    headers = {"Content-Type": "application/json"}
    connection.request("POST", path, body=pieces(), headers=headers, encode_chunked=True)
    answer = connection.getresponse()
    assert answer.status == 413
    assert "at most" in json.loads(answer.read())["error"]
    connection.close()


def test_files_may_be_larger(client: Client) -> None:
    data = b"x" * (3 << 20)
    assert client("PUT", "/artifacts/files/large", data=data).value["size"] == len(data)
    assert client("PUT", "/api/v1/artifacts/files/large", data=data).status == 200


def test_who_may_not_enter_is_told_before_anything_is_read(guarded: Client) -> None:
    parts = urlsplit(guarded.url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)
    connection.putrequest("POST", "/work")
    connection.putheader("Content-Length", str(1 << 20))
    connection.endheaders()
    # Not a byte of it is sent.
    assert connection.getresponse().status == 401
    connection.close()
