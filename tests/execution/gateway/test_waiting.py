"""Requests that are held until there is something to answer."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daskflow.execution.gateway import bell as bells
from daskflow.execution.gateway import waiting
from daskflow.execution.gateway.gateway import Gateway
from daskflow.execution.gateway.waiting import Crowded, await_rung, withdraw_within
from daskflow.model.work import Work
from daskflow.settings.gateway import open_gateway
from daskflow.stores.buckets.shelf import Payload, Wanted
from daskflow.stores.buckets.table import WorkTable
from daskflow.stores.database import Database
from daskflow.stores.requests import Asked
from tests.conftest import settings_in

WANTED = Wanted(("sample",))
WORK = {"pipeline": "sample", "site": "local", "user": "ada", "function": "math.sqrt"}
LONG = 60.0


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(tmp_path / "journal.db")


@pytest.fixture
def gateway(tmp_path: Path, store: str) -> Iterator[Gateway]:
    made = open_gateway(settings_in(tmp_path, store=store), lambda project, record, ended: None)
    yield made
    made.close()


async def here() -> bool:
    return False


async def away() -> bool:
    return True


def withdrawn(gateway: Gateway, wait: float, **more: Any) -> Payload | None:
    asked = {"lease": 60.0, "holder": "me", "request": Asked("r1"), "turn": "t1"}
    return asyncio.run(withdraw_within(gateway, WANTED, wait, **{"gone": here, **asked, **more}))


def test_what_is_there_is_given_at_once(gateway: Gateway) -> None:
    (id,) = gateway.desk.deposit([WORK])
    found = withdrawn(gateway, LONG)
    assert found is not None
    assert found["id"] == id


def test_nothing_is_told_at_once_or_in_time(gateway: Gateway) -> None:
    assert withdrawn(gateway, 0.0) is None
    assert withdrawn(gateway, 0.05) is None


def test_what_comes_is_given(gateway: Gateway) -> None:
    def bring() -> None:
        while not gateway.bell.waiting:
            time.sleep(0.001)
        gateway.desk.deposit([WORK])

    thread = threading.Thread(target=bring)
    thread.start()
    assert withdrawn(gateway, LONG) is not None
    thread.join()


def test_what_is_taken_for_somebody_who_went_is_queued_again(gateway: Gateway) -> None:
    gateway.desk.deposit([WORK])
    assert withdrawn(gateway, LONG, gone=away) is None
    assert gateway.desk.status()["queued"] == 1


def test_who_went_does_not_wait(gateway: Gateway) -> None:
    assert withdrawn(gateway, LONG, gone=away) is None


def test_a_closing_server_lets_go(gateway: Gateway) -> None:
    def close() -> None:
        while not gateway.bell.waiting:
            time.sleep(0.001)
        gateway.bell.close()

    thread = threading.Thread(target=close)
    thread.start()
    assert withdrawn(gateway, LONG) is None
    thread.join()


def test_only_so_many_wait(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "MOST", 0)
    with pytest.raises(Crowded):
        withdrawn(gateway, LONG)
    with pytest.raises(Crowded):
        asyncio.run(await_rung(gateway.bell, gateway.bell.ticket, LONG))
    assert withdrawn(gateway, 0.0) is None


def test_a_ring_is_awaited(gateway: Gateway) -> None:
    ticket = gateway.bell.ticket
    gateway.bell.ring()
    asyncio.run(await_rung(gateway.bell, ticket, LONG))
    asyncio.run(await_rung(gateway.bell, gateway.bell.ticket, 0.0))


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_what_somebody_else_deposits_is_given_to_all_who_wait(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody is told by the way that all are told now and then.
    monkeypatch.setattr(bells, "_ANYWAY", 10 * LONG)
    store = request.getfixturevalue("postgres") if kind == "postgresql" else str(tmp_path / "journal.db")
    gateway = open_gateway(settings_in(tmp_path, store=store), lambda project, record, ended: None)
    threads = threading.active_count()

    async def wait() -> list[Payload | None]:
        asked = {"lease": 60.0, "holder": "me", "turn": "t1"}
        waiting = [
            asyncio.create_task(withdraw_within(gateway, WANTED, LONG, gone=here, request=Asked(f"r{number}"), **asked))
            for number in range(20)
        ]
        while gateway.bell.waiting < len(waiting):
            await asyncio.sleep(0.01)
        # One thread listens for all; the others are those that ask the store.
        assert threading.active_count() - threads <= 10

        def bring() -> None:
            with Database(store) as other:
                WorkTable(other).deposit([Work(**WORK).payload for _ in waiting])

        await asyncio.to_thread(bring)
        return list(await asyncio.gather(*waiting))

    found = asyncio.run(wait())
    assert len({work["id"] for work in found if work is not None}) == 20
    gateway.close()
