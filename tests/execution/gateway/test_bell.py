"""The bell of a server: nothing that is queued between looking and waiting is missed."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from daskflow.errors import StoreUnavailable
from daskflow.execution.gateway import bell as bells
from daskflow.execution.gateway.bell import Bell

LONG = 60.0


class Store:
    """Something to listen to."""

    def __init__(self) -> None:
        self.announced = threading.Event()
        self.broken = False
        self.listened = threading.Event()

    def listen(self, timeout: float) -> None:
        self.listened.set()
        if self.broken:
            raise StoreUnavailable
        self.announced.wait(timeout)
        self.announced.clear()


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def bell(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bell]:
    monkeypatch.setattr(bells, "_ANYWAY", LONG)
    made = Bell(store.listen)
    yield made
    made.close()
    made.join()


def waited(bell: Bell, ticket: str, ring: Callable[[], object], timeout: float = LONG) -> float:
    """How long somebody waits who has a ticket, when something happens as soon as they do."""

    async def wait() -> float:
        began = time.monotonic()
        waiting = asyncio.create_task(bell.wait(ticket, timeout))
        while not bell.waiting and not waiting.done():
            await asyncio.sleep(0)
        await asyncio.to_thread(ring)
        await waiting
        return time.monotonic() - began

    return asyncio.run(wait())


def test_ringing_ends_the_waiting(bell: Bell) -> None:
    assert waited(bell, bell.ticket, bell.ring) < LONG
    assert bell.waiting == 0


def test_what_another_process_announces_rings(bell: Bell, store: Store) -> None:
    assert waited(bell, bell.ticket, store.announced.set) < LONG


def test_a_ticket_of_before_the_ringing_does_not_wait(bell: Bell) -> None:
    ticket = bell.ticket
    bell.ring()
    assert bell.ticket != ticket
    assert waited(bell, ticket, lambda: None) < LONG


@pytest.mark.parametrize("ticket", ["", "other.0", "nonsense"])
def test_a_ticket_of_another_server_does_not_wait(bell: Bell, ticket: str) -> None:
    assert waited(bell, ticket, lambda: None) < LONG


def test_time_ends_the_waiting(bell: Bell) -> None:
    ticket = bell.ticket
    waited(bell, ticket, lambda: None, timeout=0.01)
    assert (bell.ticket, bell.waiting) == (ticket, 0)


def test_closing_ends_the_waiting(bell: Bell) -> None:
    assert waited(bell, bell.ticket, bell.close) < LONG
    assert bell.closed
    assert waited(bell, bell.ticket, lambda: None) < LONG


def test_a_signal_may_close_it_at_any_time(bell: Bell) -> None:
    with bell._lock:
        bell.close()
    assert bell.closed


def test_a_broken_store_is_listened_to_again(bell: Bell, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bells, "_PAUSE", 0.01)
    store.broken = True
    ticket = bell.ticket
    assert store.listened.wait(30)
    store.broken = False
    assert waited(bell, ticket, store.announced.set) < LONG


def test_nobody_listens_before_somebody_asks(store: Store) -> None:
    unused = Bell(store.listen)
    unused.close()
    unused.join()
    assert not store.listened.is_set()


def test_all_are_told_now_and_then(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bells, "_ANYWAY", 0.0)
    monkeypatch.setattr(bells, "_LISTEN", 0.01)
    made = Bell(store.listen)
    assert waited(made, made.ticket, lambda: None) < LONG
    made.close()
    made.join()
