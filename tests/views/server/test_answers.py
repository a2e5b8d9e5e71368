"""Answers: JSON whatever it holds, and errors that tell nothing of the inside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from daskflow.errors import (
    ArtifactMissing,
    BatchSilent,
    CacheFull,
    DaskflowError,
    NotFound,
    StoreError,
    StoreFull,
    StoreSilent,
    StoreUnavailable,
    TokenRefused,
    WorkInvalid,
    WorkLocked,
    WorkLost,
)
from daskflow.views.server.answers import Answer, answer_of, busy, refusal
from tests.services.servers import serving
from tests.views.server.conftest import Client, work


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"a": [1, None, True]}, {"a": [1, None, True]}),
        (float("inf"), "Infinity"),
        ({"a": (1, float("nan"))}, {"a": [1, "NaN"]}),
        ("ä\ud800", "ä\ud800"),
    ],
)
def test_whatever_it_holds(value: Any, told: Any) -> None:
    body = bytes(Answer(value).body)
    assert json.loads(body) == told
    assert body.isascii() or told != value


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (WorkInvalid("wrong"), 422),
        (WorkLost("lost"), 409),
        (WorkLocked("locked"), 423),
        (NotFound("no run"), 404),
        (ArtifactMissing("no object"), 404),
        (TokenRefused("no token"), 401),
    ],
)
def test_what_callers_did_is_told(error: DaskflowError, status: int) -> None:
    answer = answer_of(error)
    assert answer.status_code == status
    assert json.loads(bytes(answer.body)) == {"error": str(error), "kind": type(error).__name__}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StoreUnavailable("host secret-host refused"), 503),
        (StoreFull("/secret/path"), 503),
        (StoreError("SELECT x"), 500),
    ],
)
def test_what_the_store_said_is_not(error: DaskflowError, status: int) -> None:
    answer = answer_of(error)
    assert answer.status_code == status
    assert str(error) not in bytes(answer.body).decode()
    assert ("Retry-After" in answer.headers) is (status == 503)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (StoreUnavailable("host secret-host refused"), "The server is up, and its store does not answer. Try again"),
        (StoreFull("/secret/path"), "its store has no room left"),
        (StoreSilent("https://secret"), "its artifact store does not answer"),
        (CacheFull("/secret/path"), "it has no room left for what it reads"),
        (BatchSilent("sacct"), "has trouble with its store"),
    ],
)
def test_which_part_of_the_server_is_away_is_told(error: DaskflowError, told: str) -> None:
    answer = answer_of(error)
    found = json.loads(bytes(answer.body))
    assert (answer.status_code, found["kind"]) == (503, "StoreUnavailable")
    assert told in found["error"]
    assert str(error) not in found["error"]


def test_a_pause_is_told_in_whole_seconds() -> None:
    assert busy(0.01, "slowly").headers == {"Retry-After": "1"}
    assert busy(2.1, "slowly").headers == {"Retry-After": "3"}
    assert json.loads(bytes(refusal(418, "tea\0\ud800").body))["error"] == "tea\ufffd\ufffd"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"{", "application/json"),
        (b"\xff\xfe", "application/json"),
        (b'"\xed\xa0\x80"', "application/json"),
        (b"[" * 100_000, "application/json"),
        (b"[" * 100_000 + b"]" * 100_000, "application/json"),
        (b"1" * 10_000, "application/json"),
        (b"[1e999]", "application/json"),
        (b"", "application/json"),
    ],
)
def test_what_cannot_be_read(client: Client, data: bytes, kind: str) -> None:
    for method, path in (("POST", "/work"), ("PUT", "/work"), ("POST", "/view"), ("POST", "/work/withdraw")):
        told = client(method, path, data=data, Content_Type=kind)
        assert told.status in {400, 422}, told
        assert told.value["error"]


@pytest.mark.parametrize(
    ("method", "path", "given", "text"),
    [
        ("POST", "/work/withdraw", {"pipeline": 5}, "pipeline: it must be a text or a list or a mapping."),
        ("POST", "/work/withdraw", {"pipeline": ["a", 5]}, "pipeline.1: it must be a text."),
        ("POST", "/work/withdraw", {}, "pipeline: it is needed, and is not given."),
        ("POST", "/work/delete", {"ids": [], "id": 1}, "id: there is no such field."),
        ("POST", "/view", {"limit": -2, "sort": [["a"]]}, "sort.0: it must have at least 2 items, and has 1; limit:"),
        ("GET", "/artifacts?limit=0", ..., "limit: it must be at least 1."),
        ("GET", "/artifacts/objects/xyz", ..., "digest: it must look like ^[0-9a-f]{32}$."),
    ],
)
def test_what_does_not_fit_is_told_by_its_field_and_what_fits(
    client: Client, method: str, path: str, given: Any, text: str
) -> None:
    told = client(method, path, given)
    assert told.status == 422
    assert told.value["error"].startswith(f"What was sent does not fit: {text}")


HOSTILE = ["'; DROP TABLE works; --", '" OR 1=1 --', "%s %(x)s {ids}", "NUL \0", "\ud800", "ä🚀", "../../etc/passwd"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_text_or_refused(client: Client, text: str) -> None:
    fields = ("pipeline", "site", "user", "function", "tags", "group", "products", "plots", "parameters", "id", "error")
    for field in fields:
        value: Any = {text: text} if field == "parameters" else text
        assert client("POST", "/work", [work(**{field: value})]).status in {200, 422}
    for query in ({"id": text}, {"tags": text}, {text: 1}, {"parameters": {text: text}}, {"error": {"$regex": text}}):
        assert client("POST", "/view", {"query": query}).status in {200, 422}
    for filter in ({"pipeline": text}, {"pipeline": "sample", "site": text}, {"pipeline": "sample", "tags": [text]}):
        assert client("POST", "/work/withdraw", filter).status in {200, 422}
    assert client("POST", "/work/delete", {"ids": [text]}).status in {200, 422}
    assert client("GET", "/status").status == 200


def test_a_path_that_is_not_there(client: Client) -> None:
    for path in ("/nothing", "/work/../x", "/%00", "/%ff", "/status/details/", "//"):
        told = client("GET", path)
        assert told.status in {404, 405, 422}, path
        assert "error" in told.value
    assert client("PATCH", "/work", []).status == 405


def test_a_defect_is_no_more_than_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path) as service:
        client = Client(service.url, tmp_path)

        def fail() -> None:
            raise RuntimeError("SELECT secret FROM /path")

        monkeypatch.setattr(service._gateway.desk, "pipelines", fail)
        told = client("GET", "/status/pipelines")
        assert told.status == 500
        assert "secret" not in told.data.decode()
        assert client("GET", "/status").status == 200
        client.close()


def test_a_store_that_is_away_may_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path) as service:
        client = Client(service.url, tmp_path)
        monkeypatch.setattr(service._gateway.desk, "pipelines", lambda: (_ for _ in ()).throw(StoreUnavailable("x")))
        told = client("GET", "/status/pipelines")
        assert (told.status, told.value["kind"]) == (503, "StoreUnavailable")
        assert int(told.headers["Retry-After"]) >= 1
        client.close()
