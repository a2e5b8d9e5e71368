from __future__ import annotations

import pytest

from daskflow.compat.chime.patience import patiently
from daskflow.errors import ServerSilent, StoreUnavailable, WorkLost


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_what_works_is_done_once(clock: Clock) -> None:
    calls: list[int] = []

    def act() -> int:
        calls.append(1)
        return 7

    assert patiently(act, clock=clock, sleep=clock.sleep) == 7
    assert (calls, clock.pauses) == ([1], [])


def test_it_is_tried_again_after_random_pauses(clock: Clock) -> None:
    trouble = [StoreUnavailable("a"), ServerSilent("b"), StoreUnavailable("c")]

    def act() -> str:
        if trouble:
            raise trouble.pop()
        return "done"

    assert patiently(act, clock=clock, sleep=clock.sleep) == "done"
    assert len(clock.pauses) == len(set(clock.pauses)) == 3
    assert all(0.5 <= pause <= 1.5 for pause in clock.pauses)


def test_it_is_given_up_after_half_a_minute_with_the_last_error(clock: Clock) -> None:
    calls = 0

    def act() -> None:
        nonlocal calls
        calls += 1
        raise ServerSilent(f"call {calls}")

    with pytest.raises(ServerSilent) as caught:
        patiently(act, clock=clock, sleep=clock.sleep)
    assert str(caught.value) == f"call {calls}"
    assert 20 <= calls <= 61
    assert 28 < clock.now - 100 <= 30


def test_a_call_that_took_long_itself_is_not_made_again(clock: Clock) -> None:
    calls: list[float] = []

    def act() -> None:
        calls.append(clock.now)
        clock.now += 30
        raise ServerSilent

    with pytest.raises(ServerSilent):
        patiently(act, clock=clock, sleep=clock.sleep)
    assert calls == [100.0]


@pytest.mark.parametrize("error", [WorkLost("gone"), ZeroDivisionError()])
def test_what_stays_wrong_is_told_at_once(error: Exception, clock: Clock) -> None:
    def act() -> None:
        raise error

    with pytest.raises(type(error)):
        patiently(act, clock=clock, sleep=clock.sleep)
    assert clock.pauses == []
