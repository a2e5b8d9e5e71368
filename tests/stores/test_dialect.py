from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from daskflow.stores.dialect import Connection, Dialect, printable
from daskflow.stores.postgres import PostgreSQL
from daskflow.stores.sqlite import SQLite


@pytest.fixture(params=["sqlite", "postgresql"])
def dialect(request: pytest.FixtureRequest, tmp_path: Path) -> Dialect:
    if request.param == "sqlite":
        return SQLite(tmp_path / "journal.db")
    return PostgreSQL(request.getfixturevalue("postgres"))


@pytest.fixture
def connect(dialect: Dialect, request: pytest.FixtureRequest) -> Callable[[], Connection]:
    def connected() -> Connection:
        connection = dialect.connect(writing=True)
        request.addfinalizer(connection.close)
        return connection

    return connected


def test_it_offers_all_that_a_journal_needs(dialect: Dialect, connect: Callable[[], Connection]) -> None:
    connection = connect()
    within = [connection.in_transaction]
    assert not dialect.has_tables(connection)
    dialect.begin(connection, ordered=True)
    dialect.prepare(connection)
    connection.execute(dialect.render("CREATE TABLE schema_version (version INTEGER)"), {})
    within.append(connection.in_transaction)
    assert dialect.has_tables(connection)
    connection.execute("ROLLBACK")
    within.append(connection.in_transaction)
    assert within == [False, True, False]
    assert not dialect.has_tables(connection)


def test_all_words_come_back_as_they_were_written(dialect: Dialect, connect: Callable[[], Connection]) -> None:
    connection = connect()
    dialect.begin(connection, ordered=False)
    dialect.prepare(connection)
    columns = "n SERIAL PRIMARY KEY, i INTEGER, r REAL, t TEXT, b BLOB, j JSON"
    connection.execute(dialect.render(f"CREATE TABLE every (\n{columns}\n)"), {})
    insert = dialect.render("INSERT INTO every (i, r, t, b, j) VALUES (:i, :r, :t, :b, :j)")
    row = (2**63 - 1, 0.1, "é 100% 'q' ; \N{TELESCOPE}", bytes(range(256)), None)
    connection.execute(insert, dict(zip("irtbj", row, strict=True)))
    connection.executemany(dialect.positional(insert), [row, (-(2**63), 1e-308, "", b"", None), (None,) * 5])
    found = connection.execute(dialect.render("SELECT i, r, t, b, j FROM every ORDER BY n"), {}).fetchall()
    assert found == [row, row, (-(2**63), 1e-308, "", b"", None), (None,) * 5]
    connection.execute("ROLLBACK")


def test_lists_and_the_clock(dialect: Dialect, connect: Callable[[], Connection]) -> None:
    connection = connect()
    ask = dialect.render("SELECT given.value FROM {keys} given WHERE given.value IN {keys} AND 'a:b' = 'a' || ':b'")
    for keys in ([], ["a"], ["b", "a'", "é", 'x"y\\', ""]):
        assert {value for (value,) in connection.execute(ask, {"keys": dialect.pack(keys)}).fetchall()} == set(keys)
    clock = dialect.render("SELECT CLOCK - :then, CLOCK >= :then")
    ((since, later),) = connection.execute(clock, {"then": 1e9}).fetchall()
    assert later
    assert isinstance(since, float)


def test_texts_are_ordered_by_their_letters_numbers(dialect: Dialect, connect: Callable[[], Connection]) -> None:
    connection = connect()
    dialect.begin(connection, ordered=False)
    dialect.prepare(connection)
    connection.execute(dialect.render("CREATE TABLE texts (t TEXT PRIMARY KEY)"), {})
    texts = ["a", "B", "é", "a-b", "a b", "ab", "_", "20260101-x", "2026"]
    connection.executemany(dialect.positional(dialect.render("INSERT INTO texts VALUES (:t)")), [(t,) for t in texts])
    found = connection.execute(dialect.render("SELECT t FROM texts ORDER BY t"), {}).fetchall()
    assert [text for (text,) in found] == sorted(texts)
    connection.execute("ROLLBACK")


def test_printable() -> None:
    assert [printable(value) for value in ("é", "\udcff", 1, None)] == ["é", "\\udcff", 1, None]
