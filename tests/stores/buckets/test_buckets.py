from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from daskflow.errors import SiteUnknown, WorkInvalid, WorkLost
from daskflow.model.work import Work, WorkStatus
from daskflow.stores.buckets import Buckets
from daskflow.stores.buckets.table import WorkTable
from daskflow.stores.database import Database


@pytest.fixture
def buckets(tmp_path: Path) -> Iterator[Buckets]:
    with Buckets(WorkTable(Database(tmp_path / "works.db")), sites=["local", "cedar"]) as made:
        yield made


def make(**fields: Any) -> Work:
    return Work(**{"pipeline": "sample", "site": "local", "user": "ada", **fields})


class TestDeposit:
    def test_a_site_that_nobody_has(self, buckets: Buckets) -> None:
        with pytest.raises(SiteUnknown, match="site 'mars'; there are cedar, local"):
            buckets.deposit([make(), make(site="mars")])
        assert buckets.count() == 0
        buckets.deposit(make(site="mars", config={"strategy": "relaxed"}))
        buckets.deposit(make(site="cedar"))

    def test_any_site_where_none_are_told(self, buckets: Buckets) -> None:
        assert Buckets(buckets.shelf).deposit(make(site="mars"))

    def test_a_second_time(self, buckets: Buckets) -> None:
        work = make()
        buckets.deposit(work)
        with pytest.raises(WorkInvalid, match=f"The work {work.id} was deposited before"):
            buckets.deposit(work)

    def test_twice_in_one(self, buckets: Buckets) -> None:
        work = make()
        with pytest.raises(WorkInvalid, match="stands twice"):
            buckets.deposit([work, make(), work])
        assert (work.id, buckets.count()) == (None, 0)

    @pytest.mark.parametrize("status", ["queued", "running"])
    def test_what_is_neither_new_nor_ended(self, buckets: Buckets, status: str) -> None:
        with pytest.raises(WorkInvalid, match=f"or has ended; this one is {status}"):
            buckets.deposit(make(status=status, function="math.sqrt"))

    def test_what_has_ended_stays_as_it_is(self, buckets: Buckets) -> None:
        works = [make(status="success"), make(status="failure"), make()]
        buckets.deposit(works)
        assert [(str(work.status), work.final) for work in works] == [
            ("success", False),
            ("failure", True),
            ("queued", False),
        ]
        assert [buckets.get(str(work.id)) for work in works] == works

    def test_what_is_no_work(self, buckets: Buckets) -> None:
        with pytest.raises(WorkInvalid, match="is no Work"):
            buckets.deposit([{"pipeline": "a"}])  # type: ignore[list-item]

    @pytest.mark.parametrize("given", [{"pipeline": "a"}, [{"pipeline": "a"}], 7, None, "a"])
    def test_what_is_no_work_is_told_what_to_make_of_it(self, buckets: Buckets, given: Any) -> None:
        with pytest.raises(WorkInvalid, match=r"^A \w+ is no Work\. .* Work\.from_dict\(payload\)\.$"):
            buckets.deposit(given)
        with pytest.raises(WorkInvalid, match="Deposit it"):
            buckets.update(given)

    @pytest.mark.parametrize("sort", ["dm", ["dm"], 3, [3]])
    def test_what_is_no_order_is_told_how_one_is_written(self, buckets: Buckets, sort: Any) -> None:
        with pytest.raises(WorkInvalid, match=r"is no order\. Write \{'results\.dm': -1\}"):
            buckets.view(sort=sort)

    def test_buckets_have_one_name_each(self, buckets: Buckets) -> None:
        (id,) = buckets.deposit(make(pipeline="x-y"))
        buckets.deposit(make())
        asked: list[Any] = [
            "X_Y",
            {"$eq": "X Y"},
            {"$in": ["X_Y", "none"]},
            {"$not": {"$ne": "X_Y"}},
            {"$all": ["X_Y"]},
        ]
        asked += [{"$nin": ["Sample"]}]
        for pipeline in asked:
            for query in ({"pipeline": pipeline}, {"$or": [{"pipeline": pipeline}]}):
                assert [work.id for work in buckets.view(query)] == [id]
                assert buckets.count(query) == 1
        assert buckets.status("X_Y")["total"] == 1

    def test_they_are_queued_then(self, buckets: Buckets) -> None:
        work = make()
        (id,) = buckets.deposit(work)
        assert (work.id, work.status) == (id, WorkStatus.queued)


class TestWithdraw:
    def test_names_are_brought_into_shape(self, buckets: Buckets) -> None:
        buckets.deposit(make(pipeline="a-b"))
        assert buckets.status("A_B")["queued"] == 1
        found = buckets.withdraw("A b")
        assert found is not None
        assert found.pipeline == "a-b"

    @pytest.mark.parametrize("pipeline", ["", [], [""], "a/b", ["a", "é"], None, 3, [3], "'; DROP TABLE works"])
    def test_no_pipeline(self, buckets: Buckets, pipeline: Any) -> None:
        with pytest.raises(WorkInvalid):
            buckets.withdraw(pipeline)

    @pytest.mark.parametrize(
        "filters",
        [
            {"event": "a"},
            {"event": True},
            {"event": [1, None]},
            {"event": 2**63},
            {"event": 1.5},
            {"site": 3},
            {"site": ["a", "b"]},
            {"user": b"a"},
            {"tags": 3},
            {"tags": ["a", 3]},
            {"parent": {"a": 1}, "tags": [{}]},
            {"priority": 0},
            {"priority": True},
            {"priority": "5"},
            {"lease": 0},
            {"lease": -1},
            {"lease": float("nan")},
            {"lease": 1e12},
            {"lease": "1"},
        ],
    )
    def test_filters_that_are_none(self, buckets: Buckets, filters: dict[str, Any]) -> None:
        with pytest.raises(WorkInvalid):
            buckets.withdraw("sample", **filters)


class TestOthers:
    @pytest.mark.parametrize(
        "act",
        [
            lambda buckets, work: buckets.update(work),
            lambda buckets, work: buckets.heartbeat(work, 1.0),
            lambda buckets, work: buckets.give_back(work),
            lambda buckets, work: buckets.delete(work),
            lambda buckets, work: buckets.lock([work]),
            lambda buckets, work: buckets.unlock(work),
        ],
    )
    def test_what_was_never_deposited(self, buckets: Buckets, act: Callable[[Buckets, Work], Any]) -> None:
        with pytest.raises(WorkInvalid, match="never deposited"):
            act(buckets, make())

    def test_a_heartbeat_of_no_time(self, buckets: Buckets) -> None:
        buckets.deposit(work := make())
        with pytest.raises(WorkInvalid, match="no time of a lease"):
            buckets.heartbeat(work, 0)

    def test_nothing_to_update(self, buckets: Buckets) -> None:
        buckets.update([])

    def test_a_work_is_not_given_a_site_that_nobody_has(self, buckets: Buckets) -> None:
        works = [make(), make()]
        buckets.deposit(works)
        works[0].user, works[1].site = "eve", "mars"
        with pytest.raises(SiteUnknown, match="site 'mars'; there are cedar, local"):
            buckets.update(works)
        assert {(work.site, work.user) for work in buckets.view()} == {("local", "ada")}
        works[1].site = "cedar"
        buckets.update(works)
        works[1].site, works[1].config = "mars", {"strategy": "relaxed"}  # type: ignore[assignment]
        buckets.update(works)
        assert {work.site for work in buckets.view()} == {"local", "mars"}

    def test_who_performs_a_work_of_a_site_that_others_have_may_write_it(self, buckets: Buckets) -> None:
        Buckets(buckets.shelf).deposit(make(site="mars"))
        mine = buckets.withdraw("sample")
        assert mine is not None
        mine.results, mine.status = 1, WorkStatus.success
        buckets.update(mine)
        assert buckets.status()["success"] == 1

    def test_get(self, buckets: Buckets) -> None:
        (id,) = buckets.deposit(make(function="math.sqrt"))
        found = buckets.get(id)
        assert found is not None
        assert found.function == "math.sqrt"
        assert buckets.get("unknown") is None

    def test_an_order_as_a_dictionary_or_as_pairs(self, buckets: Buckets) -> None:
        buckets.deposit([make(priority=number) for number in (2, 1, 3)])
        for sort in ({"priority": 1}, [("priority", 1)]):
            assert [work.priority for work in buckets.view(sort=sort)] == [1, 2, 3]

    def test_it_opens_again(self, buckets: Buckets) -> None:
        buckets.deposit(make())
        buckets.close()
        assert buckets.count() == 1

    def test_many_ids(self, buckets: Buckets) -> None:
        ids = buckets.deposit([make() for _ in range(1500)])
        assert buckets.lock(ids) == 1500
        assert buckets.unlock(ids) == 1500
        assert buckets.delete(ids) == 1500
        assert buckets.count() == 0


class TestDamaged:
    """Works that nobody can read: they were changed in their store, or a newer version wrote them."""

    def test_a_damaged_work_fails_for_good_and_the_next_one_is_taken(
        self, buckets: Buckets, caplog: pytest.LogCaptureFixture
    ) -> None:
        broken = damaged(buckets, config=7, priority=5)
        (good,) = buckets.deposit(make())
        work = buckets.withdraw("sample")
        assert work is not None
        assert work.id == good
        assert buckets.withdraw("sample") is None
        (found,) = buckets.view({"id": broken}, projection={"log": 0})
        assert (found["status"], found["final"], "config" in found["error"]) == ("failure", True, True)
        assert broken in caplog.text
        assert buckets.audit()["failed"] == 0

    def test_the_others_are_shown(self, buckets: Buckets, caplog: pytest.LogCaptureFixture) -> None:
        broken = damaged(buckets, tags=7)
        (good,) = buckets.deposit(make())
        assert [work.id for work in buckets.view()] == [good]
        assert f"The work {broken} is left out: The work does not fit: tags" in caplog.text
        with pytest.raises(WorkInvalid, match="tags"):
            buckets.get(broken)
        assert buckets.delete(broken) == 1

    def test_what_newer_versions_know_hinders_nobody(self, buckets: Buckets) -> None:
        id = damaged(buckets, shape=[1, 2])
        work = buckets.withdraw("sample")
        assert work is not None
        work.status = WorkStatus.success
        buckets.update(work)
        assert [each.id for each in buckets.view()] == [id]

    def test_what_cannot_be_written_is_left_to_its_lease(self, buckets: Buckets, monkeypatch: Any) -> None:
        broken = damaged(buckets, config=7, priority=5)
        (good,) = buckets.deposit(make())

        def lost(work: Any, why: str) -> None:
            raise WorkLost("It was deleted just now.")

        monkeypatch.setattr(buckets.shelf, "fail", lost)
        work = buckets.withdraw("sample")
        assert work is not None
        assert work.id == good
        assert buckets.count({"id": broken, "status": "running"}) == 1


def damaged(buckets: Buckets, **fields: Any) -> str:
    """A work whose record says something that none says."""
    (id,) = buckets.deposit(make(priority=fields.pop("priority", 3)))
    database = buckets.shelf.database  # type: ignore[attr-defined]
    with sqlite3.connect(database.place) as connection:
        for name, value in fields.items():
            change = "UPDATE works SET payload = json_set(payload, ?, json(?)) WHERE id = ?"
            connection.execute(change, [f"$.{name}", json.dumps(value), id])
    connection.close()
    return id


def test_a_new_work_has_had_no_attempts(buckets: Buckets) -> None:
    work = make(attempt=4, given_back=2)
    buckets.deposit(work)
    assert (work.attempt, work.given_back, work.ended) == (0, 0, False)
    assert buckets.get(str(work.id)) == work
