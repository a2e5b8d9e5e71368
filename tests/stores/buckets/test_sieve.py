from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from unittest.mock import ANY

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskflow.errors import WorkInvalid
from daskflow.model.work import Work
from daskflow.stores.buckets.finding import count_works, view_works
from daskflow.stores.buckets.query import check_query, matches
from daskflow.stores.buckets.rows import columns, payload_of
from daskflow.stores.buckets.shelf import Query, View
from daskflow.stores.buckets.sieve import Sieve
from daskflow.stores.buckets.table import WorkTable
from daskflow.stores.database import Database

NAMES = ["dm", "a", "0", "1", "x%_!", 'q"\\', "é"]
numbers = st.sampled_from([0, 0.0, -0.0, 1, 1.0, 12, -3, 2.5, 1e16, 10**16, 1e22, 1e300, 1e-7, 2**62, 2.0**62])
scalars = st.one_of(numbers, st.booleans(), st.none(), st.sampled_from(["", "a", "1", '"dm":1', "100%", "é\n", "\0"]))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(NAMES), inner, max_size=3)),
    max_leaves=8,
)
paths = st.builds(
    lambda head, rest: ".".join([head, *rest]),
    st.sampled_from(["results", "parameters", "status"]),
    st.lists(st.sampled_from(NAMES), max_size=3),
)
plain = st.one_of(scalars, st.lists(scalars, max_size=2))
operations = st.one_of(
    st.fixed_dictionaries({}, optional={"$gt": numbers, "$lte": numbers, "$lt": numbers, "$gte": numbers}),
    st.fixed_dictionaries({"$gt": st.sampled_from(["", "a"])}),
    st.fixed_dictionaries({"$eq": plain}),
    st.fixed_dictionaries({"$ne": plain}),
    st.fixed_dictionaries({"$in": st.lists(plain, max_size=12)}),
    st.fixed_dictionaries({"$nin": st.lists(plain, max_size=3)}),
    st.fixed_dictionaries({"$all": st.lists(scalars, max_size=3)}),
    st.fixed_dictionaries({"$exists": st.booleans()}),
    st.fixed_dictionaries({"$size": st.integers(0, 2)}),
    st.fixed_dictionaries({"$regex": st.sampled_from(["a", "^$", "1"])}),
    st.fixed_dictionaries({"$elemMatch": st.fixed_dictionaries({"$gt": numbers})}),
)
wanted = st.one_of(plain, operations, st.fixed_dictionaries({"$not": operations.filter(bool)}))
fields = st.dictionaries(paths, wanted, max_size=3)
queries = st.one_of(
    fields,
    st.builds(
        lambda join, parts, more: {join: parts, **more},
        st.sampled_from(["$and", "$or", "$nor"]),
        st.lists(fields, min_size=1, max_size=3),
        fields,
    ),
)


def work(parameters: Any, results: Any) -> dict[str, Any]:
    held = parameters if isinstance(parameters, dict) else {"a": parameters}
    return Work(pipeline="sample", site="local", user="ada", parameters=held, results=results).payload


def fits(pattern: str, text: str) -> bool:
    """What LIKE does."""
    parts = re.split(r"\\(.)", pattern.strip("%"))
    assert "%" not in "".join(parts[::2])
    return "".join(parts) in text


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Database, list[dict[str, Any]]]]:
    """Works of all shapes, in a store."""
    held = [0, 1, 1.0, 12, 1e16, 10**16, True, None, "a", '"dm":1', "100%", "\0", [1, "a"], {"a": 1}, [{"dm": 12}], []]
    made = [work({name: value}, {"a": value, name: [value]}) for name in NAMES for value in held]
    made += [work(value, value) for value in held]
    with ExitStack() as stack:
        place: Any = tmp_path_factory.mktemp("sieve") / "works.db"
        if request.param == "postgresql":
            place = stack.enter_context(request.getfixturevalue("postgres_server").journal())
        database = stack.enter_context(Database(place))
        WorkTable(database).deposit(made)
        yield database, view_works(database, View(limit=-1))


@given(query=queries)
def test_a_store_finds_what_is_meant(database: tuple[Database, list[dict[str, Any]]], query: Query) -> None:
    try:
        query = check_query(query)
    except WorkInvalid:
        return
    store, works = database
    meant = [each["id"] for each in works if matches(each, query)]
    assert [each["id"] for each in view_works(store, View(query, limit=-1))] == meant
    assert count_works(store, query) == len(meant)


@pytest.mark.parametrize(
    ("query", "columns"),
    [
        ({"results.dm": {"$gt": 3}}, {"in_outcome": ['%"dm":%']}),
        ({"parameters.path": "/a_b%"}, {"in_payload": ['%"path":[%', r'%"path":"/a\_b\%"%']}),
        ({"results.dm": 1}, {"in_outcome": ['%"dm":[%', '%"dm":1%', '%"dm":1.0%']}),
        ({"results.peaks.0": 1}, {"in_outcome": ['%"peaks":%']}),
        ({"results.a": 1, "parameters.b": {"$size": 1}}, {"in_outcome": ANY, "in_payload": ['%"b":%']}),
        ({"results.a": {"$exists": True}, "results.longer": "x"}, {"in_outcome": ANY}),
        ({"$and": [{"results.a": {"$regex": "x"}}]}, {"in_outcome": ['%"a":%']}),
        ({"results.a": {"$in": list(range(9))}}, {"in_outcome": ['%"a":%']}),
        ({"results.a": 1e-7}, {"in_outcome": ['%"a":%']}),
        ({"results.a": {"$in": [1, 10**16]}}, {"in_outcome": ['%"a":%']}),
        ({"results.a": None}, {}),
        ({"results.a": {"$ne": 1}}, {}),
        ({"results.a": {"$nin": [1]}}, {}),
        ({"results.a": {"$not": {"$gt": 1}}}, {}),
        ({"results.a": {"$exists": False}}, {}),
        ({"results": {"$exists": True}}, {}),
        ({"results.a": {"$in": [1, None]}}, {}),
        ({"results.a": {"$all": []}}, {}),
        ({"$or": [{"results.a": 1}, {"results.b": 1}]}, {}),
        ({"log": "a"}, {}),
        ({"results.a": "x" * 501}, {}),
    ],
)
def test_what_the_database_looks_for(query: dict[str, Any], columns: dict[str, Any]) -> None:
    assert Sieve(query).patterns == columns


@pytest.mark.parametrize(
    ("query", "texts"),
    [
        ({"results.dm": {"$gt": 3}}, ['{"results":{"dm":3}}', '{"results":{"dm":"4"}}', '{"results":{"dn":4}}', ""]),
        ({"results.dm": {"$gt": 3, "$lt": 4}}, ['{"results":{"dm":3}}', '{"results":{"dm":4.0}}']),
        ({"results.dm": 3}, ['{"results":{"dm":"3"}}', '{"results":{"dm":4}}']),
        ({"$or": [{"results.a": 1}, {"results.b": {"$gt": 1}}]}, ['{"results":{"a":2}}', '{"results":{"b":1}}']),
    ],
)
def test_what_is_left_unread(query: dict[str, Any], texts: list[str]) -> None:
    sieve = Sieve(query)
    assert [text for text in texts if sieve.passes("{}", text)] == []


@pytest.mark.parametrize(("value", "written"), [(1e-7, "1e-07"), (1e16, "1e+16"), (10**16, "1e16"), (1e-5, "0.00001")])
def test_a_number_is_found_however_it_was_written(value: float, written: str) -> None:
    assert Sieve({"results.a": value}).passes("{}", f'{{"results":{{"a":{written}}}}}')
    assert not Sieve({"results.a": value}).passes("{}", '{"results":{"a":1e20}}')


def test_most_works_that_are_not_meant_are_not_read(
    database: tuple[Database, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Any] = []

    def note(row: Any) -> dict[str, Any]:
        read.append(row)
        return payload_of(row)

    monkeypatch.setattr("daskflow.stores.buckets.finding.payload_of", note)
    store, works = database
    query = {"parameters.dm": {"$gt": 11}}
    assert count_works(store, query) == sum(matches(each, query) for each in works) == 3
    # Lists, and numbers of that name in other places.
    assert len(read) == 13 < len(works) == 128


@given(st.lists(st.tuples(values, values), min_size=1, max_size=4), queries)
def test_whatever_is_meant_passes(held: list[tuple[Any, Any]], query: Query) -> None:
    try:
        query = check_query(query)
    except WorkInvalid:
        return
    sieve = Sieve(query)
    for each in held:
        made = work(*each)
        row = columns({**made, "id": "a"})
        if matches(made, query):
            texts = {"in_payload": row["payload"], "in_outcome": row["outcome"] or ""}
            assert sieve.passes(row["payload"], row["outcome"] or "")
            for column, patterns in sieve.patterns.items():
                assert any(fits(pattern, texts[column]) for pattern in patterns)
