"""A server that runs: it listens, answers, and ends without leaving anybody waiting."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import uvicorn  # noqa: TID253, only the process of the server imports this module

from daskflow.errors import SettingsInvalid
from daskflow.execution.gateway.bell import Bell
from daskflow.execution.project import Project
from daskflow.model.records import RunRecord
from daskflow.settings.gateway import open_gateway
from daskflow.settings.options import Settings
from daskflow.views.server.app import make_app
from daskflow.views.submitting import cancel_driver

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_BACKLOG = 1024
"""So many connections may wait to be taken."""
_GRACE = 10
"""So long a server that is to end finishes what it has begun [s]."""


class Service:
    """A server.

    Parameters
    ----------
    settings
        The configuration; `server` tells where it listens.

    Raises
    ------
    SettingsInvalid
        The address cannot be listened at, or works are kept by another server.

    Notes
    -----
    It listens as soon as it is made: who connects before `run` waits until then.
    """

    def __init__(self, settings: Settings) -> None:
        def let_go(project: Project, record: RunRecord, ended: bool) -> None:
            cancel_driver(project, settings, record, ended=ended)

        options = settings.server
        self._socket = listen(options.host, options.port)
        try:
            self._gateway = open_gateway(settings, let_go)
        except BaseException:
            self._socket.close()
            raise
        kind = "http" if options.certificate is None else "https"
        host = f"[{options.host}]" if ":" in options.host else options.host
        self.url = f"{kind}://{host}:{self._socket.getsockname()[1]}"
        """Where it is reached."""
        config = uvicorn.Config(
            make_app(self._gateway),
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            # Who is behind a proxy is not on this machine, whatever headers say.
            proxy_headers=False,
            timeout_graceful_shutdown=_GRACE,
            ssl_certfile=None if options.certificate is None else options.certificate.expanduser(),
            ssl_keyfile=None if options.private_key is None else options.private_key.expanduser(),
        )
        self._server = _Server(config, self._gateway.bell)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self) -> None:
        """Answer until `stop` is called or, in the main thread, SIGTERM or SIGINT comes."""
        self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        """Take no more requests, and let `run` return when those that were begun are answered."""
        self._server.handle_exit(signal.SIGTERM, None)

    def close(self) -> None:
        """Close everything; call it when `run` has returned."""
        self._socket.close()
        self._gateway.close()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, bell: Bell) -> None:
        super().__init__(config)
        self._bell = bell

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # That of uvicorn lets the signal kill the process afterwards, before anything is closed.
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {each: signal.signal(each, self.handle_exit) for each in _SIGNALS}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    def handle_exit(self, sig: int, frame: Any) -> None:
        # Those who wait are answered at once: connections end with their answers.
        self._bell.close()
        super().handle_exit(sig, frame)


def listen(host: str, port: int) -> socket.socket:
    """A socket to which others may connect.

    Raises
    ------
    SettingsInvalid
        The address cannot be listened at.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # Without the protocol asyncio lets answers wait for 40 ms, until what came before is acknowledged.
        listening = socket.socket(family, kind, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(address)
            listening.listen(_BACKLOG)
        except BaseException:
            listening.close()
            raise
    except OSError as error:
        raise SettingsInvalid(f"{host}:{port} cannot be listened at: {error.strerror or error}.") from None
    return listening
