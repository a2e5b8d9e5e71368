"""The line to a server: what can help is tried again, what cannot is told."""

from __future__ import annotations

import json
import os
import pickle
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from daskflow.errors import (
    DaskflowError,
    NotFound,
    ServerRefused,
    ServerSilent,
    SettingsInvalid,
    SiteUnknown,
    StoreUnavailable,
    TokenRefused,
    WorkInvalid,
    WorkLocked,
    WorkLost,
)
from daskflow.stores.buckets import absence
from daskflow.stores.buckets import line as lines
from daskflow.stores.buckets.line import Line
from tests.services.certificates import authority
from tests.services.ports import free_port

Act = Callable[[BaseHTTPRequestHandler], None]
SECRET = "the-secret-of-ada"


class Script:
    """What a server does with one request after the other; the last for all that follow."""

    def __init__(self) -> None:
        self.acts: list[Act] = []
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        self.url = ""

    def act(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        self.seen.append((handler.command, handler.path, headers, body))
        (self.acts.pop(0) if len(self.acts) > 1 else self.acts[0])(handler)


def answer(status: int, value: Any, **headers: str) -> Act:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()

    def act(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, text in headers.items():
            handler.send_header(name.replace("_", "-"), text)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return act


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    """No answer at all."""
    handler.close_connection = True


def break_off(handler: BaseHTTPRequestHandler) -> None:
    """Half an answer."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100")
    handler.end_headers()
    handler.wfile.write(b'{"half')
    handler.close_connection = True


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    monkeypatch.setattr(lines, "_LONGEST_PAUSE", 0.01)
    found = Script()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found.act(self)

        def do_POST(self) -> None:
            found.act(self)

        def do_PUT(self) -> None:
            found.act(self)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}"
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


def test_what_is_asked_and_answered(script: Script) -> None:
    script.acts = [answer(200, [1, "ä"], X_Ticket="t")]
    line = Line(f"{script.url}/prefix/", SecretStr(SECRET))
    reply = line.ask("POST", "/view", query={"a": ["1", "ü&"]}, body={"q": "\ud800é"}, request="r1")
    line.close()
    assert (reply.value, reply.headers["X-Ticket"]) == ([1, "ä"], "t")
    ((method, path, headers, body),) = script.seen
    assert (method, path) == ("POST", "/prefix/view?a=1&a=%C3%BC%26")
    assert json.loads(body) == {"q": "\ud800é"}
    assert headers["authorization"] == f"Bearer {SECRET}"
    assert headers["content-type"] == "application/json"
    assert headers["x-request-id"] == "r1"


def test_without_a_token_none_is_sent(script: Script) -> None:
    script.acts = [answer(200, None)]
    line = Line(script.url, None)
    assert line.ask("GET", "/status").value is None
    line.close()
    assert "authorization" not in script.seen[0][2]


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/work/withdraw", "perform`"),
        ("GET", "/work/await", "perform`"),
        ("POST", "/work", "read,deposit`"),
        ("GET", "/status", "SCOPE`: `perform` for agents, `read,deposit` for who deposits works, `read` for who looks"),
        ("PUT", "/work", "SCOPE`: `perform` for agents, `read,deposit` for who deposits works, `read` for who looks"),
    ],
)
def test_who_has_no_token_is_told_where_one_comes_from(script: Script, method: str, path: str, scope: str) -> None:
    script.acts = [answer(401, {"error": "A token is needed", "kind": "TokenRefused"})]
    line = Line(script.url, None)
    with pytest.raises(TokenRefused) as refused:
        line.ask(method, path, query={"wait": 0})
    assert str(refused.value) == (
        f"Set DASKFLOW_TOKEN to a token of {script.url}; who runs the server makes one there with "
        f"`daskflow token create NAME --scope {scope}."
    )
    line.close()


@pytest.mark.parametrize(
    "trouble",
    [hang_up, break_off, *[answer(status, {"error": "busy"}) for status in (429, 502, 503, 504)], answer(503, b"<p>")],
)
def test_what_passes_is_tried_again_with_the_same_request(script: Script, trouble: Act) -> None:
    script.acts = [trouble, trouble, answer(200, 7)]
    line = Line(script.url, None)
    assert line.ask("POST", "/work", body=[], request="r1").value == 7
    line.close()
    assert [headers["x-request-id"] for _, _, headers, _ in script.seen] == ["r1"] * 3


@pytest.mark.parametrize(
    ("trouble", "error"),
    [
        (hang_up, ServerSilent),
        (answer(429, {"error": "ask less often"}), ServerSilent),
        (answer(502, b"Bad gateway"), ServerSilent),
        (answer(503, {"error": "no store", "kind": "StoreUnavailable"}), StoreUnavailable),
        (answer(503, b""), StoreUnavailable),
    ],
)
def test_patience_ends(script: Script, trouble: Act, error: type[DaskflowError]) -> None:
    script.acts = [trouble]
    line = Line(script.url, SecretStr(SECRET), patience=0.05)
    with pytest.raises(error) as silent:
        line.ask("GET", "/status")
    line.close()
    assert silent.value.transient
    assert SECRET not in str(silent.value)


def test_what_is_tried_is_told_and_an_answer_that_refuses_ends_it(
    script: Script, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(absence, "_SOON", 0.0)
    line = Line(script.url, SecretStr(SECRET))
    doings: list[tuple[str, Callable[[], object]]] = [
        ("POST /view", lambda: line.ask("POST", "/view", query={"a": 1}, body={})),
        ("PUT /artifacts/objects/x", lambda: line.send("/artifacts/objects/x", 0, lambda: [])),
        ("GET /artifacts/objects/x", lambda: line.receive("/artifacts/objects/x", {}, {})),
    ]
    for what, act in doings:
        caplog.clear()
        script.acts = [hang_up, answer(429, {"error": "ask less often"}), answer(404, {"error": "no x"})]
        with pytest.raises(ServerRefused, match="no x"):
            act()
        away, back = [record.getMessage() for record in caplog.records if record.name == "daskflow"]
        assert re.search(rf"{re.escape(what)} was tried for \d+ s by now, and is for \d+ s more\.$", away)
        assert back.startswith(f"{script.url} answers again, after ")
        assert SECRET not in away + back
    line.close()


@pytest.mark.parametrize("size", [0, 10])
def test_bytes_are_sent_again_though_the_first_time_took_longer_than_patience(script: Script, size: int) -> None:
    script.acts = [hang_up, answer(503, {"error": "no store"}), break_off, answer(200, 7)]
    line = Line(script.url, None, patience=0.0)
    assert line.send("/artifacts/objects/x", size, lambda: [bytes(4), bytes(size - 4)]).value == 7
    assert [body for *_, body in script.seen] == [bytes(size)] * 4
    script.acts = [hang_up]
    with pytest.raises(ServerSilent):
        line.send("/artifacts/objects/x", size, lambda: [bytes(size)])
    line.close()
    assert len(script.seen) == 8


def test_authorities_are_trusted_besides_those_of_this_machine(tmp_path: Path) -> None:
    assert Line("https://host", None).trusted() == {}
    context = Line("https://host", None, authorities=authority(tmp_path)).trusted()["ssl_context"]
    subjects = [dict(pair[0] for pair in each["subject"]) for each in context.get_ca_certs()]
    assert {"commonName": "ours"} in subjects
    assert context.check_hostname
    with pytest.raises(SettingsInvalid, match=r"authorities:.*none\.pem"):
        Line("https://host", None, authorities=tmp_path / "none.pem").trusted()


def test_nobody_listens() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ServerSilent, match=f"{url} does not answer") as silent:
        Line(url, SecretStr(SECRET), patience=0.0).ask("GET", "/status")
    assert "0x" not in str(silent.value)


@pytest.mark.parametrize(
    ("refusal", "error", "told"),
    [
        (answer(401, {"error": "no token", "kind": "TokenRefused"}), TokenRefused, "^no token$"),
        (answer(401, b""), TokenRefused, "answers 401"),
        (answer(403, {"error": "needs admin"}), TokenRefused, "^needs admin$"),
        (answer(404, {"error": "no run", "kind": "NotFound"}), NotFound, "^no run$"),
        (answer(404, b"<html>"), ServerRefused, "not as daskflow does"),
        (answer(409, {"error": "gone", "kind": "WorkLost"}), WorkLost, "^gone$"),
        (answer(413, {"error": "too large"}), ServerRefused, "answers 413: too large"),
        (answer(422, {"error": "wrong", "kind": "WorkInvalid"}), WorkInvalid, "^wrong$"),
        (answer(422, {"error": "mars", "kind": "SiteUnknown"}), SiteUnknown, "^mars$"),
        (answer(422, {"error": "hm", "kind": "SystemExit"}), ServerRefused, "answers 422: hm"),
        (answer(423, {"error": "locked", "kind": "WorkLocked"}), WorkLocked, "^locked$"),
        (answer(500, {"error": "defect"}), ServerRefused, "answers 500: defect"),
        (answer(200, b"<html>another server</html>"), ServerRefused, "not as daskflow does"),
        (answer(307, b"", Location="http://127.0.0.1:9/steal"), ServerRefused, "answers 307"),
    ],
)
def test_what_does_not_pass_is_told_at_once(
    script: Script, refusal: Act, error: type[DaskflowError], told: str
) -> None:
    script.acts = [refusal]
    line = Line(script.url, SecretStr(SECRET))
    with pytest.raises(error, match=told):
        line.ask("GET", "/status")
    line.close()
    assert len(script.seen) == 1


def test_the_token_is_never_shown(script: Script) -> None:
    script.acts = [answer(200, 1)]
    line = Line(script.url, SecretStr(SECRET))
    assert SECRET not in f"{line!r} {line} {vars(line)}"


def test_it_pickles_and_lives_in_a_fork(script: Script) -> None:
    script.acts = [answer(200, 1)]
    line = Line(script.url, SecretStr(SECRET))
    line.ask("GET", "/status")
    other = pickle.loads(pickle.dumps(line))
    assert other.ask("GET", "/status").value == 1
    other.close()
    child = os.fork()
    if child == 0:
        os._exit(0 if line.ask("GET", "/status").value == 1 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert line.ask("GET", "/status").value == 1
    line.close()
    assert [headers["authorization"] for _, _, headers, _ in script.seen] == [f"Bearer {SECRET}"] * 4


def test_connections_are_kept(script: Script) -> None:
    ports = []

    def note(handler: BaseHTTPRequestHandler) -> None:
        ports.append(handler.client_address[1])
        answer(200, 1)(handler)

    script.acts = [note]
    line = Line(script.url, None)
    for _ in range(5):
        line.ask("GET", "/status")
    line.close()
    assert len(set(ports)) == 1


@pytest.mark.parametrize("url", ["http://", "https:///path", "http://ada:secret@host", "https://token@host/x"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        Line(url, None)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("body", [{"x": float("nan")}, {"x": object()}, {"x": {1, 2}}])
def test_what_cannot_be_sent(body: Any) -> None:
    with pytest.raises(WorkInvalid, match="cannot be sent"):
        Line("http://127.0.0.1:9", None).ask("POST", "/view", body=body)


def test_a_server_without_tls(script: Script) -> None:
    script.acts = [answer(200, 1)]
    line = Line(script.url.replace("http", "https"), None)
    # Certificates are tested with the whole server.
    with pytest.raises(ServerRefused, match=f"does not speak TLS.* write {script.url}"):
        line.ask("GET", "/status")
