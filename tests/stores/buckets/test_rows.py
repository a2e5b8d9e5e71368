from __future__ import annotations

import json
from typing import Any

import pytest

from daskflow.model.work import Work
from daskflow.stores.buckets.rows import OUTCOME, columns, deposited, marks, payload_of, used_up

ORDER = (
    *("id", "pipeline", "site", "username", "status", "priority", "attempt", "given_back", "retries", "timeout"),
    *("final", "locked", "creation", "start", "stop", "holder", "payload", "outcome"),
)


def payload(**fields: Any) -> dict[str, Any]:
    return Work(pipeline="sample", site="local", user="ada", id="w1", **fields).payload


def row_of(work: dict[str, Any], holder: str = "") -> tuple[Any, ...]:
    row = {**columns(work), "given_back": work["given_back"], "locked": int(work["locked"]), "holder": holder}
    return tuple(row[name] for name in ORDER)


def test_there_and_back() -> None:
    for work in (
        payload(),
        payload(
            parameters={"a": 1}, results=0, products=["p"], tags=["t"], event=[3], final=True, locked=True, host="h"
        ),
        payload(
            notify={"slack": {"channel_id": "c"}}, config={"parent": "p"}, start=1.0, stop=2.5, given_back=3, attempt=4
        ),
    ):
        assert payload_of(row_of(work)) == work
        assert Work.from_dict(payload_of(row_of(work))).payload == work


def test_who_holds_it_is_its_host_until_the_agent_says_more() -> None:
    assert payload_of(row_of(payload(), "node7:123"))["host"] == "node7:123"
    assert payload_of(row_of(payload(host="h"), "node7:123"))["host"] == "h"


def test_columns_hold_what_an_attempt_made_apart() -> None:
    row = columns(payload(results=[1], error="e", parameters={"a": 1}))
    assert json.loads(row["outcome"]) == {"results": [1], "error": "e"}
    assert set(OUTCOME).isdisjoint(json.loads(row["payload"]))
    assert columns(payload())["outcome"] is None


def test_records_of_defaults_are_no_shared_ones() -> None:
    row = row_of(payload())
    payload_of(row)["notify"]["slack"]["channel_id"] = "changed"
    assert payload_of(row)["notify"]["slack"]["channel_id"] is None


def test_deposited_is_in_the_order_of_the_statement() -> None:
    row = deposited(payload(tags=["t"], creation=5.0, attempt=2, results=1, start=6.0))
    assert row[:12] == ("w1", "sample", "local", "ada", "", "queued", 3, 0, 0, 2, 3600.0, 0)
    assert row[12:15] == (None, None, '[["tag","t"]]')
    assert json.loads(row[15])["tags"] == ["t"]
    assert row[16:] == (None, 5.0)


def test_deposited_leaves_what_has_ended_as_it_is_and_no_failure_is_tried_again() -> None:
    fields = {"creation": 5.0, "attempt": 4, "given_back": 1, "start": 6.0, "stop": 7.0, "results": [1]}
    rows = {status: deposited(payload(status=status, **fields)) for status in ("success", "failure")}
    assert [(row[5], row[7], row[8], row[11], row[12], row[13], row[16]) for row in rows.values()] == [
        ("success", 4, 1, 0, 6.0, 7.0, '{"results":[1]}'),
        ("failure", 4, 1, 1, 6.0, 7.0, '{"results":[1]}'),
    ]


def test_marks_are_there_once() -> None:
    assert marks(payload(event=[3, 4, 3], tags=["a", "a"])) == [("event", "3"), ("event", "4"), ("tag", "a")]
    assert marks(payload()) == []


@pytest.mark.parametrize(
    ("final", "attempt", "given_back", "used"), [(0, 2, 0, False), (0, 3, 0, True), (0, 3, 1, False), (1, 1, 0, True)]
)
def test_what_was_given_back_uses_up_nothing(final: int, attempt: int, given_back: int, used: bool) -> None:
    assert used_up({"final": final, "attempt": attempt, "given_back": given_back, "retries": 3}) is used
