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


def sizes(desk: Desk, count: int) -> list[int]:
    return [order.size for order in desk.orders(pool(), count, ())]


def test_after_a_refusal_fewer_are_submitted_and_then_more_again(desk: Desk) -> None:
    (order,) = desk.orders(pool(), 20, ())
    found = []
    while desk.refused(order):
        (order,) = desk.orders(pool(), 20, ())
        found.append(order.size)
    assert found == [10, 5, 2, 1]
    for _ in range(4):
        desk.taken(order)
        (order,) = desk.orders(pool(), 20, ())
        found.append(order.size)
    assert found == [10, 5, 2, 1, 2, 4, 8, 16]
    desk.taken(desk.orders(pool(), 3, ())[0])
    assert sizes(desk, 20) == [16], "less than the limit says nothing of it"


def test_without_arrays_each_is_an_order(tmp_path: Path, system: MemorySystem) -> None:
    notes = Notes(str(tmp_path), "token")
    plan = SitePlan((pool(),), str(tmp_path), arrays=False)
    desk = Desk(plan, system, notes, Meeting("cedar", "tcp://h:1", token="token"))
    assert sizes(desk, 3) == [1, 1, 1]
    assert not desk.refused(desk.orders(pool(), 1, ())[0])
    assert sizes(desk, 3) == [1, 1, 1]


def test_logs_of_different_orders_differ(desk: Desk) -> None:
    orders = [*desk.orders(pool(), 2, ()), *desk.orders(pool(), 1, ()), *desk.orders(pool("large"), 1, ())]
    assert len({order.ask.log for order in orders}) == 3


def test_what_cannot_be_written_down_is_submitted_all_the_same(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stale(self: Notes, ids: list[str]) -> None:
        raise OSError(116, "Stale file handle")

    with monkeypatch.context() as patch:
        patch.setattr(Notes, "submitted", stale)
        first = desk.perform(desk.orders(pool(), 2, ())[0])
    assert len(first) == 2
    second = desk.perform(desk.orders(pool(), 1, ())[0])
    assert Notes(str(tmp_path), "token").living() == first + second


def test_what_is_refused_is_not_written_down(desk: Desk, system: MemorySystem, tmp_path: Path) -> None:
    system.refuses = BatchRefused("no")
    with pytest.raises(BatchRefused):
        desk.perform(desk.orders(pool(), 1, ())[0])
    assert Notes(str(tmp_path), "token").living() == []
