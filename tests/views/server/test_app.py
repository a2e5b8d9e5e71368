"""The application: all routes at the root and under their version."""

from __future__ import annotations

from importlib.metadata import version

import pytest

from daskflow.execution.gateway import waiting
from tests.views.server.conftest import Client


def test_what_serves(client: Client) -> None:
    for base in ("", "/api/v1"):
        assert client("GET", f"{base}/version").value == {"server": version("daskflow"), "api": 1}
        told = client("HEAD", f"{base}/version")
        assert (told.status, told.data) == (200, b"")


def test_every_route_is_there_twice(client: Client) -> None:
    document = client("GET", "/openapi.json").value
    for path in document["paths"]:
        parts = {"pipeline": "a", "days": "1", "name": "a", "digest": "0" * 32, "upload": "0" * 32, "run": "a"}
        place = path.format(**parts, question="a")
        plain, versioned = (client("OPTIONS", base + place) for base in ("", "/api/v1"))
        assert plain.status == versioned.status == 405


def test_the_document_tells_who_may_use_what(client: Client) -> None:
    document = client("GET", "/openapi.json").value
    assert set(document["components"]["securitySchemes"]) == {"HTTPBearer", "APIKeyHeader"}
    for path, methods in document["paths"].items():
        for method in methods.values():
            assert bool(method.get("security")) is (path != "/version")
            assert method.get("description") or method["summary"]


def test_pages_that_load_code_from_elsewhere_are_not_there(client: Client) -> None:
    assert client("GET", "/docs").status == client("GET", "/redoc").status == 404


def test_too_many_who_wait(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "MOST", 0)
    told = client("POST", "/work/withdraw?wait=5", {"pipeline": "a"})
    assert (told.status, told.headers["Retry-After"]) == (429, "5")
    assert client("GET", "/work/await?wait=5&ticket=x").status == 429
    assert client("POST", "/work/withdraw", {"pipeline": "a"}).status == 200
