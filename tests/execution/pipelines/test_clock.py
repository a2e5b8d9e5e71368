"""What ticks beside a server: nothing ends it, and its log tells each trouble once."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest

from daskflow.errors import StoreUnavailable
from daskflow.execution.pipelines import clock as clocks
from daskflow.execution.pipelines.clock import Clock
from daskflow.execution.pipelines.ticking import Tick
from tests.conftest import Lab


class Ticks:
    """Gives what is told, one after the other, and then the last one again and again."""

    def __init__(self, *given: Any) -> None:
        self._given = list(given)
        self._change = threading.Condition()
        self.count = 0

    def tick(self) -> Tick:
        given = self._given.pop(0) if len(self._given) > 1 else self._given[0]
        with self._change:
            self.count += 1
            self._change.notify_all()
        if isinstance(given, Exception):
            raise given
        return Tick(*given)

    def patience(self, longest: float) -> float:
        return 0.0

    def wait(self, count: int) -> None:
        """Until what the last tick gave is dealt with, too."""
        with self._change:
            assert self._change.wait_for(lambda: self.count > count, 60)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(clocks, "_LEAST", 0.001)
    caplog.set_level(logging.INFO, "daskflow.schedules")


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    return [(record.levelno, record.getMessage()) for record in caplog.records if record.name == "daskflow.schedules"]


def ticked(ticks: Ticks, count: int) -> Clock:
    clock = Clock(lambda: ticks, 0.001)
    clock.start()
    ticks.wait(count)
    clock.stop()
    return clock


def test_a_trouble_that_lasts_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    broken: Any = ([], ["The schedule s-1 of p: broken"])
    other: Any = ([], ["other"])
    ticked(Ticks(broken, broken, broken, other, ([], []), broken, broken, ([], [])), 8)
    assert [text for _, text in told(caplog)] == [*broken[1], "other", *broken[1]]
    assert {level for level, _ in told(caplog)} == {logging.ERROR}


def test_nothing_that_fails_ends_it(caplog: pytest.LogCaptureFixture) -> None:
    ticked(Ticks(StoreUnavailable("away"), ValueError("a defect"), ValueError("a defect"), ([], [])), 4)
    (first, second) = told(caplog)
    assert first == (logging.ERROR, "Schedules cannot be looked at: away")
    assert second == (logging.ERROR, "Schedules cannot be looked at")
    assert "a defect" in caplog.text


def test_what_cannot_be_opened_is_opened_later(caplog: pytest.LogCaptureFixture) -> None:
    tries: list[int] = []
    ticks = Ticks(([], []))

    def open_() -> Ticks:
        tries.append(1)
        if len(tries) < 3:
            raise StoreUnavailable("away")
        return ticks

    clock = Clock(open_, 0.001)
    clock.start()
    ticks.wait(2)
    clock.stop()
    assert len(tries) == 3
    assert [text for _, text in told(caplog)] == ["Schedules cannot be looked at: away"]


def test_the_ends_of_runs_are_told(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    gate = threading.Event()

    @lab.flow
    def good() -> int:
        assert gate.wait(60)
        return 1

    @lab.flow
    def bad() -> int:
        raise ValueError("too faint")

    runs = [good.submit(), bad.submit()]
    assert runs[1].wait(60)
    ticks = Ticks((runs, []), ([], []))
    clock = Clock(lambda: ticks, 0.001)
    clock.start()
    ticks.wait(2)
    assert len(told(caplog)) == 3
    gate.set()
    assert runs[0].wait(60)
    ticks.wait(ticks.count + 1)
    clock.stop()
    assert told(caplog) == [
        (logging.INFO, f"The run {runs[0].id} of good goes on here"),
        (logging.INFO, f"The run {runs[1].id} of bad goes on here"),
        (logging.ERROR, f"The run {runs[1].id} of bad is failed: too faint"),
        (logging.INFO, f"The run {runs[0].id} of good is succeeded"),
    ]


def test_it_stops_at_once(caplog: pytest.LogCaptureFixture) -> None:
    class Patient(Ticks):
        def patience(self, longest: float) -> float:
            return longest

    ticks = Patient(([], []))
    clock = Clock(lambda: ticks, 3600.0)
    clock.start()
    ticks.wait(0)
    clock.stop()
    assert ticks.count == 1
