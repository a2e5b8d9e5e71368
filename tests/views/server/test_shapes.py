"""What is sent to a server besides works."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from daskflow.errors import WorkInvalid
from daskflow.views.server.shapes import Audit, Beat, Filter, Locking, Look


@pytest.mark.parametrize(
    "filter",
    [
        {"pipeline": "a"},
        {"pipeline": ["a", "b"], "event": 1, "tags": "x"},
        {"pipeline": {"$in": ["a"]}, "event": {"$in": [1]}, "config.parent": {"$in": ["r"]}, "priority": 5},
    ],
)
def test_filters_come_through(filter: dict[str, Any]) -> None:
    assert Filter.model_validate(filter).model_dump(by_alias=True, exclude_none=True) == filter


@pytest.mark.parametrize("filter", [{}, {"pipeline": ""}, {"pipeline": []}, {"pipeline": 1}, {"pipeline": "a", "x": 1}])
def test_what_is_no_filter(filter: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Filter.model_validate(filter)


@pytest.mark.parametrize(
    ("sort", "order"),
    [([], ()), ([["a", 1], ["b", -1]], (("a", 1), ("b", -1))), ({"a": -1}, (("a", -1),))],
)
def test_orders(sort: Any, order: tuple[tuple[str, int], ...]) -> None:
    assert Look(sort=sort).order == order


@pytest.mark.parametrize("sort", [[["a", 0]], [[1, 1]], [["a", "b"]]])
def test_what_is_no_order(sort: Any) -> None:
    with pytest.raises(WorkInvalid):
        assert Look(sort=sort).order


def test_nothing_is_guessed() -> None:
    for wrong in ({"id": 1, "attempt": 1, "lease": 1}, {"id": "a", "attempt": True, "lease": 1}):
        with pytest.raises(ValidationError):
            Beat.model_validate(wrong)
    with pytest.raises(ValidationError):
        Locking.model_validate({"ids": ["a"], "locked": "yes"})
    with pytest.raises(ValidationError):
        Audit.model_validate({"stale": float("nan")})
    assert Audit().stale is None
