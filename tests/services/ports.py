"""Ports of loopback for servers that are told where to listen, and are started, or started again, later."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable

_FIRST, _LAST = 10_000, 30_000
"""Below those that systems give to outgoing connections and to whoever asks for any port."""
_CLAIMS: list[socket.socket] = []
"""What this process has; it is given back when the process ends, however it ends."""


def free_port() -> int:
    """A port at which nobody listens, and which no other process gets from here as long as this one lives."""
    return free_ports(1)[0]


def free_ports(count: int, besides: int = 0) -> list[int]:
    """Several ports, as `free_port` gives one; `besides`: each together with the one that is so much higher."""
    found: list[int] = []
    while len(found) < count:
        # Not of the seed that tests may have set, which is the same in all processes.
        port = random.SystemRandom().randrange(_FIRST, _LAST - besides)
        if _claim({port, port + besides}):
            found.append(port)
    return found


def _claim(ports: Iterable[int]) -> bool:
    made: list[socket.socket] = []
    try:
        for port in ports:
            # An abstract name is of the network namespace, as ports are, and only one process may have it. To listen
            # until the server does would not do: the server could not.
            claim = socket.socket(socket.AF_UNIX)
            made.append(claim)
            claim.bind(f"\0daskflow-tests-port-{port}")
            socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        for claim in made:
            claim.close()
        return False
    _CLAIMS.extend(made)
    return True
