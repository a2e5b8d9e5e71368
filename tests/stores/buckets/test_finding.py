from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daskflow.model.work import Work
from daskflow.stores.buckets import finding
from daskflow.stores.buckets.finding import count_works, view_works
from daskflow.stores.buckets.shelf import View
from daskflow.stores.buckets.sieve import Sieve
from daskflow.stores.buckets.table import WorkTable
from daskflow.stores.database import Database


class Watched(Database):
    """Notes what is asked of it."""

    asked: list[tuple[str, dict[str, Any]]]

    def rows(self, name: str, /, **parameters: Any) -> list[tuple[Any, ...]]:
        self.asked.append((name, parameters))
        return super().rows(name, **parameters)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Watched]:
    with Watched(tmp_path / "works.db") as database:
        database.asked = []
        WorkTable(database).deposit([work(number) for number in range(200)])
        yield database


def work(number: int, size: int = 0) -> dict[str, Any]:
    fields = {"parameters": {"x": number, "y": "z" * size}, "tags": ["even"] if number % 2 == 0 else None}
    return Work(pipeline=f"p{number % 3}", site="local", user="ada", **fields).payload


def seen(works: list[dict[str, Any]]) -> list[int]:
    return [each["parameters"]["x"] for each in works]


def test_few_of_many_cost_one_page(database: Watched) -> None:
    assert seen(view_works(database, View(limit=3))) == [199, 198, 197]
    assert [(name, parameters["most"]) for name, parameters in database.asked] == [("works_found", finding._FIRST)]


def test_what_the_database_decides_it_counts_and_skips(database: Watched) -> None:
    assert count_works(database, {"pipeline": "p0"}) == 67
    assert seen(view_works(database, View({"pipeline": "p0"}, skip=60, limit=3))) == [18, 15, 12]
    assert [name for name, _ in database.asked] == ["works_counted pipeline", "works_found pipeline"]
    assert database.asked[-1][1]["skip"] == 60


def test_the_rest_is_decided_page_by_page(database: Watched) -> None:
    query = {"pipeline": "p0", "parameters.x": {"$lt": 30}}
    assert seen(view_works(database, View(query, skip=1, limit=2))) == [24, 21]
    sizes = [parameters["most"] for _, parameters in database.asked]
    assert sizes == sorted(sizes)
    assert sizes[0] == finding._FIRST
    assert sizes[-1] <= finding._MOST
    assert count_works(database, query) == 10


def test_large_works_come_in_small_pages(database: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "_ROOM", 20_000)
    WorkTable(database).deposit([work(number, 10_000) for number in range(200, 250)])
    assert seen(view_works(database, View(limit=-1))) == list(range(249, -1, -1))
    sizes = [parameters["most"] for _, parameters in database.asked]
    assert 1 in sizes[1:]
    assert max(sizes) > 50


def test_an_order_keeps_what_comes_first(database: Watched) -> None:
    view = View({"tags": "even"}, {"parameters.x": 1, "id": 0}, (("parameters.x", 1),), 2, 3)
    assert view_works(database, view) == [{"parameters": {"x": number}} for number in (4, 6, 8)]
    assert {name for name, _ in database.asked} == {"works_found tag"}


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("works_found", "SEARCH works USING INTEGER PRIMARY KEY (rowid<?)"),
        ("works_found id", "works_1 (id=? AND rowid<?)"),
        ("works_found pipeline", "works_of_pipeline (pipeline=? AND ordinal<?)"),
        ("works_found pipeline status", "works_standing (pipeline=? AND status=? AND ordinal<?)"),
        ("works_found parent", "works_of_parent (parent=? AND ordinal<?)"),
        ("works_found event", "SEARCH works USING INTEGER PRIMARY KEY (rowid=?)"),
        ("works_counted pipeline status", "COVERING INDEX works_standing (pipeline=? AND status=?)"),
        ("work_counts one", "COVERING INDEX works_standing (pipeline=?)"),
        ("withdraw one", "works_queue (pipeline=?)"),
        ("withdraw one site", "works_queue (pipeline=?)"),
        ("withdraw heads_sqlite", "SEARCH h USING INDEX works_queue (pipeline=?)"),
        ("withdraw marked tag_few", "SEARCH w USING INTEGER PRIMARY KEY (rowid=?)"),
        ("audit_failed", "works_again"),
        ("audit_expired", "works_running"),
        ("delete_work_marks", "works_marks_work (work=?)"),
    ],
)
def test_indexes_are_used(database: Watched, name: str, index: str) -> None:
    assert index in plan(database, name)


@pytest.mark.parametrize(
    "name", ["works_found", "works_found pipeline", "works_found pipeline status", "withdraw one site"]
)
def test_no_sorting(database: Watched, name: str) -> None:
    assert "TEMP B-TREE" not in plan(database, name)


def plan(database: Watched, name: str) -> str:
    """How SQLite goes about a statement."""
    sql = database._sql(name)
    names = [
        "below",
        "most",
        "skip",
        "pipeline",
        "status",
        "site",
        "username",
        "lease",
        "holder",
        "stale",
        "outcome",
        "priority",
    ]
    lists = ["ids", "pipelines", "statuses", "sites", "users", "parents", "events", "tags", "ordinals", "values"]
    parameters = {**dict.fromkeys(names, 1), **dict.fromkeys(lists, "[]")}
    connection = database._dialect.connect(writing=True)
    try:
        return "\n".join(str(row[-1]) for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters).fetchall())
    finally:
        connection.close()


def test_a_sieve_that_lets_most_through_is_put_away(database: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "_TRIAL", finding._FIRST)
    seen_of: list[int] = []
    passes = Sieve.passes

    def note(sieve: Sieve, payload: str, outcome: str) -> bool:
        seen_of.append(1)
        return passes(sieve, payload, outcome)

    monkeypatch.setattr(Sieve, "passes", note)
    assert count_works(database, {"parameters.x": {"$gte": 0}}) == 200
    assert len(seen_of) == finding._FIRST
    seen_of.clear()
    assert count_works(database, {"parameters.x": {"$lt": 10}}) == 10
    assert len(seen_of) == 200


def test_of_what_is_not_shown_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither with an order nor without one, however many works there are."""
    letters, number = 1 << 20, 30
    monkeypatch.setattr(finding, "_FIRST", 2)
    monkeypatch.setattr(finding, "_ROOM", 2 * letters)
    with Database(tmp_path / "works.db") as large:
        table = WorkTable(large)
        for each in range(number):
            table.deposit([work(each, letters)])
        for sort in ((), (("parameters.x", -1),)):
            tracemalloc.start()
            try:
                found = view_works(large, View({}, {"parameters.x": 1, "id": 0}, sort, limit=-1))
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert seen(found) == list(reversed(range(number)))
            # Those of one page are read at once, and those that were read before are gone.
            assert peak < number * letters / 2
