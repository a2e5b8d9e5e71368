"""A server that runs in this process; what signals do to it is in the acceptance tests."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from daskflow.errors import SettingsInvalid
from daskflow.views.server.service import listen
from tests.services.servers import serving
from tests.views.server.conftest import Client


def test_it_tells_where_it_is(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        client = Client(service.url, tmp_path)
        assert client("GET", "/status").status == 200
        client.close()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2])), timeout=5)


def test_who_waits_is_answered_when_it_ends(tmp_path: Path) -> None:
    found: list[Any] = []
    with serving(tmp_path) as service:
        client = Client(service.url, tmp_path)
        thread = threading.Thread(
            target=lambda: found.append(client("POST", "/work/withdraw?wait=30", {"pipeline": "a"}).data)
        )
        thread.start()
        while not service._gateway.bell.waiting:
            time.sleep(0.001)
    thread.join()
    assert found == [b"null"]
    client.close()


def test_answers_do_not_wait_for_acknowledgements() -> None:
    listening = listen("127.0.0.1", 0)
    # asyncio looks at this to switch Nagle's algorithm off.
    assert listening.proto == socket.IPPROTO_TCP
    with pytest.raises(SettingsInvalid, match="cannot be listened at"):
        listen("127.0.0.1", listening.getsockname()[1])
    listening.close()


def test_names_and_both_kinds_of_addresses() -> None:
    listen("localhost", 0).close()
    if socket.has_ipv6:
        listen("::1", 0).close()
    with pytest.raises(SettingsInvalid, match="cannot be listened at"):
        listen("no such host.invalid", 0)


def test_works_of_another_server_are_not_served(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="a store of its own"), serving(tmp_path, works={"store": "http://host"}):
        pass
