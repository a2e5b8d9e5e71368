"""A relay before PostgreSQL that loses the connection while a transaction is committed."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Literal

Fate = Literal["", "question", "answer"]
"""What is lost of the next commit: nothing, the question before the server gets it, or the server's answer."""


class Relay:
    """Hands on what clients and a server on this machine say to each other."""

    def __init__(self, port: int) -> None:
        self.losing: Fate = ""
        """What is lost of the next commit; nothing of those after it."""
        self.lost = 0
        """So many commits were lost."""
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        """Where clients connect."""
        self._sockets: list[socket.socket] = [self._listener]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for each in self._sockets:
            _end(each)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._port))
            self._sockets += [client, server]
            answering = threading.Event()
            self._threads += [
                threading.Thread(target=self._ask, args=(client, server, answering)),
                threading.Thread(target=self._answer, args=(client, server, answering)),
            ]
            for thread in self._threads[-2:]:
                thread.start()

    def _ask(self, client: socket.socket, server: socket.socket, answering: threading.Event) -> None:
        while data := _received(client):
            if b"COMMIT" in data and self.losing:
                fate, self.losing = self.losing, ""
                self.lost += 1
                if fate == "question":
                    break
                answering.set()
            server.sendall(data)
        _end(client)
        _end(server)

    def _answer(self, client: socket.socket, server: socket.socket, answering: threading.Event) -> None:
        # What comes after the commit was handed on is its answer.
        while (data := _received(server)) and not answering.is_set():
            client.sendall(data)
        _end(client)
        _end(server)


def _received(one: socket.socket) -> bytes:
    try:
        return one.recv(65536)
    except OSError:
        return b""


def _end(one: socket.socket) -> None:
    try:
        one.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    finally:
        one.close()
