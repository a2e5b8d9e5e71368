from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from daskflow.errors import SiteUnknown, WorkInvalid
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

    @pytest.mark.parametrize("status", ["queued", "running", "success", "failure"])
    def test_what_is_not_new(self, buckets: Buckets, status: str) -> None:
        with pytest.raises(WorkInvalid, match=f"is `created`, not {status}"):
            buckets.deposit(make(status=status, function="math.sqrt"))

    def test_what_is_no_work(self, buckets: Buckets) -> None:
        with pytest.raises(WorkInvalid, match="is no Work"):
            buckets.deposit([{"pipeline": "a"}])  # type: ignore[list-item]

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
