"""A web server on this machine that takes what webhooks send, refuses it, or does not answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Webhook:
    """What arrived, oldest first."""

    def __init__(self, url: str) -> None:
        self.url = url
        """As Apprise wants it, without a path."""
        self.messages: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.status = 200
        """What it answers."""
        self.answering = threading.Event()
        """It answers as long as this is set."""
        self.answering.set()


@contextmanager
def webhook() -> Iterator[Webhook]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hook.paths.append(self.path)
            hook.messages.append(json.loads(body))
            hook.answering.wait()
            self.send_response(hook.status)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        hook = Webhook(f"json://127.0.0.1:{server.server_address[1]}")
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield hook
        hook.answering.set()
        server.shutdown()
