"""How often somebody may ask."""

from __future__ import annotations

import pytest

from daskflow.execution.gateway import rates
from daskflow.execution.gateway.rates import Rates


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_is_allowed_and_no_more() -> None:
    found = Rates(5.0, Clock())
    assert [found.pause("ada") for _ in range(10)] == [0.0] * 10
    assert found.pause("ada") == pytest.approx(0.2)


def test_in_the_mean_it_is_the_rate() -> None:
    clock = Clock()
    found = Rates(5.0, clock)
    while found.pause("ada") == 0:
        pass
    allowed = 0
    for _ in range(1000):
        clock.now += 0.01
        allowed += found.pause("ada") == 0
    assert allowed == pytest.approx(50, abs=1)


def test_who_waits_as_told_may_ask() -> None:
    clock = Clock()
    found = Rates(0.5, clock)
    assert found.pause("ada") == 0
    pause = found.pause("ada")
    assert pause == pytest.approx(2)
    clock.now += pause
    assert found.pause("ada") == 0


def test_others_are_not_concerned() -> None:
    found = Rates(0.5, Clock())
    assert [found.pause("ada"), found.pause("bob")] == [0.0, 0.0]
    assert found.pause("ada") > 0


def test_a_pause_is_not_saved_up() -> None:
    clock = Clock()
    found = Rates(1.0, clock)
    found.pause("ada")
    clock.now += 1e6
    assert [found.pause("ada") == 0 for _ in range(3)] == [True, True, False]


def test_only_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "_MOST", 3)
    found = Rates(0.5, Clock())
    for name in ("ada", "bob", "eve", "dan"):
        found.pause(name)
    assert len(found._left) == 3
    assert "ada" not in found._left


def test_looking_is_not_counted() -> None:
    rates = Rates(0.5, clock=lambda: 0.0)
    assert [rates.spent("ada"), rates.spent("ada"), rates.pause("ada"), rates.spent("ada")] == [0.0, 0.0, 0.0, 2.0]
