from __future__ import annotations

import threading

import pytest

from daskflow.execution.clerk import Clerk
from tests.execution.patience import until


class Boss:
    """Notes what its clerk does for it."""

    def __init__(self, patience: float | None = None) -> None:
        self.settled = 0
        self.failed: list[Exception] = []
        self.time = patience
        self.lock = threading.Condition()
        self.clerk = Clerk("a-clerk", self.lock, self)
        self.clerk.start()

    def settle(self) -> None:
        self.settled += 1

    def patience(self) -> float | None:
        return self.time

    def fail(self, error: Exception) -> None:
        self.failed.append(error)


def test_what_is_handed_in_is_done_in_order_and_by_its_thread() -> None:
    boss, done = Boss(), []
    for number in range(5):
        boss.clerk.post(lambda number=number: done.append((number, boss.clerk.here)))  # type: ignore[misc]
    boss.clerk.stop()
    assert done == [(number, True) for number in range(5)]
    assert boss.settled
    assert not boss.clerk.here


def test_it_looks_again_when_patience_is_over() -> None:
    boss = Boss(0.001)
    until(lambda: boss.settled > 3)
    boss.clerk.stop()


def test_a_time_in_the_far_future_can_be_waited_for() -> None:
    boss = Boss(1e12)
    boss.clerk.post(lambda: None)
    boss.clerk.stop()
    assert boss.failed == []


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3)])
def test_nothing_ends_it_but_its_chief(error: BaseException) -> None:
    def bad() -> None:
        raise error

    boss, done = Boss(), threading.Event()
    boss.clerk.post(bad)
    until(lambda: boss.failed)
    boss.clerk.post(done.set)
    assert done.wait(30)
    boss.clerk.stop()
    assert type(error).__name__ in repr(boss.failed[0])


def test_it_is_waited_for_no_longer_than_one_may() -> None:
    boss, go, done = Boss(), threading.Event(), threading.Event()
    boss.clerk.post(lambda: until(go.is_set))
    boss.clerk.post(done.set)
    boss.clerk.stop(0.01)
    assert not done.is_set()
    go.set()
    boss.clerk.stop()
    assert done.is_set()
