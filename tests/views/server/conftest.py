"""A server in a thread, and somebody who asks it without any help of daskflow's own client."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import urllib3

from daskflow.stores.buckets.table import WorkTable
from daskflow.stores.database import Database
from daskflow.stores.tokens import Tokens
from tests.services.servers import serving


class Told(NamedTuple):
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    data: bytes

    @property
    def value(self) -> Any:
        return json.loads(self.data)


class Client:
    """Asks a server, by requests as they are."""

    def __init__(self, url: str, directory: Path) -> None:
        self.url = url
        self.directory = directory
        self._pool = urllib3.PoolManager(retries=False)

    def __call__(self, method: str, path: str, json_: Any = ..., *, data: bytes | None = None, **headers: str) -> Told:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if json_ is not ...:
            data = json.dumps(json_).encode()
            given = {"Content-Type": "application/json"} | given
        answer = self._pool.request(method, self.url + path, body=data, headers=given, redirect=False)
        return Told(answer.status, answer.headers, answer.data)

    def token(self, *scopes: str) -> str:
        with Database(self.directory / "journal.db") as database:
            return Tokens(database).create("ada", scopes)[1]

    def close(self) -> None:
        self._pool.clear()


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    directory = tmp_path_factory.mktemp("open")
    with serving(directory, server={"request_limit": 1 << 20}) as service:
        client = Client(service.url, directory)
        yield client
        client.close()


@pytest.fixture
def client(open_server: Client) -> Client:
    """A server that is open for this machine, without works."""
    with Database(open_server.directory / "journal.db") as database:
        shelf = WorkTable(database)
        for work in open_server("POST", "/view", {"limit": -1}).value:
            shelf.lock([work["id"]], False)
            shelf.delete([work["id"]])
    return open_server


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server that nobody enters without a token."""
    directory = tmp_path_factory.mktemp("guarded")
    with serving(directory, server={"open": False}) as service:
        client = Client(service.url, directory)
        yield client
        client.close()


def work(**fields: Any) -> dict[str, Any]:
    usual = {"pipeline": "sample", "site": "local", "user": "ada", "function": "math.sqrt", "parameters": {"x": 4}}
    return usual | fields
