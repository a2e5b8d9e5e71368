"""A web server on this machine that can break off, hold, refuse and be busy."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Page:
    data: bytes
    etag: str = ""
    modified: str = ""
    login: str = ""
    """`user:password` or a token that has to be given."""
    ranges: bool = True
    headless: bool = False
    """Whether HEAD is refused."""
    leads_to: str = ""


@dataclass
class Web:
    """What the server has, and what it was asked."""

    address: str = ""
    pages: dict[str, Page] = field(default_factory=dict)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    """Method, path and range of each request."""
    answers: list[int] = field(default_factory=list)
    """Status of the next answers, before it serves again."""
    breaks: list[int] = field(default_factory=list)
    """After how many bytes the next bodies break off."""
    sent: int = 0
    """Bytes of bodies [bytes]."""
    hold: threading.Event | None = None
    """A body that breaks off goes silent until this is set, instead of closing."""

    def url(self, path: str) -> str:
        return f"{self.address}{path}"

    def put(self, path: str, data: bytes, etag: str = "", **fields: Any) -> str:
        self.pages[path] = Page(data, etag, **fields)
        return self.url(path)

    def methods(self) -> list[str]:
        return [method for method, _, _ in self.asked]

    def gets(self) -> list[str]:
        """The ranges of all GETs."""
        return [asked for method, _, asked in self.asked if method == "GET"]


class _Handler(BaseHTTPRequestHandler):
    web: Web

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None: ...

    def _answer(self) -> None:
        web = self.web
        path = urlsplit(self.path).path
        web.asked.append((self.command, self.path, self.headers.get("Range", "")))
        page = web.pages.get(self.path) or web.pages.get(path)
        if web.answers:
            self._status(web.answers.pop(0))
        elif page is None:
            self._status(404)
        elif page.headless and self.command == "HEAD":
            self._status(405)
        elif page.login and not self._allowed(page.login):
            self._status(401)
        elif page.leads_to:
            self.send_response(302)
            self.send_header("Location", page.leads_to)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._page(page)

    def _allowed(self, login: str) -> bool:
        basic = f"Basic {base64.b64encode(login.encode()).decode()}"
        return self.headers.get("Authorization") in (basic, f"Bearer {login}")

    def _status(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _page(self, page: Page) -> None:
        start = self._start(page)
        self.send_response(206 if start else 200)
        if page.etag:
            self.send_header("ETag", page.etag)
        if page.modified:
            self.send_header("Last-Modified", page.modified)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(page.data) - 1}/{len(page.data)}")
        self.send_header("Content-Length", str(len(page.data) - start))
        self.end_headers()
        if self.command == "GET":
            self._body(page.data[start:])

    def _start(self, page: Page) -> int:
        asked = self.headers.get("Range", "")
        state = self.headers.get("If-Range", "") or self.headers.get("If-Match", "")
        if not asked or not page.ranges or state not in (page.etag, page.modified):
            return 0
        return int(asked.removeprefix("bytes=").rstrip("-"))

    def _body(self, data: bytes) -> None:
        breaks = self.web.breaks.pop(0) if self.web.breaks else None
        # Who asked may have all of it, and look at the count, before this thread goes on.
        self.web.sent += len(data[:breaks])
        try:
            self.wfile.write(data[:breaks])
        except OSError:  # who asked is gone
            return
        if breaks is not None:
            if self.web.hold is not None:
                self.web.hold.wait(60)
            self.close_connection = True


@contextmanager
def serving(web: Web | None = None) -> Iterator[Web]:
    """A server, until the end of the block; after that nobody listens there."""
    web = web or Web()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"web": web}))
    server.daemon_threads = True
    web.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
