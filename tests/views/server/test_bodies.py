"""What is sent is read with care."""

from __future__ import annotations

import http.client
import json
import logging
import socket
from urllib.parse import urlsplit

import pytest

from tests.views.server.conftest import Client, work


def test_what_is_no_json(client: Client) -> None:
    for data in (b"{", b"[1,", b"[" * 100_000, b"\xff", b"x" * (1 << 17)):
        for method, path in (("POST", "/work"), ("PUT", "/work"), ("POST", "/view"), ("POST", "/work/withdraw")):
            told = client(method, path, data=data, Content_Type="application/json")
            assert told.status == 400, told
            assert "no JSON" in told.value["error"]


def test_who_may_not_is_told_before_anything_is_read(guarded: Client) -> None:
    parts = urlsplit(guarded.url)
    for method, path, scope in (("POST", "/work", "read"), ("POST", "/api/v1/work", "read"), ("POST", "/view", "")):
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)
        connection.putrequest(method, path)
        if scope:
            connection.putheader("Authorization", f"Bearer {guarded.token(scope)}")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(1 << 20))
        connection.endheaders()
        # Not a byte of it is sent.
        assert connection.getresponse().status == (403 if scope else 401)
        connection.close()


def test_many_mistakes_are_one_answer(client: Client) -> None:
    lists = b"[" + b"[]," * 300_000 + b"[]]"
    for path, data in (("/work", lists), ("/view", b'{"sort":' + lists + b"}")):
        told = client("POST", path, data=data, Content_Type="application/json")
        assert told.status == 422
        assert len(told.data) < 1000


@pytest.mark.parametrize("size", [100, 200_000])
def test_small_and_large_ones_are_read_alike(client: Client, size: int) -> None:
    given = [work(parameters={"x": "a" * size})]
    ids = client("POST", "/work?return_ids=1", given, X_Request_Id=f"size-{size}").value
    assert client("POST", "/work?return_ids=1", given, X_Request_Id=f"size-{size}").value == ids
    assert client("POST", "/view", {"query": {"id": ids[0]}}).value[0]["parameters"] == given[0]["parameters"]


def test_who_hangs_up_while_sending_is_no_defect(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    parts = urlsplit(client.url)
    caplog.set_level(logging.INFO, "daskflow.server")
    for path in ("/artifacts/files/broken", "/work"):
        with socket.create_connection((str(parts.hostname), parts.port or 0)) as line:
            method = "PUT" if "files" in path else "POST"
            head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            line.sendall(f"{head}Content-Length: 1000\r\n\r\n{json.dumps([1])}".encode())
    while sum("hung up" in record.getMessage() for record in list(caplog.records)) < 1:
        assert client("GET", "/status").status == 200
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_what_is_asked_for_twice_is_not_clear(client: Client) -> None:
    told = client("GET", "/status/buckets?pipeline=a&pipeline=b")
    assert (told.status, told.value["error"]) == (422, "What was sent does not fit: pipeline is there more than once.")
    assert client("DELETE", "/work?ids=a&ids=b").status == 200


@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data", "\xe4", "json"]
)
def test_what_is_not_said_to_be_json_is_told_how_it_is(client: Client, kind: str) -> None:
    for method, path in (("POST", "/work"), ("PUT", "/work"), ("POST", "/view"), ("POST", "/work/withdraw")):
        told = client(method, path, data=b"[]", Content_Type=kind)
        assert (told.status, "Send `Content-Type: application/json`" in told.value["error"]) == (415, True)


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON", "application/problem+json"])
def test_what_is_said_to_be_json_is_read(client: Client, kind: str) -> None:
    assert client("POST", "/view", data=b"{}", Content_Type=kind).value == []
