from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from daskflow.errors import StoreError, WorkLost
from daskflow.model.work import Work
from daskflow.stores.buckets.shelf import Payload, View, Wanted
from daskflow.stores.buckets.table import WorkTable
from daskflow.stores.database import Database


@pytest.fixture(params=["sqlite", "postgres"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    url = request.getfixturevalue("postgres") if request.param == "postgres" else tmp_path / "works.db"
    with Database(url) as database:
        yield WorkTable(database)


def make(number: int = 0, **fields: Any) -> Payload:
    return Work(**{"pipeline": "sample", "site": "local", "user": "ada", "parameters": {"x": number}, **fields}).payload


def take(table: WorkTable, pipelines: tuple[str, ...] = ("sample",), **filters: Any) -> Payload | None:
    return table.withdraw(Wanted(pipelines, **filters), lease=60.0, holder="node7:12")


def test_the_holder_is_shown_while_it_holds(table: WorkTable) -> None:
    (id,) = table.deposit([make()])
    taken = take(table)
    assert taken is not None
    assert taken["host"] == "node7:12"
    table.give_back(id, 1)
    again = take(table)
    assert again is not None
    assert again["attempt"] == 2


def test_a_deposit_that_fails_leaves_nothing(table: WorkTable) -> None:
    works = [make(1, tags=["a"]), {**make(2), "retries": None}]
    with pytest.raises(StoreError):
        table.deposit(works)
    assert table.status(None) == {}
    assert table.count({"tags": "a"}) == 0


def test_marks_go_with_their_works(table: WorkTable) -> None:
    ids = table.deposit([make(number, tags=["a", "b"], event=[number]) for number in range(3)])
    assert table.database.rows("marked", kind="tag", values=["a", "b"], most=100) == [(6,)]
    table.delete(ids[:2])
    assert table.database.rows("marked", kind="tag", values=["a", "b"], most=100) == [(2,)]
    assert table.database.rows("marked", kind="event", values=["0", "1"], most=100) == [(0,)]


def test_no_more_marks_are_counted_than_matter(table: WorkTable) -> None:
    table.deposit([make(number, tags=["a"]) for number in range(9)])
    assert table.database.rows("marked", kind="tag", values=["a"], most=5) == [(5,)]


@pytest.mark.parametrize("few", [1, 500])
def test_marks_are_asked_for_both_ways(table: WorkTable, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daskflow.stores.buckets.table._FEW", few)
    table.deposit([make(number, tags=["a"] if number > 2 else ["b"], event=[number % 2]) for number in range(6)])
    taken = [take(table, ("other", "sample"), tags=("a",), events=(1,)) for _ in range(3)]
    assert [work and work["parameters"]["x"] for work in taken] == [3, 5, None]


def test_several_buckets_with_filters(table: WorkTable) -> None:
    table.deposit(
        [make(number, pipeline=f"p{number % 2}", site="cedar" if number > 3 else "local") for number in range(6)]
    )
    both = ("p0", "p1", "p2")
    assert (take(table, both, site="cedar") or {})["parameters"] == {"x": 4}
    assert (take(table, both, user="ada") or {})["parameters"] == {"x": 0}
    assert (take(table, both) or {})["parameters"] == {"x": 1}
    assert take(table, both, site="nowhere") is None


def test_an_unchanged_work_is_written_by_one_statement(table: WorkTable, monkeypatch: pytest.MonkeyPatch) -> None:
    table.deposit([make(tags=["a"])])
    work = take(table)
    assert work is not None
    names: list[str] = []
    change = table.database.change

    def noted(name: str, /, **parameters: Any) -> list[tuple[Any, ...]]:
        names.append(name)
        return change(name, **parameters)

    monkeypatch.setattr(table.database, "change", noted)
    table.update([{**work, "status": "success", "results": 3}])
    assert names == ["update_work"]
    table.update([{**work, "status": "success", "tags": ["b"]}])
    assert names[1:] == ["update_work", "update_work", "hold_work", "mark_work", "unmark_work", "update_work"]


def test_it_pickles_as_its_place(table: WorkTable) -> None:
    (id,) = table.deposit([make()])
    again: WorkTable = pickle.loads(pickle.dumps(table))
    try:
        assert again.count({"id": id}) == 1
    finally:
        again.close()


def test_within_a_transaction_of_others(table: WorkTable) -> None:
    (id,) = table.deposit([make()])

    def taken_and_deleted() -> None:
        with table.database.transaction(ordered=False):
            assert take(table) is not None
            table.delete([id])
            table.heartbeat(id, 1, 5.0)

    with pytest.raises(WorkLost):
        taken_and_deleted()
    assert table.status("sample") == {"sample": {"queued": 1}}


def test_a_holder_that_cannot_be_printed_is_made_so(table: WorkTable) -> None:
    (id,) = table.deposit([make()])
    taken = table.withdraw(Wanted(("sample",)), lease=60.0, holder="node\n7\ud800" + "x" * 2000)
    assert taken is not None
    assert taken["host"].startswith("node?7?xxx")
    assert len(taken["host"]) == 1024
    assert Work.from_stored(taken).id == id


def test_who_gives_a_work_back_makes_it_wait_anew(table: WorkTable) -> None:
    table.deposit([make(creation=1000.0)])
    taken = take(table)
    assert taken is not None
    table.give_back(taken["id"], 1)
    assert table.audit_stale(3600.0) == 0


def test_only_what_is_held_can_be_made_to_fail(table: WorkTable) -> None:
    table.deposit([make()])
    taken = take(table)
    assert taken is not None
    with pytest.raises(WorkLost, match="attempt 2"):
        table.fail({**taken, "attempt": 2}, "broken")
    table.fail(taken, "broken \ud800")
    with pytest.raises(WorkLost):
        table.heartbeat(taken["id"], 1, 60.0)
    (found,) = table.view(View({"id": taken["id"]}))
    assert (found["status"], found["final"], found["error"]) == ("failure", True, "broken \ufffd")
