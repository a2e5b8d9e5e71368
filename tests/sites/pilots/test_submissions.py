from __future__ import annotations

from pathlib import Path

import pytest

from daskflow.errors import BatchRefused
from daskflow.sites.pilots.plan import SitePlan
from daskflow.sites.pilots.script import Meeting
from daskflow.sites.pilots.starts import Notes
from daskflow.sites.pilots.submissions import Desk
from tests.sites.pilots.fleets import MemorySystem, pool


@pytest.fixture
def system() -> MemorySystem:
    return MemorySystem()


@pytest.fixture
def desk(tmp_path: Path, system: MemorySystem) -> Desk:
    notes = Notes(str(tmp_path), "token")
    notes.make()
    return Desk(SitePlan((pool(),), str(tmp_path)), system, notes, Meeting("cedar", "tcp://h:1", token="token"))


def test_an_order_is_an_array(desk: Desk, system: MemorySystem, tmp_path: Path) -> None:
    (order,) = desk.orders(pool(), 3, ("n9",))
    assert (order.size, order.ask.avoid) == (3, ("n9",))
    ids = desk.perform(order)
    assert [order.log(id)[-10:] for id in ids] == ["0001-0.log", "0001-1.log", "0001-2.log"]
    assert "daskflow.sites.pilots.main" in system.scripts[0]
    assert Notes(str(tmp_path), "token").living() == ids


def test_not_more_at_once_than_may_be(desk: Desk) -> None:
    desk.at_once = 2
    assert [order.size for order in desk.orders(pool(), 5, ())] == [2, 2, 1]


def test_logs_of_different_orders_differ(desk: Desk) -> None:
    desk.at_once = 1
    orders = [*desk.orders(pool(), 2, ()), *desk.orders(pool("large"), 1, ())]
    assert len({order.ask.log for order in orders}) == 3


def test_what_is_refused_is_not_written_down(desk: Desk, system: MemorySystem, tmp_path: Path) -> None:
    system.refuses = BatchRefused("no")
    with pytest.raises(BatchRefused):
        desk.perform(desk.orders(pool(), 1, ())[0])
    assert Notes(str(tmp_path), "token").living() == []
