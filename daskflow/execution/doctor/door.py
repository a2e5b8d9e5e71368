"""A door at which nodes knock, to show that they reach the driver, and what time they have."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from types import TracebackType


class Door:
    """Listens at an address of this machine until the end of the block.

    Parameters
    ----------
    host
        The address.
    token
        What those have to say who may come.
    """

    def __init__(self, host: str, token: str) -> None:
        self.host = host
        self.skew: float | None = None
        """How much the clock of the last who came was ahead of ours [s]."""
        self._token = token
        self._socket = socket.create_server((host, 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._listen, name="daskflow-check-door", daemon=True)
        self._thread.start()

    def __enter__(self) -> Door:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Closing alone does not wake a thread that waits for a connection.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(10)

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                connection.settimeout(10)
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        said = json.loads(connection.makefile("rb").readline(4096))
        if said["token"] == self._token:
            self.skew = float(said["time"]) - time.time()
            connection.sendall(b"hello")
