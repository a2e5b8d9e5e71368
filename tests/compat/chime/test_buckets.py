from __future__ import annotations

import socket
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

import daskflow
from daskflow.compat.chime import buckets as module
from daskflow.compat.chime.buckets import Buckets
from daskflow.compat.chime.work import Work
from daskflow.errors import ServerSilent, WorkInvalid, WorkLost
from daskflow.stores.buckets.remote import RemoteShelf
from daskflow.stores.buckets.table import WorkTable


def payload(**changes: Any) -> dict[str, Any]:
    return {"pipeline": "sample", "site": "local", "user": "ada", "function": "math.hypot", **changes}


@pytest.fixture
def buckets(store: str) -> Iterator[Buckets]:
    with Buckets(store) as found:
        yield found


def test_dictionaries_go_in_and_come_out(buckets: Buckets) -> None:
    assert buckets.deposit([payload(parameters={"x": 1}), Work(**payload(priority=5)).payload]) is True
    first, second, third = buckets.withdraw("sample"), buckets.withdraw("sample"), buckets.withdraw("sample")
    assert first is not None
    assert second is not None
    assert third is None
    assert (first["priority"], second["parameters"]) == (5, {"x": 1})
    assert (first["status"], first["attempt"], first["results"]) == ("running", 1, None)
    assert buckets.update([{**first, "status": "success", "results": 1}, {**second, "status": "failure"}]) is True
    assert buckets.status("sample") == {"total": 2, "queued": 0, "running": 0, "success": 1, "failure": 1}


@pytest.mark.parametrize("count", [1, 3])
def test_deposits_give_an_id_for_each(buckets: Buckets, count: int) -> None:
    ids = buckets.deposit([payload(event=[number]) for number in range(count)], return_ids=True)
    assert isinstance(ids, list)
    assert [buckets.view({"id": id})[0]["event"] for id in ids] == [[number] for number in range(count)]
    assert buckets.deposit([], return_ids=True) == []


def test_works_are_good_as_well(buckets: Buckets) -> None:
    assert buckets.deposit(Work(**payload()))
    assert buckets.deposit([daskflow.Work(**payload()), payload()])
    assert buckets.status()["queued"] == 3


def test_payloads_of_older_versions_are_good(buckets: Buckets) -> None:
    with pytest.warns(FutureWarning, match="archive"):
        buckets.deposit(payload(path=".", precursors=[], archive=False))
    assert buckets.view()[0]["config"]["archive"]["results"] is False


def test_what_was_deposited_is_not_deposited_again(buckets: Buckets) -> None:
    buckets.deposit(payload())
    with pytest.raises(WorkInvalid, match="deposited before"):
        buckets.deposit(buckets.view())
    assert buckets.status()["total"] == 1


def test_all_or_none(buckets: Buckets) -> None:
    with pytest.raises(WorkInvalid, match="timeout"):
        buckets.deposit([payload(), payload(timeout=0)])
    assert buckets.status()["total"] == 0
    buckets.deposit([payload(), payload()])
    one, two = buckets.view()
    buckets.delete_ids(two["id"])
    with pytest.raises(WorkLost):
        buckets.update([{**one, "priority": 1}, {**two, "priority": 1}])
    assert buckets.view()[0]["priority"] == 3


def test_the_newest_come_first(buckets: Buckets) -> None:
    buckets.deposit([payload(event=[number]) for number in range(10)])
    assert [each["event"] for each in buckets.view(skip=5, limit=1)] == [[4]]
    assert len(buckets.view()) == len(buckets.view(limit=-1)) == 10
    assert buckets.view({"event": 7}, {"event": 1})[0]["event"] == [7]


def test_many_are_deleted_by_their_ids(buckets: Buckets) -> None:
    ids = buckets.deposit([payload() for _ in range(300)], return_ids=True)
    assert isinstance(ids, list)
    assert buckets.delete_ids(ids) is True
    assert buckets.delete_ids(ids) is False
    assert buckets.pipelines() == []


@pytest.mark.parametrize(
    ("filters", "left"),
    [
        ({}, []),
        ({"status": "running"}, [1, 2, 3]),
        ({"events": [1, 2]}, [0, 3]),
        ({"events": 3}, [0, 1, 2]),
        ({"tags": "t"}, [0, 1, 3]),
        ({"tags": ["t", "u"]}, [0, 1]),
        ({"parent": "p"}, [0, 1, 2]),
        ({"limit": 1}, [0, 1, 2]),
        ({"limit": -1}, []),
    ],
)
def test_many_are_deleted_by_what_they_are(buckets: Buckets, filters: dict[str, Any], left: list[int]) -> None:
    plain = [payload(event=[0], priority=5), payload(event=[1]), payload(event=[2], tags=["t"])]
    buckets.deposit([*plain, payload(event=[3], tags=["u"], config={"parent": "p"}), payload(pipeline="other")])
    buckets.withdraw("sample")
    assert buckets.delete_many("sample", **filters, force=True) is True
    assert sorted(each["event"][0] for each in buckets.view({"pipeline": "sample"})) == left
    assert buckets.status("other")["queued"] == 1


@pytest.mark.parametrize(("answer", "deleted"), [("y", True), ("YES ", True), ("n", False), ("", False)])
def test_people_are_asked_before(buckets: Buckets, answer: str, deleted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    questions: list[str] = []

    def somebody(question: str) -> str:
        questions.append(question)
        return answer

    monkeypatch.setattr("builtins.input", somebody)
    assert buckets.delete_many("sample") is False
    assert questions == []
    buckets.deposit([payload(), payload()])
    assert buckets.delete_many("sample") is deleted
    assert questions == ["Delete 2 works of sample? [y/N] "]
    assert buckets.status()["total"] == (0 if deleted else 2)


def test_buckets_are_found_by_the_names_that_users_gave_them(buckets: Buckets) -> None:
    with pytest.warns(SyntaxWarning, match="sample-pipeline"):
        buckets.deposit([payload(pipeline="Sample_Pipeline") for _ in range(2)])
    assert buckets.status("Sample_Pipeline")["queued"] == buckets.status("sample-pipeline")["queued"] == 2
    assert buckets.withdraw("sample pipeline") is not None
    assert buckets.delete_many("SAMPLE_PIPELINE", force=True)
    assert buckets.status()["total"] == 0


def test_nothing_is_deleted_where_nobody_can_be_asked(buckets: Buckets, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(question: str) -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", nobody)
    buckets.deposit(payload())
    assert buckets.delete_many("sample") is False
    assert buckets.status()["total"] == 1


def test_what_failed_is_queued_again_by_an_audit(buckets: Buckets) -> None:
    buckets.deposit(payload())
    work = buckets.withdraw("sample")
    assert work is not None
    buckets.update([{**work, "status": "failure"}])
    assert buckets.audit() == {"failed": 1, "expired": 0, "stale": 0}
    assert buckets.status()["queued"] == 1


def test_versions_are_told(buckets: Buckets) -> None:
    assert buckets.info() == buckets.version() == {"client": version("daskflow"), "server": version("daskflow")}


def test_the_first_server_that_answers_is_taken(here: Path) -> None:
    with socket.socket() as bound, socket.create_server(("127.0.0.1", 0)) as listening:
        # Bound, but nobody listens there.
        bound.bind(("127.0.0.1", 0))
        silent = f"http://127.0.0.1:{bound.getsockname()[1]}"
        answering = f"http://127.0.0.1:{listening.getsockname()[1]}"
        assert module._answering([silent, answering, silent], 1.0) == answering
        assert module._answering([silent, "works.db"], 1.0) == "works.db"
        assert module._answering([silent], 1.0) == silent
    with Buckets(["works.db", "other.db"]) as buckets:
        buckets.deposit(payload())
        assert isinstance(buckets.buckets.shelf, WorkTable)
    assert (here / "works.db").exists()
    assert not (here / "other.db").exists()


def test_wrong_options_are_told() -> None:
    for timeout in (0.1, 61.0):
        with pytest.raises(WorkInvalid, match=r"0\.5 and 60"):
            Buckets("works.db", timeout=timeout)
    with pytest.raises(WorkInvalid, match="base_url"):
        Buckets([])


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, None),
        ({"WORKFLOW_TOKEN": "w"}, "w"),
        ({"WORKFLOW_TOKEN": "w", "DASKFLOW_TOKEN": "d"}, None),
        ({"WORKFLOW_TOKEN": "w", "DASKFLOW_WORKS__TOKEN": "d"}, None),
        # That of another server is not sent to this one.
        ({"GITHUB_TOKEN": "g"}, None),
    ],
)
def test_tokens_come_from_the_environment(
    variables: dict[str, str], expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert module._own_token() == expected


def test_a_server_that_is_away_is_told() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with Buckets(f"http://127.0.0.1:{bound.getsockname()[1]}") as away:
            shelf = away.buckets.shelf
            assert isinstance(shelf, RemoteShelf)
            shelf.line._patience = 0.1
            with pytest.raises(ServerSilent, match=r"127\.0\.0\.1"):
                away.status()
