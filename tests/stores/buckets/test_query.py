from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from daskflow.errors import WorkInvalid
from daskflow.model.jsons import json_ready
from daskflow.stores.buckets.query import check_query, check_view, matches
from daskflow.stores.buckets.shelf import View


def test_a_query_becomes_what_json_holds() -> None:
    assert check_query({"event": {"$in": (1, 2)}, "user": "a\0"}) == {"event": {"$in": [1, 2]}, "user": "a\ufffd"}


@pytest.mark.parametrize(
    "query", [None, [], "a", {1: 2}, {"user": object()}, {"event": {"$in": {1: 2}}}, {"user": "a" * (1 << 20)}]
)
def test_no_query(query: Any) -> None:
    with pytest.raises(WorkInvalid):
        check_query(query)


@pytest.mark.parametrize(
    "asked",
    [
        "done",
        {"$in": ["success", "done"]},
        {"$ne": "done"},
        {"$not": {"$eq": "done"}},
        {"$nin": ["done"]},
        {"$all": ["done"]},
    ],
)
def test_what_is_no_status_is_refused(asked: Any) -> None:
    for query in ({"status": asked}, {"$and": [{"user": "ada"}, {"$nor": [{"status": asked}]}]}):
        with pytest.raises(WorkInvalid, match="'done' is no status; there are created, queued, running, success, fail"):
            check_query(query)


@pytest.mark.parametrize("asked", ["success", None, {"$in": ["queued"]}, {"$regex": "^done"}, {"$exists": True}])
def test_a_status_stays_as_it_is_asked_for(asked: Any) -> None:
    assert check_query({"status": asked, "results.status": "done"}) == {"status": asked, "results.status": "done"}


def test_what_names_no_bucket_is_refused() -> None:
    with pytest.raises(WorkInvalid, match=r"pipeline: 'a\.b' has a '\.'"):
        check_query({"pipeline": "a.b"})


@pytest.mark.parametrize("name", ["$gt", "$gte", "$lt", "$lte"])
@pytest.mark.parametrize("bound", [math.inf, -math.inf, math.nan, np.float32(math.inf), "Infinity", "-Infinity", "NaN"])
def test_what_json_has_not_is_no_bound(name: str, bound: Any) -> None:
    """It would be compared with texts: the count were 0, though each number is below infinity."""
    told = rf"\{name} takes a bound, and (-?Infinity|NaN) is none: leave it out"
    for query in (
        {"parameters.dm": {name: bound}},
        {"parameters.dm": {"$gte": 10, name: bound}},
        {"creation": {"$not": {name: bound}}},
        {"$or": [{"user": "ada"}, {"results.dms": {"$elemMatch": {name: bound}}}]},
    ):
        with pytest.raises(WorkInvalid, match=told):
            check_query(query)


def test_what_json_has_not_is_found_as_it_is_kept() -> None:
    payload = json_ready({"parameters": {"dm": math.inf, "snr": [1.0, math.nan]}})
    for query in (
        {"parameters.dm": math.inf},
        {"parameters.dm": {"$in": [1, math.inf]}},
        {"parameters.dm": {"$ne": -math.inf}},
        {"parameters.snr": {"$eq": math.nan}},
        {"parameters.dm": {"$gt": "Inf"}},
    ):
        assert matches(payload, query)
    assert not matches(payload, {"parameters.dm": {"$gt": 10}}), "it is no number there"


def test_deep_ones_are_refused() -> None:
    query: dict[str, Any] = {"user": "ada"}
    for _ in range(60):
        query = {"$and": [query]}
    with pytest.raises(WorkInvalid, match="nested more than 100 levels"):
        check_query(query)


@pytest.mark.parametrize(
    "changes",
    [
        {"skip": -1},
        {"skip": True},
        {"skip": 2**31},
        {"limit": -2},
        {"limit": 1.0},
        {"limit": None},
        {"projection": {"user": 3}},
        {"sort": (("user", 3),)},
        {"sort": (("config.parnet", 1),)},
        {"projection": {"notify.slak": 1}},
        {"query": {"config.parnet": "x"}},
        {"query": {"$where": 1}},
    ],
)
def test_no_view(changes: dict[str, Any]) -> None:
    with pytest.raises(WorkInvalid):
        check_view(View(**changes))


def test_a_good_view() -> None:
    view = View({"event": (1,)}, {"user": 1}, (("user", -1),), 3, -1)
    assert check_view(view) == view._replace(query={"event": [1]})


def test_matches_checks_first() -> None:
    assert matches({"event": [1]}, {"event": {"$in": (1, 2)}})
    with pytest.raises(WorkInvalid):
        matches({}, {"unknown": 1})
