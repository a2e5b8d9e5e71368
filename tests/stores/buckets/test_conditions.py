from __future__ import annotations

from typing import Any

import pytest

from daskflow.errors import WorkInvalid
from daskflow.stores.buckets.conditions import condition, predicate, same

WORK: dict[str, Any] = {
    "event": [41, 42],
    "tags": ["a", "b"],
    "user": "ada",
    "priority": 3,
    "locked": False,
    "log": None,
    "results": {
        "dm": 332.7,
        "name": "FRB 20180916B",
        "bursts": [{"dm": 1, "snr": 9}, {"dm": 2, "snr": 4}],
        "widths": [1, 5, 9],
        "flag": True,
        "none": None,
        "nested": {"a": [1, {"b": 2}]},
    },
}


@pytest.mark.parametrize(
    ("query", "meant"),
    [
        ({}, True),
        ({"user": "ada"}, True),
        ({"user": "bob"}, False),
        ({"user": "ada", "priority": 4}, False),
        # A list equals what it contains, and itself.
        ({"event": 42}, True),
        ({"event": [41, 42]}, True),
        ({"event": [42, 41]}, False),
        ({"event": 43}, False),
        # Numbers are numbers, truth values are not.
        ({"priority": 3.0}, True),
        ({"locked": 0}, False),
        ({"locked": False}, True),
        ({"results.flag": 1}, False),
        ({"results.flag": True}, True),
        # None is what is None, or not there.
        ({"log": None}, True),
        ({"results.none": None}, True),
        ({"results.absent": None}, True),
        ({"user": None}, False),
        ({"log": {"$exists": True}}, True),
        ({"results.absent": {"$exists": False}}, True),
        ({"results.absent": {"$exists": 1}}, False),
        ({"results.absent": {"$ne": None}}, False),
        # Dictionaries are equal whatever their order.
        ({"results.bursts": {"snr": 9, "dm": 1}}, True),
        ({"results.nested": {"a": [1, {"b": 2}]}}, True),
        ({"results.nested": {"a": [True, {"b": 2}]}}, False),
        ({"results.nested": {"a": [1]}}, False),
        # Comparisons.
        ({"results.dm": {"$gt": 300, "$lt": 400}}, True),
        ({"results.dm": {"$gt": 332.7}}, False),
        ({"results.dm": {"$gte": 332.7, "$lte": 332.7}}, True),
        ({"results.name": {"$gt": "FRB"}}, True),
        ({"results.name": {"$gt": 3}}, False),
        ({"results.flag": {"$gte": 0}}, False),
        ({"results.widths": {"$gt": 8}}, True),
        # Each condition may be met by another element.
        ({"results.widths": {"$gt": 5, "$lt": 2}}, True),
        ({"results.widths": {"$elemMatch": {"$gt": 5, "$lt": 9}}}, False),
        ({"results.widths": {"$elemMatch": {"$gt": 4, "$lt": 9}}}, True),
        ({"results.bursts.dm": {"$gt": 1}}, True),
        ({"results.bursts": {"$elemMatch": {"dm": 2, "snr": {"$lt": 5}}}}, True),
        ({"results.bursts": {"$elemMatch": {"dm": 2, "snr": 9}}}, False),
        ({"results.bursts": {"$elemMatch": {"$or": [{"dm": 7}, {"snr": 9}]}}}, True),
        ({"results.widths": {"$elemMatch": {"dm": 2}}}, False),
        ({"user": {"$elemMatch": {"$eq": "ada"}}}, False),
        ({"results.absent": {"$gt": 0}}, False),
        ({"results.absent": {"$not": {"$gt": 0}}}, True),
        ({"results.dm": {"$not": {"$gt": 300}}}, False),
        ({"user": {"$eq": "ada", "$ne": "bob"}}, True),
        ({"event": {"$ne": 42}}, False),
        ({"event": {"$in": [1, 42]}}, True),
        ({"event": {"$in": []}}, False),
        ({"event": {"$nin": [1, 42]}}, False),
        ({"event": {"$nin": [1]}}, True),
        ({"results.absent": {"$in": [None]}}, True),
        ({"tags": {"$all": ["a", "b"]}}, True),
        ({"tags": {"$all": ["a", "c"]}}, False),
        ({"tags": {"$all": []}}, False),
        ({"user": {"$all": ["ada"]}}, True),
        ({"tags": {"$size": 2}}, True),
        ({"tags": {"$size": 0}}, False),
        ({"user": {"$size": 3}}, False),
        ({"results.name": {"$regex": "^FRB \\d+B$"}}, True),
        ({"results.name": {"$regex": "^frb"}}, False),
        ({"results.name": {"$regex": "^frb", "$options": "i"}}, True),
        ({"tags": {"$regex": "b"}}, True),
        ({"priority": {"$regex": "3"}}, False),
        ({"$and": [{"user": "ada"}, {"priority": 3}]}, True),
        ({"$and": [{"user": "ada"}, {"priority": 4}]}, False),
        ({"$or": [{"user": "bob"}, {"priority": 3}]}, True),
        ({"$or": [{"user": "bob"}], "priority": 3}, False),
        ({"$nor": [{"user": "bob"}, {"priority": 4}]}, True),
        ({"$nor": [{"user": "ada"}, {"priority": 4}]}, False),
        ({"tag": "a"}, True),
        ({"results": {"$exists": True}}, True),
    ],
)
def test_what_is_meant(query: dict[str, Any], meant: bool) -> None:
    assert predicate(query)(WORK) is meant


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"$where": "1"}, r"\$where is no operator between queries; \$and, \$or, \$nor are"),
        ({"user": {"$near": 1}}, r"'\$near' is no operator; there are \$eq, \$ne"),
        ({"user": {"$eq": "a", "plain": 1}}, "'plain' is no operator"),
        ({"$and": {}}, r"\$and takes a list of queries"),
        ({"$or": []}, r"\$or takes a list of queries"),
        ({"$nor": ["a"]}, "'a' is no query"),
        ({"event": {"$in": 1}}, r"\$in takes a list, and got 1"),
        ({"event": {"$nin": {"a": 1}}}, r"\$nin takes a list"),
        ({"event": {"$in": [{"$gt": 1}]}}, r"\$in takes values, not operators"),
        ({"event": {"$all": 3}}, r"\$all takes a list"),
        ({"event": {"$gt": None}}, r"\$gt takes a number or a text, and got None"),
        ({"event": {"$lte": [1]}}, r"\$lte takes a number or a text"),
        ({"event": {"$gte": True}}, r"\$gte takes a number or a text"),
        ({"event": {"$exists": "yes"}}, r"\$exists takes true or false"),
        ({"event": {"$exists": 2}}, r"\$exists takes true or false"),
        ({"event": {"$size": -1}}, r"\$size takes a number"),
        ({"event": {"$size": True}}, r"\$size takes a number"),
        ({"event": {"$elemMatch": 3}}, r"\$elemMatch takes a query"),
        ({"event": {"$elemMatch": {}}}, r"\$elemMatch takes a query"),
        ({"event": {"$elemMatch": {"$near": 1}}}, r"'\$near' is no operator"),
        ({"event": {"$not": 3}}, r"\$not takes operators"),
        ({"event": {"$not": {"a": 3}}}, r"\$not takes operators"),
        ({"event": {"$eq": {"$gt": 3}}}, r"\$eq takes a value"),
        ({"event": {"$ne": {"$gt": 3}}}, r"\$ne takes a value"),
        ({"event": {"$regex": 3}}, r"\$regex takes a text"),
        ({"event": {"$regex": "("}}, r"The \$regex '\(' is none"),
        ({"event": {"$options": "i"}}, r"\$options belongs to a \$regex"),
        ({"event": {"$regex": "a", "$options": "q"}}, r"\$options takes letters"),
        ({"evnt": 3}, "no field 'evnt'"),
        ({"results..a": 3}, "no path"),
    ],
)
def test_malformed(query: dict[str, Any], message: str) -> None:
    with pytest.raises(WorkInvalid, match=message):
        predicate(query)


def test_conditions_of_what_is_found() -> None:
    assert condition({"$gt": 1})([0, 2])
    assert not condition({"$gt": 1})([])
    assert condition(None)([])


def test_same() -> None:
    assert same([1, {"a": 2.0}], [1.0, {"a": 2}])
    assert not same(1, True)
    assert not same(False, 0)
    assert not same([1], [1, 2])
    assert not same({"a": 1}, {"b": 1})
    assert not same("1", 1)
