"""Works for those who ask over a network: each request is done once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daskflow.errors import SiteUnknown, TokenRefused, WorkInvalid, WorkLocked, WorkLost
from daskflow.execution.gateway.desk import WorkDesk
from daskflow.model.work import Work
from daskflow.stores.buckets.shelf import View, Wanted
from daskflow.stores.buckets.table import WorkTable
from daskflow.stores.database import Database
from daskflow.stores.requests import Asked, Requests

NONE = Asked()
WANTED = Wanted(("sample",))


class Rung:
    times = 0

    def __call__(self) -> None:
        self.times += 1


@pytest.fixture
def rung() -> Rung:
    return Rung()


@pytest.fixture(params=["sqlite", "postgres"])
def desk(request: pytest.FixtureRequest, tmp_path: Path, rung: Rung) -> Iterator[WorkDesk]:
    url = request.getfixturevalue("postgres") if request.param == "postgres" else str(tmp_path / "journal.db")
    database = Database(url)
    made = WorkDesk(WorkTable(database), Requests(database), sites={"local"}, rung=rung)
    yield made
    made.shelf.close()


def payload(number: int = 0, **fields: Any) -> dict[str, Any]:
    usual = {"pipeline": "sample", "site": "local", "user": "ada", "function": "math.sqrt", "parameters": {"x": number}}
    return usual | fields


def take(desk: WorkDesk, request: Asked = NONE, turn: str = "t") -> dict[str, Any]:
    found = desk.withdraw(WANTED, lease=60.0, holder="me", request=request, turn=turn)
    assert found is not None
    return found


def test_a_site_that_the_server_does_not_know_is_to_be_configured_there(desk: WorkDesk) -> None:
    with pytest.raises(SiteUnknown, match=r"the server knows local\. Add it in the configuration of the server"):
        desk.deposit([payload(site="mars")])


def test_a_repeated_deposit_deposits_once(desk: WorkDesk, rung: Rung) -> None:
    ids = desk.deposit([payload(1), payload(2)], Asked("r1"))
    assert desk.deposit([payload(1), payload(2)], Asked("r1")) == ids
    assert desk.count({}) == 2
    assert desk.deposit([payload(1)], Asked("r2")) != ids[:1]
    assert rung.times


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ([payload(), 7], WorkInvalid),
        ([payload(), payload(command=["ls"])], WorkInvalid),
        ([payload(), payload(priority=9)], WorkInvalid),
        ([payload(), payload(strange=1)], WorkInvalid),
        ([payload(), payload(id="0" * 32)], WorkInvalid),
        ([payload(), payload(site="mars")], SiteUnknown),
    ],
)
def test_all_are_deposited_or_none(desk: WorkDesk, wrong: list[Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        desk.deposit(wrong, Asked("r1"))
    assert desk.count({}) == 0


def test_names_are_made_fit_without_a_warning(desk: WorkDesk) -> None:
    desk.deposit([payload(pipeline="My sample_pipeline")])
    assert desk.pipelines() == ["my-sample-pipeline"]
    assert desk.status("My sample_pipeline")["queued"] == 1


def test_a_repeated_withdrawal_gives_the_same_work(desk: WorkDesk) -> None:
    desk.deposit([payload(1), payload(2)])
    first = take(desk, Asked("r1"), "t1")
    assert take(desk, Asked("r1"), "t2") == first
    assert take(desk, Asked("r2"))["id"] != first["id"]


def test_what_is_not_held_any_more_is_not_given_again(desk: WorkDesk) -> None:
    desk.deposit([payload(1), payload(2)])
    first = take(desk, Asked("r1"))
    desk.update([first | {"status": "success", "results": 1}])
    assert take(desk, Asked("r1"))["id"] != first["id"]


def test_an_empty_bucket_is_looked_into_again(desk: WorkDesk) -> None:
    assert desk.withdraw(WANTED, lease=None, holder="me", request=Asked("r1"), turn="t1") is None
    desk.deposit([payload()])
    assert take(desk, Asked("r1"), "t2")["attempt"] == 1


def test_what_nobody_came_for_is_queued_again(desk: WorkDesk, rung: Rung) -> None:
    desk.deposit([payload()])
    before = rung.times
    desk.take_back(take(desk, Asked("r1"), "t1"), Asked("r1"), "t1")
    assert desk.status()["queued"] == 1
    assert rung.times > before
    # No attempt was used up.
    assert take(desk, Asked("r1"), "t2")["given_back"] == 1


def test_what_a_repeated_request_has_is_not_taken_back(desk: WorkDesk) -> None:
    desk.deposit([payload()])
    work = take(desk, Asked("r1"), "t1")
    assert take(desk, Asked("r1"), "t2") == work
    desk.take_back(work, Asked("r1"), "t1")
    desk.heartbeat(work["id"], work["attempt"], 60)
    assert desk.status()["running"] == 1


def test_without_a_request_it_is_taken_back_all_the_same(desk: WorkDesk) -> None:
    desk.deposit([payload()])
    desk.take_back(take(desk))
    assert desk.status()["queued"] == 1


def test_a_repeated_update_is_written_once(desk: WorkDesk) -> None:
    desk.deposit([payload()])
    work = take(desk) | {"status": "success", "results": {"y": 1}}
    desk.update([work], Asked("r1"))
    desk.update([work], Asked("r1"))
    assert desk.view(View({"status": "success"}))[0]["results"] == {"y": 1}


def test_a_repeated_giving_back_does_not_hurt_who_has_it_now(desk: WorkDesk) -> None:
    desk.deposit([payload()])
    work = take(desk)
    desk.give_back(work["id"], work["attempt"], Asked("r1"))
    other = take(desk)
    desk.give_back(work["id"], work["attempt"], Asked("r1"))
    desk.heartbeat(other["id"], other["attempt"], 60)
    assert desk.status()["running"] == 1


def test_what_is_not_ours_is_lost(desk: WorkDesk) -> None:
    (id,) = desk.deposit([payload()])
    work = take(desk)
    desk.delete([id])
    with pytest.raises(WorkLost):
        desk.update([work], Asked("r1"))
    with pytest.raises(WorkLost):
        desk.heartbeat(id, 1, 60)
    with pytest.raises(WorkLost):
        desk.give_back(id, 1, Asked("r2"))


def test_a_repeated_deletion_tells_the_same(desk: WorkDesk) -> None:
    ids = desk.deposit([payload(), payload()])
    assert [desk.delete(ids, Asked("r1")), desk.delete(ids, Asked("r1")), desk.delete(ids, Asked("r2"))] == [2, 2, 0]


def test_locked_works_stay(desk: WorkDesk) -> None:
    ids = desk.deposit([payload()])
    assert desk.lock(ids, True) == 1
    with pytest.raises(WorkLocked):
        desk.delete(ids)
    assert desk.lock(ids, False) == 1
    assert desk.delete(ids) == 1


def test_where_works_stand(desk: WorkDesk) -> None:
    desk.deposit([payload(), payload(), payload(pipeline="other")])
    take(desk)
    assert desk.status() == {"total": 3, "queued": 2, "running": 1, "success": 0, "failure": 0}
    assert desk.statuses() == {"other": {"queued": 1}, "sample": {"queued": 1, "running": 1}}
    assert desk.statuses("other") == {"other": {"queued": 1}}


def test_audits(desk: WorkDesk) -> None:
    desk.deposit([payload(retries=5)])
    desk.update([take(desk) | {"status": "failure"}])
    assert desk.audit_failed() == 1
    assert desk.withdraw(WANTED, lease=-1.0, holder="gone") is not None
    assert desk.audit(None, Asked("r1")) == {"failed": 0, "expired": 1, "stale": 0}
    assert desk.audit(None, Asked("r1")) == {"failed": 0, "expired": 1, "stale": 0}
    assert desk.audit(None) == {"failed": 1, "expired": 0, "stale": 0}


@pytest.mark.parametrize("query", [{"$where": "1"}, {"event": {"$near": 1}}])
def test_what_is_no_query(desk: WorkDesk, query: dict[str, Any]) -> None:
    with pytest.raises(WorkInvalid):
        desk.count(query)
    with pytest.raises(WorkInvalid):
        desk.view(View(query))


def test_a_work_that_is_handed_out_again_is_held_as_long_as_the_first_time(desk: WorkDesk) -> None:
    desk.deposit([payload()])
    desk.withdraw(WANTED, lease=3e-6, holder="me", request=Asked("r1"), turn="t1")
    assert take(desk, Asked("r1"), "t2")["attempt"] == 1
    assert desk.audit(None)["expired"] == 0, "another lease began with the second answer"


def test_what_cannot_be_held_any_more_is_not_handed_out(desk: WorkDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.deposit([payload(1), payload(2)])
    first = take(desk, Asked("r1"), "t1")

    def lost(id: str, attempt: int, lease: float) -> None:
        raise WorkLost("It was deleted just now.")

    monkeypatch.setattr(desk.shelf, "heartbeat", lost)
    assert take(desk, Asked("r1"), "t2")["id"] != first["id"]


def test_what_cannot_be_read_is_handed_to_nobody(desk: WorkDesk) -> None:
    table = desk.shelf
    broken = Work(**payload(1)).payload | {"function": 7}
    ids = [*table.deposit([broken]), *desk.deposit([payload(2)])]
    assert take(desk, Asked("r1"))["id"] == ids[1]
    (found,) = desk.view(View({"id": ids[0]}))
    assert (found["status"], found["final"], "function" in found["error"]) == ("failure", True, True)


def test_who_performs_writes_what_came_of_what_is_held(desk: WorkDesk) -> None:
    (id,) = desk.deposit([payload(1)])
    queued = desk.view(View({"id": id}))[0]
    with pytest.raises(WorkLost):
        desk.update([queued | {"function": "os.system"}], held=True)
    with pytest.raises(WorkLost):
        desk.update([queued | {"status": "success"}], held=True)
    taken = take(desk)
    done = taken | {"status": "success", "results": {"y": 1}, "error": "e", "log": "l", "host": "h", "stop": 5.0}
    # By what it is found is part of what came of it.
    done |= {"tags": ["found"], "event": [7], "group": ["of-it"]}
    desk.update([done | {"function": "os.system", "user": "eve", "retries": 5, "pipeline": "other"}], held=True)
    assert desk.view(View({"id": id}))[0] == done
    # Who did not hear the answer says it again; another outcome is not taken.
    desk.update([done], held=True)
    with pytest.raises(WorkLost):
        desk.update([done | {"results": {"y": 2}}], held=True)


def test_what_was_taken_for_lost_is_written_as_long_as_nobody_else_has_it(desk: WorkDesk) -> None:
    desk.deposit([payload(retries=5)])
    taken = take(desk)
    desk.heartbeat(taken["id"], 1, -1.0)
    assert desk.audit(None)["expired"] == 1
    desk.update([taken | {"status": "success", "results": 1}], held=True)
    assert desk.status()["success"] == 1


def test_an_earlier_attempt_writes_nothing(desk: WorkDesk) -> None:
    desk.deposit([payload()])
    first = take(desk)
    desk.give_back(first["id"], first["attempt"])
    take(desk)
    with pytest.raises(WorkLost):
        desk.update([first | {"status": "success"}], held=True)


def test_who_performs_deletes_what_is_done_and_not_to_be_kept(desk: WorkDesk) -> None:
    ids = desk.deposit([payload(config={"archive": {"results": False}}), payload()])
    for id in ids:
        with pytest.raises(TokenRefused, match=id):
            desk.delete([id], held=True)
        desk.update([take(desk) | {"status": "success"}], held=True)
    with pytest.raises(TokenRefused, match=ids[1]):
        desk.delete(ids, held=True)
    assert desk.delete([ids[0], "gone"], held=True) == 1
    assert desk.delete(ids) == 1


def test_one_request_brings_only_so_many(desk: WorkDesk) -> None:
    with pytest.raises(WorkInvalid, match="at most 10000"):
        desk.deposit([payload()] * 10_001)


def test_only_what_is_queued_rings(desk: WorkDesk, rung: Rung) -> None:
    desk.deposit([payload()])
    held = take(desk)
    before = rung.times
    desk.update([{**held, "status": "success"}])
    assert rung.times == before
    desk.update([{**held, "status": "queued"}])
    assert rung.times == before + 1
