"""A place on this machine where messages for Slack arrive."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pydantic import SecretStr

TOKEN = "xoxb-1-2-secret"
GOOD = {"ok": True, "channel": "C01", "ts": "1503435956.000247", "message": {"text": "seen"}}


class Receiver:
    """What came to the place of Slack on this machine, and what it answers."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.messages: list[dict[str, Any]] = []
        self.tokens: list[str | None] = []
        self.answers: list[tuple[int, dict[str, str], str]] = []
        """The last one is given again and again."""

    def secret(self) -> SecretStr:
        return SecretStr(self.url.replace("http://", f"http://{TOKEN}@"))


@contextmanager
def receiving(*answers: tuple[int, dict[str, str], str]) -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            found.tokens.append(self.headers["Authorization"])
            status, headers, body = found.answers.pop(0) if len(found.answers) > 1 else found.answers[0]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = Receiver(f"http://127.0.0.1:{server.server_address[1]}/api/chat.postMessage")
        found.answers = [*answers]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield found
        server.shutdown()
