"""Who may enter which route."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from daskflow.stores.database import Database
from daskflow.stores.tokens import Tokens
from tests.services.servers import serving
from tests.views.server.conftest import Client, work

ROUTES: list[tuple[str, str, Any, set[str]]] = [
    ("POST", "/work", [], {"deposit"}),
    ("POST", "/work/withdraw", {"pipeline": "a"}, {"perform"}),
    ("GET", "/work/await?wait=0", ..., {"perform"}),
    ("PUT", "/work", [], {"deposit", "perform"}),
    ("POST", "/work/heartbeat", {"id": "a", "attempt": 1, "lease": 1}, {"perform"}),
    ("POST", "/work/give-back", {"id": "a", "attempt": 1}, {"perform"}),
    ("DELETE", "/work?ids=a", ..., {"deposit", "perform"}),
    ("POST", "/work/delete", {"ids": []}, {"deposit", "perform"}),
    ("POST", "/work/lock", {"ids": []}, {"deposit"}),
    ("POST", "/work/audit", {}, {"deposit", "perform"}),
    ("POST", "/work/audit", {"stale": 1e9}, {"deposit"}),
    ("POST", "/view", {}, {"read", "deposit", "perform"}),
    ("POST", "/view/count", {}, {"read", "deposit", "perform"}),
    ("GET", "/status", ..., {"read", "deposit", "perform"}),
    ("GET", "/status/details/a", ..., {"read", "deposit", "perform"}),
    ("GET", "/status/pipelines", ..., {"read", "deposit", "perform"}),
    ("GET", "/status/buckets", ..., {"read", "deposit", "perform"}),
    ("GET", "/audit/failed", ..., {"deposit", "perform"}),
    ("GET", "/audit/expired", ..., {"deposit", "perform"}),
    ("GET", "/audit/stale/10000", ..., {"deposit"}),
    ("GET", "/artifacts", ..., {"read", "perform"}),
    ("GET", "/artifacts/names/a", ..., {"read", "perform"}),
    ("PUT", "/artifacts/names/a", {"digest": "0" * 32}, {"deposit", "perform"}),
    ("GET", f"/artifacts/objects/{'0' * 32}", ..., {"read", "perform"}),
    ("PUT", f"/artifacts/objects/{'0' * 32}", ..., {"deposit", "perform"}),
    ("GET", "/artifacts/files/a", ..., {"read", "perform"}),
    ("PUT", "/artifacts/files/a%2F%2Fb", ..., {"deposit", "perform"}),
    ("POST", "/artifacts/uploads", {"digest": "0" * 32, "size": 0}, {"deposit", "perform"}),
    ("POST", f"/artifacts/uploads/{'0' * 32}/completed", {"digest": "0" * 32, "size": 0}, {"deposit", "perform"}),
    ("GET", "/runs", ..., {"read"}),
    ("GET", "/runs/a", ..., {"read"}),
    ("GET", "/runs/a/jobs", ..., {"read"}),
    ("GET", "/runs/a/events", ..., {"read"}),
    ("GET", "/runs/a/reports", ..., {"read"}),
    ("POST", "/runs/a/cancel", ..., set()),
    ("GET", "/questions", ..., {"read"}),
    ("GET", "/questions/a", ..., {"read"}),
    ("POST", "/questions/a/answer", {}, {"deposit"}),
]
SCOPES = ("read", "deposit", "perform", "admin")


@pytest.fixture(scope="module")
def tokens(guarded: Client) -> dict[str, str]:
    return {scope: guarded.token(scope) for scope in SCOPES}


@pytest.mark.parametrize(("method", "path", "body", "allowed"), ROUTES, ids=[f"{m} {p}" for m, p, _, _ in ROUTES])
def test_each_route_needs_its_scope(
    guarded: Client, tokens: dict[str, str], method: str, path: str, body: Any, allowed: set[str]
) -> None:
    for base in ("", "/api/v1"):
        told = guarded(method, base + path, body)
        assert told.status == 401, "nobody enters without a token"
        assert told.headers["WWW-Authenticate"] == "Bearer"
        for scope in SCOPES:
            told = guarded(method, base + path, body, Authorization=f"Bearer {tokens[scope]}")
            assert told.status != 401
            assert (told.status != 403) is (scope in {*allowed, "admin"}), f"{scope}: {told.status} {told.data!r}"
            if told.status == 403:
                assert "does not allow this" in told.value["error"]


def test_no_route_was_left_out(guarded: Client) -> None:
    document = guarded("GET", "/openapi.json").value
    served = {
        (method.upper(), path)
        for path, methods in document["paths"].items()
        for method in methods
        if path != "/version"
    }
    assert len(served) == len({(m, p.partition("?")[0]) for m, p, _, _ in ROUTES})


def test_the_version_needs_no_token(guarded: Client) -> None:
    assert set(guarded("GET", "/version").value) == {"server", "api"}
    assert guarded("HEAD", "/version").status == 200


def test_both_headers_carry_tokens(guarded: Client, tokens: dict[str, str]) -> None:
    assert guarded("GET", "/status", x_access_token=tokens["read"]).status == 200
    assert guarded("GET", "/status", Authorization=f"bearer {tokens['read']}").status == 200
    assert guarded("GET", "/status", Authorization=f"Basic {tokens['read']}").status == 401


@pytest.mark.parametrize("token", ["x", "dft_0_0", "dft_é_ü", "' OR 1=1 --", "dft__", "a" * 5000])
def test_what_is_no_token(guarded: Client, token: str) -> None:
    told = guarded("GET", "/status", x_access_token=token.encode().decode("latin-1"))
    assert told.status == 401
    assert token not in told.value["error"]


def test_a_revoked_token_is_refused_from_then_on(guarded: Client) -> None:
    token = guarded.token("read")
    assert guarded("GET", "/status", x_access_token=token).status == 200
    with Database(guarded.directory / "journal.db") as database:
        Tokens(database).revoke(token.split("_")[1])
    assert guarded("GET", "/status", x_access_token=token).status == 401


def test_a_page_in_a_browser_does_not_enter_an_open_server(client: Client) -> None:
    assert client("GET", "/status").status == 200
    assert client("GET", "/status", Host="evil.example").status == 401
    assert client("GET", "/status", Origin="https://evil.example").status == 401
    # Pages of other servers on this machine, and pictures, which have no origin.
    assert client("GET", "/status", Origin="http://localhost:3000").status == 401
    assert client("GET", "/audit/stale/10000", Sec_Fetch_Site="cross-site").status == 401
    assert client("GET", "/audit/stale/10000", Sec_Fetch_Mode="no-cors").status == 401
    assert client("GET", "/audit/stale/10000", Referer="http://localhost:3000/").status == 401
    # What a form may send without being asked is no JSON for us.
    assert client("POST", "/work", data=b"[]", Content_Type="text/plain").status == 415


@pytest.mark.parametrize(
    "header",
    ["Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "X-Client-IP"],
)
def test_nobody_behind_a_proxy_enters_an_open_server(client: Client, header: str) -> None:
    assert client("GET", "/status", data=None, **{header: "192.0.2.7"}).status == 401


def test_only_so_many_requests_are_answered(tmp_path: Path) -> None:
    with serving(tmp_path, server={"rate": 0.5}) as service:
        client = Client(service.url, tmp_path)
        token = client.token("read")
        statuses = [client("GET", "/status", x_access_token=token).status for _ in range(3)]
        assert statuses[0] == 200
        told = client("GET", "/status", x_access_token=token)
        while told.status != 429:
            told = client("GET", "/status", x_access_token=token)
        assert int(told.headers["Retry-After"]) >= 1
        assert "less often" in told.value["error"]
        # Others are not concerned.
        assert client("POST", "/work", [work()]).status == 200
        client.close()


def test_who_tries_out_tokens_is_stopped_before_the_store_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path, server={"rate": 0.5}) as service:
        client = Client(service.url, tmp_path)
        token = client.token("read")
        assert client("GET", "/status", x_access_token=token).status == 200
        while client("GET", "/status", x_access_token="dft_0_0").status == 401:
            pass
        asked: list[str] = []
        check = service._gateway.door._tokens.check
        monkeypatch.setattr(service._gateway.door._tokens, "check", lambda it: asked.append(it) or check(it))  # type: ignore[func-returns-value]
        told = client("GET", "/status", x_access_token="dft_1_1")
        assert (told.status, asked) == (429, [])
        # Whose token is known to be good is not stopped by what others do.
        client("GET", "/status", x_access_token=token)
        assert asked == [token]
        client.close()
