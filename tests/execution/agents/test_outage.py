import threading

import pytest

from daskflow.errors import StoreUnavailable
from daskflow.execution.agents.outage import Outage


def test_an_outage_is_told_once_and_its_end_too() -> None:
    told: list[str] = []
    outage, stop = Outage(told.append), threading.Event()
    stop.set()
    assert [outage.lasts] == [False]
    assert outage.wait(StoreUnavailable("The store is away."), stop)
    assert outage.wait(StoreUnavailable("The store is away."), stop)
    assert [outage.lasts] == [True]
    assert told == ["The store is away. It is tried again."]
    outage.end()
    outage.end()
    assert [outage.lasts] == [False]
    assert len(told) == 2
    assert told[1].startswith("The store answers again")


def test_waiting_ends_by_itself_where_nobody_stops_it() -> None:
    assert not Outage(lambda text: None).wait(StoreUnavailable(), threading.Event())


def test_what_is_told_when_it_is_over_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    outage, stop = Outage(told.append, "There is room again"), threading.Event()
    stop.set()
    outage.wait(OSError("full"), stop)
    outage.end()
    assert told[1].startswith("There is room again, after")
