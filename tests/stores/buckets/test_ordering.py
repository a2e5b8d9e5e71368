from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskflow.errors import WorkInvalid
from daskflow.stores.buckets.ordering import Ordering


def works(*values: Any) -> list[dict[str, Any]]:
    return [{"id": str(number), "results": {"x": value}} for number, value in enumerate(values)]


def ids(found: list[dict[str, Any]]) -> str:
    return "".join(work["id"] for work in found)


MIXED = works(True, [5], "b", 3, None, {"a": 1}, "a", 2.5, [])


def test_kinds_have_an_order() -> None:
    assert Ordering([("results.x", 1)]).first(MIXED, -1) == ([MIXED[number] for number in (4, 7, 3, 1, 6, 2, 5, 8, 0)])
    assert ids(Ordering([("results.x", -1)]).first(MIXED, 4)) == "0852"


def test_equals_stay_as_they_were_given() -> None:
    same = works(1, 2, 1, 2, 1)
    assert ids(Ordering([("results.x", 1)]).first(same, 4)) == "0241"
    assert ids(Ordering([("results.x", -1)]).first(same, -1)) == "13024"


def test_several_paths() -> None:
    given_works = [{"id": str(n), "priority": n % 2, "user": "ba"[n // 2]} for n in range(4)]
    assert ids(Ordering([("priority", -1), ("user", 1)]).first(given_works, -1)) == "3120"


def test_of_a_list_the_element_counts_that_comes_first() -> None:
    lists = works([1, 9], [2, 3], 5, [])
    assert ids(Ordering([("results.x", 1)]).first(lists, -1)) == "0123"
    assert ids(Ordering([("results.x", -1)]).first(lists, -1)) == "3021"
    assert ids(Ordering([("results.absent", -1)]).first(lists, 2)) == "01"


@given(st.lists(st.integers(-3, 3)), st.integers(0, 5), st.sampled_from([1, -1]))
def test_the_first_of_all(values: list[int], most: int, way: int) -> None:
    ordering = Ordering([("results.x", way)])
    expected = sorted(works(*values), key=lambda work: way * work["results"]["x"])
    assert ordering.first(works(*values), -1) == expected
    assert ordering.first(works(*values), most) == expected[:most]


@pytest.mark.parametrize(
    "sort", [["user"], [("user",)], [("user", 2)], [("user", True)], [("user", 0)], [3], [("user", "1")]]
)
def test_no_order(sort: Any) -> None:
    with pytest.raises(WorkInvalid, match="is no order"):
        Ordering(sort)


def test_no_field() -> None:
    with pytest.raises(WorkInvalid, match="no field 'usr'"):
        Ordering([("usr", 1)])
