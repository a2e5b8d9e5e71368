"""What an earlier driver has left of a run: taken over where it is asked for, else out of the way of others."""

from __future__ import annotations

from typing import Any

import pytest

from daskflow.execution.bucketing import leftovers
from daskflow.execution.bucketing.deposit import Deposit
from daskflow.execution.bucketing.leftovers import Leftovers, works_of
from daskflow.execution.bucketing.parcel import PERFORM
from daskflow.model.work import Work, WorkStatus
from tests.execution.bucketing.camp import Camp, Ear, add
from tests.execution.patience import until

NAMES = ("queued", "begun", "done", "failed")


def left_by_another(camp: Camp, *names: str) -> dict[str, str]:
    """Ids of works that a driver leaves which dies."""
    site, ear = camp.another(), Ear()
    site.submit([camp.node(name, add, 1, 2) for name in names], [], ear, {})
    until(lambda: len(ear.of("work.deposited")) == len(names))
    site.leave(ear)
    site.close()
    return {data["job"]: data["id"] for data in ear.of("work.deposited")}


def stand(camp: Camp) -> dict[str, str]:
    """Works as their names say."""
    ids = left_by_another(camp, *NAMES)
    for name in ("begun", "done", "failed"):
        work = camp.buckets.withdraw("some-work", tags=[name])
        assert work is not None
        if name != "begun":
            work.status = WorkStatus.success if name == "done" else WorkStatus.failure
            camp.buckets.update(work)
    return ids


def deposit(camp: Camp, name: str) -> Deposit:
    return Deposit(camp.node(name, add, 1, 2), camp.ear, {})


def there(camp: Camp) -> set[str]:
    return {str(work.id) for work in camp.buckets.view(limit=-1)}


def test_what_waits_and_is_not_asked_for_is_in_the_way(camp: Camp, monkeypatch: pytest.MonkeyPatch) -> None:
    ids, found = stand(camp), Leftovers(camp.buckets, camp.means())
    found.look("a-run", ())
    assert found.idle(()) == [], "there is time to ask for it"
    assert found.patience() is not None
    monkeypatch.setattr(leftovers, "_ASKED", -1.0)
    monkeypatch.setattr(leftovers, "_AGAIN", -1.0)
    found = Leftovers(camp.buckets, camp.means())
    found.look("a-run", ())
    assert found.idle(["a-run"]) == []
    assert set(found.idle(())) == {ids["queued"], ids["failed"]}
    assert found.of(deposit(camp, "queued")) is None, "it is deleted: who asks now deposits it anew"
    assert found.of(deposit(camp, "begun")) is not None
    camp.buckets.delete([ids["queued"], ids["failed"]])
    assert found.idle(()) == []
    begun = camp.buckets.get(ids["begun"])
    assert begun is not None
    camp.buckets.give_back(begun)
    assert found.idle(()) == [ids["begun"]], "an agent has given it back meanwhile"
    assert found.conclude("a-run") == {ids["begun"], ids["done"]}
    assert found.conclude("a-run") == set()
    assert found.patience() is None


def test_what_is_asked_for_is_left_no_more(camp: Camp) -> None:
    ids, found = stand(camp), Leftovers(camp.buckets, camp.means())
    found.look("a-run", [ids["done"]])
    for name in ("queued", "begun"):
        row = found.of(deposit(camp, name))
        assert row is not None
        assert (row["id"], found.of_use(deposit(camp, name), row)) == (ids[name], True)
        found.take(deposit(camp, name))
        assert found.of(deposit(camp, name)) is None
    assert found.conclude("a-run") == {ids["failed"]}


@pytest.mark.parametrize("how", ["leave", "doubt"])
def test_what_is_known_no_more_is_looked_for_anew(camp: Camp, how: str) -> None:
    ids, found = left_by_another(camp, "queued"), Leftovers(camp.buckets, camp.means())
    found.look("a-run", ())
    found.leave(["a-run"]) if how == "leave" else found.doubt()
    assert found.of(deposit(camp, "queued")) is None
    found.look("a-run", ())
    assert found.of(deposit(camp, "queued")) is not None
    found.leave(["a-run"])
    assert found.conclude("a-run") == set(ids.values()), "the run has ended when nobody looks after it any more"


def test_works_that_are_no_jobs_are_nobodys_leftovers(camp: Camp) -> None:
    fields: dict[str, Any] = {"pipeline": "some-work", "site": "camp", "user": "ada", "config": {"parent": "a-run"}}
    works = [
        Work(**fields, function="math.sqrt", tags=["a-run", "queued"]),
        Work(**fields, function=PERFORM, tags=["another", "queued"]),
        Work(**fields, function=PERFORM),
    ]
    camp.buckets.deposit(works)
    found = Leftovers(camp.buckets, camp.means())
    found.look("a-run", ())
    assert (found.of(deposit(camp, "queued")), found.conclude("a-run")) == (None, set())


def test_works_of_a_run_by_their_ids(camp: Camp, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = left_by_another(camp, "one", "two")
    for few in (500, 0):
        monkeypatch.setattr(leftovers, "FEW", few)
        rows = works_of(camp.buckets, "camp", "a-run", [ids["one"]], status="queued")
        assert [row["id"] for row in rows] == [ids["one"]]
    assert [row["id"] for row in works_of(camp.buckets, "camp", "a-run")] == [ids["two"], ids["one"]]


def test_what_a_resumed_run_did_not_ask_for_is_deleted_at_its_end(camp: Camp) -> None:
    ids = stand(camp)
    ear, site = Ear(), camp.another()
    site.submit([camp.node("new", add, 1, 2, mark="2")], [], ear, {})
    until(lambda: ear.of("work.deposited"))
    work = camp.buckets.withdraw("some-work", tags=["new"])
    assert work is not None
    camp.perform(work)
    until(lambda: ear.states == {"new": "succeeded"})
    site.release(["new-2"])
    site.leave(ear)
    assert there(camp) >= set(ids.values()), "the driver may have been interrupted"
    site.conclude("another-run")
    site.conclude("a-run")
    until(lambda: not there(camp) & set(ids.values()))


def test_old_works_do_not_keep_agents_from_new_ones(camp: Camp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "_ASKED", 0.1)
    ids = stand(camp)
    ear, site = Ear(), camp.another()
    site.submit([camp.node("new", add, 1, 2, mark="2")], [], ear, {})
    until(lambda: not there(camp) & {ids["queued"], ids["failed"]})
    assert there(camp) == {ids["begun"], ids["done"], ear.of("work.deposited")[0]["id"]}
    # The next driver finds what is of use yet.
    site.submit([camp.node("begun", add, 1, 2, mark="2")], [], ear, {})
    until(lambda: ear.of("work.adopted"))
    site.leave(ear)
    site.conclude("a-run")
    until(lambda: ids["done"] not in there(camp))
    assert ids["begun"] in there(camp), "it was asked for"
