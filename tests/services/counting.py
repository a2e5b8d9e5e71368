"""A proxy on loopback that counts requests and bytes, and does what servers do on bad days."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import urlsplit

_BLOCK = 1 << 16
_LONGEST_HEAD = 1 << 16


class Request(NamedTuple):
    """One that was made."""

    method: str
    path: str
    """With the query."""


class Counting:
    """A proxy before one HTTP server.

    Parameters
    ----------
    upstream
        ``http://host:port`` of the server.

    Notes
    -----
    Heads are read, bodies pass through as they are. The Host header is passed on too, so that signatures stay right
    where the server believes it.
    """

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._lock = threading.Condition()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests: list[Request] = []
        self.sent = 0
        """By clients [bytes], heads included."""
        self.received = 0
        """By clients [bytes], heads included."""
        self.busy = 0
        """The next so many requests are answered by 503."""
        self.breaking = 0
        """The next so many answers are broken off in their middle."""
        self.cutting = 0
        """The next so many requests with a body are broken off in their middle."""
        self.on_request: Callable[[Request], object] | None = None
        """Called with each request before it is passed on; what it raises breaks the connection."""
        self._open: set[socket.socket] = set()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Closing alone does not wake who waits in accept.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop()

    def drop(self) -> None:
        """Break all connections off."""
        with self._lock:
            found = list(self._open)
        for each in found:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """Begin to count anew."""
        with self._lock:
            self.requests.clear()
            self.sent = self.received = 0

    def settle(self) -> None:
        """Wait until no connection is open: what a client that was killed had under way is over."""
        with self._lock:
            assert self._lock.wait_for(lambda: not self._open, 60)

    def count(self, method: str, within: str = "") -> int:
        """How many requests of a method had this in their path."""
        with self._lock:
            return sum(each.method == method and within in each.path for each in self.requests)

    def paths(self, method: str) -> Counter[str]:
        """How often each path was asked for by a method."""
        with self._lock:
            return Counter(each.path for each in self.requests if each.method == method)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server: socket.socket | None = None
        try:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server = socket.create_connection(self._upstream)
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._open |= {client, server}
            while self._exchange(client, server):
                pass
        except (OSError, EOFError):
            pass
        finally:
            for each in (client, server):
                if each is not None:
                    with self._lock:
                        self._open.discard(each)
                        self._lock.notify_all()
                    each.close()

    def _exchange(self, client: socket.socket, server: socket.socket) -> bool:
        """One request and its answer; whether the connection stays."""
        head, begun = _read_head(client)
        method, path, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
        request = Request(method, path)
        with self._lock:
            self.requests.append(request)
            self.sent += len(head)
            busy, self.busy = self.busy > 0, max(self.busy - 1, 0)
        if self.on_request is not None:
            self.on_request(request)
        length = _length(head)
        if busy:
            self._refuse(client, length - len(begun))
            return False
        cutting = self._spend("cutting") if length else False
        server.sendall(head)
        if b"100-continue" in head.lower():
            client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._pass(client, server, begun, length, "sent", cutting)
        answer, begun = _read_head(server)
        while answer.startswith(b"HTTP/1.1 100"):
            answer, begun = _read_head(server, begun)
        with self._lock:
            self.received += len(answer)
        breaking = method == "GET" and self._spend("breaking")
        client.sendall(answer)
        if method != "HEAD" and b"chunked" in answer.lower():
            self._pass_all(server, client, begun)
            return b"connection: close" not in answer.lower()
        size = 0 if method == "HEAD" or answer[9:12] in (b"204", b"304") else _length(answer)
        self._pass(server, client, begun, size, "received", breaking)
        return b"connection: close" not in answer.lower()

    def _spend(self, name: str) -> bool:
        with self._lock:
            left: int = getattr(self, name)
            setattr(self, name, max(left - 1, 0))
            return left > 0

    def _refuse(self, client: socket.socket, rest: int) -> None:
        # The body is read first: a client that still writes would see a broken connection instead.
        while rest > 0:
            data = client.recv(_BLOCK)
            if not data:
                return
            rest -= len(data)
        client.sendall(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    def _pass(
        self, source: socket.socket, target: socket.socket, begun: bytes, size: int, name: str, breaking: bool
    ) -> None:
        """Pass a body on; a breaking one ends in its middle."""
        passed, data = 0, begun
        end = size // 2 if breaking else size
        while True:
            if data:
                # Who gets the last of it may look at the count before this thread goes on.
                with self._lock:
                    setattr(self, name, getattr(self, name) + len(data))
                target.sendall(data[: end - passed])
                passed += len(data)
            if breaking and passed >= end:
                raise EOFError
            if passed >= size:
                return
            data = source.recv(_BLOCK)
            if not data:
                raise EOFError

    def _pass_all(self, server: socket.socket, client: socket.socket, data: bytes) -> None:
        """Pass on until the end of the answer, chunked as it is."""
        tail = b""
        while True:
            with self._lock:
                self.received += len(data)
            client.sendall(data)
            tail = (tail + data)[-5:]
            if tail == b"0\r\n\r\n":
                return
            data = server.recv(_BLOCK)
            if not data:
                return


def _read_head(source: socket.socket, begun: bytes = b"") -> tuple[bytes, bytes]:
    data = begun
    while b"\r\n\r\n" not in data:
        block = source.recv(_BLOCK)
        if not block or len(data) > _LONGEST_HEAD:
            raise EOFError
        data += block
    head, _, rest = data.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", rest


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return 0
