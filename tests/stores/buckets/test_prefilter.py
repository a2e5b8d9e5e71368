from __future__ import annotations

from typing import Any

import pytest

from daskflow.stores.buckets.prefilter import prefilter


@pytest.mark.parametrize(
    ("query", "parts", "parameters"),
    [
        ({}, (), {}),
        ({"id": "a"}, ("id",), {"ids": ["a"]}),
        ({"pipeline": "a"}, ("pipeline",), {"pipeline": "a"}),
        ({"pipeline": {"$in": ["a", "b"]}}, ("pipelines",), {"pipelines": ["a", "b"]}),
        ({"status": {"$eq": "queued"}}, ("status",), {"status": "queued"}),
        ({"status": {"$in": ["queued", "running"]}}, ("statuses",), {"statuses": ["queued", "running"]}),
        ({"site": "a", "user": "b"}, ("site", "user"), {"sites": ["a"], "users": ["b"]}),
        ({"config.parent": "a"}, ("parent",), {"parents": ["a"]}),
        ({"tags": "a", "event": 3}, ("tag", "event"), {"tags": ["a"], "events": ["3"]}),
        ({"tag": {"$in": ["a", "b"]}}, ("tag",), {"tags": ["a", "b"]}),
        ({"event": {"$in": [1, 2]}}, ("event",), {"events": ["1", "2"]}),
    ],
)
def test_what_the_database_decides(query: dict[str, Any], parts: tuple[str, ...], parameters: dict[str, Any]) -> None:
    assert prefilter(query) == (parts, parameters, {})


@pytest.mark.parametrize(
    "query",
    [
        {"results.dm": 1},
        {"event": True},
        {"event": 42.0},
        {"event": "42"},
        {"event": None},
        {"event": {"$in": [1, "2"]}},
        {"event": {"$gt": 3}},
        {"event": [1, 2]},
        {"event": {"$in": []}},
        {"id": None},
        {"id": {"$ne": "a"}},
        {"id": {"$in": ["a"], "$ne": "b"}},
        {"config.parent": ""},
        {"config.parent": None},
        {"tags": ["a"]},
        {"tags": {"$all": ["a"]}},
        {"pipeline": {"$regex": "a"}},
        {"pipeline": {"$eq": {"a": 1}}},
        {"$or": [{"id": "a"}]},
    ],
)
def test_what_is_left(query: dict[str, Any]) -> None:
    assert prefilter(query) == ((), {}, query)


def test_two_names_of_one_field() -> None:
    assert prefilter({"tags": "a", "tag": "b"}) == (("tag",), {"tags": ["a"]}, {"tag": "b"})
