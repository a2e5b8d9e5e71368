"""The routes of works, as clients of CHIME/FRB call them."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import urllib3

from tests.views.server.conftest import Client, work

SAMPLE = {"pipeline": {"$in": ["sample"]}}


def deposited(client: Client, *works: dict[str, Any]) -> list[str]:
    told = client("POST", "/work?return_ids=true", list(works))
    assert told.status == 200, told.value
    return list(told.value)


def withdrawn(client: Client, filter: Any = SAMPLE, query: str = "", **headers: Any) -> Any:
    told = client("POST", f"/work/withdraw{query}", filter, **headers)
    assert told.status == 200, told.value
    return told.value


@pytest.mark.parametrize("base", ["", "/api/v1"])
def test_a_work_goes_its_way(client: Client, base: str) -> None:
    assert client("POST", f"{base}/work", [work()]).value is True
    taken = client("POST", f"{base}/work/withdraw?lease=60&holder=me", SAMPLE).value
    assert (taken["status"], taken["attempt"], taken["parameters"]) == ("running", 1, {"x": 4})
    held = {"id": taken["id"], "attempt": 1}
    assert client("POST", f"{base}/work/heartbeat", held | {"lease": 30}).value is True
    taken |= {"status": "success", "results": {"y": 2.0}}
    assert client("PUT", f"{base}/work", [taken]).value is True
    (found,) = client("POST", f"{base}/view", {"query": {"results.y": {"$gt": 1}}}).value
    assert found["id"] == taken["id"]
    assert client("POST", f"{base}/view/count", {"query": {"status": "success"}}).value == 1
    assert client("DELETE", f"{base}/work?ids={taken['id']}&ids=nothing").value is True
    assert client("DELETE", f"{base}/work?ids={taken['id']}").value is False


def test_one_work_need_be_no_list(client: Client) -> None:
    assert len(client("POST", "/work?return_ids=true", work()).value) == 1


def test_an_empty_bucket_gives_null(client: Client) -> None:
    assert withdrawn(client) is None


def test_filters_are_heeded(client: Client) -> None:
    ids = deposited(
        client, work(site="local"), work(site="threads", tags=["a"], event=[7], config={"parent": "r"}, priority=5)
    )
    filter = {
        "pipeline": "Sample",
        "site": "threads",
        "user": "ada",
        "priority": 5,
        "tags": {"$in": ["a", "b"]},
        "event": {"$in": [7]},
        "config.parent": {"$in": ["r"]},
    }
    assert withdrawn(client, filter)["id"] == ids[1]
    assert withdrawn(client, filter) is None


def test_a_given_back_work_is_queued(client: Client) -> None:
    deposited(client, work())
    taken = withdrawn(client)
    held = {"id": taken["id"], "attempt": taken["attempt"]}
    assert client("POST", "/work/give-back", held).value is True
    assert client("POST", "/work/give-back", held).status == 409
    assert withdrawn(client)["id"] == taken["id"]


def test_a_lost_work_is_told_to_be_lost(client: Client) -> None:
    (id,) = deposited(client, work())
    taken = withdrawn(client)
    assert client("POST", "/work/delete", {"ids": [id]}).value == 1
    told = client("PUT", "/work", [taken | {"status": "success"}])
    assert (told.status, told.value["kind"]) == (409, "WorkLost")
    assert id in told.value["error"]


def test_locked_works_stay(client: Client) -> None:
    (id,) = deposited(client, work())
    assert client("POST", "/work/lock", {"ids": [id, "other"]}).value == 1
    told = client("DELETE", f"/work?ids={id}")
    assert (told.status, told.value["kind"]) == (423, "WorkLocked")
    assert client("POST", "/work/lock", {"ids": [id], "locked": False}).value == 1
    assert client("POST", "/work/delete", {"ids": [id]}).value == 1


def test_a_repeated_request_is_done_once(client: Client) -> None:
    first = client("POST", "/work?return_ids=1", [work()], X_Request_Id="r-1").value
    assert client("POST", "/work?return_ids=1", [work()], X_Request_Id="r-1").value == first
    assert client("POST", "/view/count", {}).value == 1
    taken = withdrawn(client, X_Request_Id="r-2")
    assert withdrawn(client, X_Request_Id="r-2") == taken


def test_views_are_sorted_and_cut(client: Client) -> None:
    ids = deposited(client, *[work(parameters={"x": number}) for number in range(5)])
    shown = client("POST", "/view", {"projection": {"parameters.x": 1}, "sort": {"parameters.x": 1}, "limit": 2}).value
    assert [each["parameters"]["x"] for each in shown] == [0, 1]
    newest = client("POST", "/view", {"query": {}, "projection": {}, "skip": 1, "limit": 1}).value
    assert [each["id"] for each in newest] == [ids[3]]
    largest = client("POST", "/view", {"sort": [["parameters.x", -1]], "limit": 1}).value
    assert largest[0]["parameters"] == {"x": 4}
    assert len(client("POST", "/view", {"limit": -1}).value) == 5


def test_who_waits_is_given_what_comes(client: Client) -> None:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(withdrawn(client, query="?wait=30")))
    thread.start()
    # Whether it waits already or comes later: it gets the work.
    deposited(client, work())
    thread.join()
    assert found[0]["status"] == "running"


def test_what_is_taken_for_somebody_who_hung_up_is_queued_again(client: Client) -> None:
    pool = urllib3.PoolManager(retries=False)
    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        pool.request(
            "POST", f"{client.url}/work/withdraw?wait=30", json=SAMPLE, timeout=urllib3.Timeout(connect=5, read=0.05)
        )
    pool.clear()
    (id,) = deposited(client, work())
    # The other one has left: whoever comes next gets it, at once or when the server has seen that.
    assert withdrawn(client, query="?wait=30")["id"] == id


def test_a_ticket_of_before_a_deposit_does_not_wait(client: Client) -> None:
    ticket = client("POST", "/work/withdraw", SAMPLE).headers["X-Ticket"]
    deposited(client, work())
    told = client("GET", f"/work/await?wait=30&ticket={ticket}")
    assert told.value is True
    # The store announces the deposit too; then nothing rings any more.
    latest, before = told.headers["X-Ticket"], ticket
    while latest != before:
        told = client("GET", f"/work/await?wait=0&ticket={latest}")
        latest, before = told.headers["X-Ticket"], latest
    assert told.value is False


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/work", [7]),
        ("POST", "/work", "text"),
        ("POST", "/work", None),
        ("POST", "/work", [work(pipeline="no/path")]),
        ("POST", "/work", [work(site="mars")]),
        ("POST", "/work", [work(timeout=0)]),
        ("POST", "/work", [work(parameters={"x": 2**64})]),
        ("PUT", "/work", [work()]),
        ("POST", "/work/withdraw", {}),
        ("POST", "/work/withdraw", {"pipeline": []}),
        ("POST", "/work/withdraw", {"pipeline": "a", "$where": "1"}),
        ("POST", "/work/withdraw", {"pipeline": "a", "priority": 9}),
        ("POST", "/work/withdraw?wait=31", SAMPLE),
        ("POST", "/work/withdraw?wait=nan", SAMPLE),
        ("POST", "/work/withdraw?lease=-1", SAMPLE),
        ("POST", "/work/heartbeat", {"id": "a", "attempt": 1, "lease": 1e99}),
        ("POST", "/work/heartbeat", {"id": "a", "attempt": "1", "lease": 1}),
        ("POST", "/work/delete", {"ids": "a"}),
        ("DELETE", "/work", ...),
        ("POST", "/view", {"query": {"$where": "1"}}),
        ("POST", "/view", {"query": {"parameters.x": {"$lt": float("inf")}}}),
        ("POST", "/view/count", {"query": {"parameters.x": {"$gt": "-Infinity"}}}),
        ("POST", "/view", {"projection": {"config.parnet": 1}}),
        ("POST", "/view", {"sort": [["notify.slak", 1]]}),
        ("POST", "/view", {"query": [], "limit": 1}),
        ("POST", "/view", {"limit": -2}),
        ("POST", "/view", {"skip": 2**40}),
        ("POST", "/view", {"sort": [["a", 2]]}),
        ("POST", "/view", {"sort": [[1, "a"]]}),
        ("POST", "/view", {"strange": 1}),
        ("GET", "/audit/stale/nan", ...),
        ("GET", "/audit/stale/-1", ...),
        ("POST", "/work/audit", {"stale": -1}),
    ],
)
def test_what_does_not_fit_is_told(client: Client, method: str, path: str, body: Any) -> None:
    told = client(method, path, body)
    assert told.status == 422
    assert told.value["error"]
    assert client("POST", "/view/count", {}).value == 0


def test_the_id_of_a_request_is_that_of_one_caller_and_one_request(client: Client) -> None:
    (id,) = deposited(client, work(user="bob"))
    first = client("POST", "/work?return_ids=1", [work()], X_Request_Id="r-7").value
    told = client("POST", "/work?return_ids=1", [work(user="eve")], X_Request_Id="r-7")
    assert told.status == 422
    assert "Something else was asked" in told.value["error"]
    # Another route, and another caller, know nothing of it.
    assert client("POST", "/work/delete", {"ids": [id]}, X_Request_Id="r-7").value == 1
    assert withdrawn(client, X_Request_Id="r-7")["id"] == first[0]
    token = client.token("deposit")
    other = client("POST", "/work?return_ids=1", [work()], X_Request_Id="r-7", x_access_token=token)
    assert other.status == 200
    assert other.value != first
    assert client("DELETE", f"/work?ids={first[0]}", X_Request_Id="r-8").value is True
    assert client("DELETE", f"/work?ids={other.value[0]}", X_Request_Id="r-8").status == 422


def test_a_token_that_performs_changes_only_what_it_holds(guarded: Client) -> None:
    agent: dict[str, Any] = {"x_access_token": guarded.token("perform")}
    owner: dict[str, Any] = {"x_access_token": guarded.token("deposit")}
    (id,) = guarded("POST", "/work?return_ids=1", [work()], **owner).value
    queued = guarded("POST", "/view", {"query": {"id": id}}, **agent).value[0]
    assert guarded("PUT", "/work", [queued | {"function": "os.system"}], **agent).status == 409
    for told in (
        guarded("DELETE", f"/work?ids={id}", **agent),
        guarded("POST", "/work/delete", {"ids": [id]}, **agent),
    ):
        assert told.status == 403
        assert "needs `deposit`" in told.value["error"]
    taken = guarded("POST", "/work/withdraw", SAMPLE, **agent).value
    assert guarded("PUT", "/work", [taken | {"status": "success", "user": "eve"}], **agent).value is True
    found = guarded("POST", "/view", {"query": {"id": id}}, **agent).value[0]
    assert (found["status"], found["user"]) == ("success", "ada")
    assert guarded("PUT", "/work", [found | {"user": "bob"}], **owner).value is True
    assert guarded("POST", "/work/delete", {"ids": [id]}, **owner).value == 1
