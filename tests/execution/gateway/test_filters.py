"""Filters of agents in the words of MongoDB."""

from __future__ import annotations

from typing import Any

import pytest

from daskflow.errors import WorkInvalid
from daskflow.execution.gateway.filters import hyphenated, wanted_of
from daskflow.stores.buckets.shelf import Wanted


@pytest.mark.parametrize(
    ("filter", "wanted"),
    [
        ({"pipeline": "sample"}, Wanted(("sample",))),
        ({"pipeline": ["a", "b"]}, Wanted(("a", "b"))),
        ({"pipeline": {"$in": ["A B", "c_d"]}}, Wanted(("a-b", "c-d"))),
        ({"pipeline": "a", "site": None, "event": None, "priority": None}, Wanted(("a",))),
        (
            {
                "pipeline": "a",
                "site": "cedar",
                "user": "ada",
                "priority": 5,
                "event": {"$in": [1, 2]},
                "tags": {"$in": ["x"]},
                "config.parent": {"$in": ["run"]},
            },
            Wanted(("a",), "cedar", "ada", (1, 2), ("x",), ("run",), 5),
        ),
    ],
)
def test_what_is_wanted(filter: dict[str, Any], wanted: Wanted) -> None:
    assert wanted_of(filter) == wanted


@pytest.mark.parametrize(
    ("filter", "told"),
    [
        ({}, "Name a pipeline"),
        ({"pipeline": []}, "Name a pipeline"),
        ({"pipeline": "a", "results.dm": 1}, "not withdrawn by 'results.dm'"),
        ({"pipeline": {"$nin": ["a"]}}, "one of several"),
        ({"pipeline": {"$in": "a"}}, "one of several"),
        ({"pipeline": 1}, "pipeline is a text"),
        ({"pipeline": "a", "tags": [1]}, "tags is a text"),
        ({"pipeline": "a", "event": "1"}, "event is an integer"),
        ({"pipeline": "a", "event": [True]}, "event is an integer"),
        ({"pipeline": "a", "event": 2**63}, "event is an integer"),
        ({"pipeline": "a", "priority": 1.5}, "priority is an integer"),
        ({"pipeline": "a", "site": {"$ne": "b"}}, "site is a text"),
    ],
)
def test_what_is_no_filter(filter: dict[str, Any], told: str) -> None:
    with pytest.raises(WorkInvalid, match=told.replace("$", r"\$")):
        wanted_of(filter)


def test_names_of_buckets() -> None:
    assert hyphenated("My sample_pipeline") == "my-sample-pipeline"
