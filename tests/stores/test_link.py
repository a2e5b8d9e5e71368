from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

pytest.importorskip("psycopg", reason="pip install 'daskflow[postgres]'")

import psycopg

from daskflow.stores.link import Link
from daskflow.stores.postgres import PostgreSQL

pytestmark = pytest.mark.integration
PREPARED = "SELECT statement FROM pg_prepared_statements WHERE name LIKE 'daskflow%%'"
TWICE = "SELECT CAST(%(number)s AS BIGINT) + CAST(%(number)s AS BIGINT), %(text)s || '%%'"


@pytest.fixture
def link(postgres: str) -> Iterator[Link]:
    with closing(PostgreSQL(postgres).connect(writing=True)) as connected:
        yield connected


@pytest.fixture
def other(postgres: str) -> Iterator[Link]:
    with closing(PostgreSQL(postgres).connect(writing=True)) as connected:
        yield connected


def ask(link: Link, sql: str, **parameters: Any) -> list[Any]:
    return link.execute(sql, parameters).fetchall()


def test_parameters_go_by_their_names(link: Link) -> None:
    assert ask(link, TWICE, text="é", number=21, unused=0) == [(42, "é%")]


def test_what_is_asked_for_often_is_prepared_once(link: Link) -> None:
    for number in range(5):
        assert ask(link, TWICE, number=number, text="") == [(2 * number, "%")]
    assert len(ask(link, PREPARED)) == 1


def test_what_is_asked_for_once_or_twice_is_not_prepared(link: Link) -> None:
    for number in range(2):
        ask(link, TWICE, number=number, text="")
    assert ask(link, PREPARED) == []


def test_none_and_a_number_are_two_statements(link: Link) -> None:
    sql = "SELECT COALESCE(CAST(%(given)s AS DOUBLE PRECISION), 1.5)"
    assert [ask(link, sql, given=value) for value in (None, 2.5) * 4] == [[(1.5,)], [(2.5,)]] * 4


def test_the_server_keeps_a_bounded_number_of_them(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daskflow.stores.link._MOST", 3)
    for _ in range(4):
        for number in range(6):
            assert ask(link, f"SELECT {number}, %(text)s", text="x") == [(number, "x")]
    assert len(ask(link, PREPARED)) == 3


def test_a_refused_statement_leaves_the_connection_good(link: Link) -> None:
    for _ in range(5):
        with pytest.raises(psycopg.errors.DivisionByZero):
            ask(link, "SELECT 1 / CAST(%(number)s AS BIGINT)", number=0)
    with pytest.raises(psycopg.errors.SyntaxError):
        ask(link, "SELEC %(number)s", number=0)
    assert not link.lost
    assert ask(link, TWICE, number=1, text="") == [(2, "%")]


def test_a_statement_that_fails_in_a_transaction_lets_it_fail(link: Link) -> None:
    link.execute("BEGIN")
    stands = [(link.in_transaction, link.failed)]
    with pytest.raises(psycopg.errors.DivisionByZero):
        link.execute("SELECT 1 / 0")
    stands.append((link.in_transaction, link.failed))
    link.execute("ROLLBACK")
    stands.append((link.in_transaction, link.failed))
    assert stands == [(True, False), (True, True), (False, False)]


def test_of_several_statements_the_last_answers(link: Link) -> None:
    assert link.execute("SELECT 1; SELECT '%' WHERE 1 = 1").fetchall() == [("%",)]
    assert link.execute("SELECT 1 WHERE 1 = 2").fetchall() == []
    with pytest.raises(psycopg.errors.DivisionByZero):
        link.execute("SELECT 1 / 0; SELECT 1")


def test_what_is_larger_than_the_buffers_of_the_system_goes_through(link: Link) -> None:
    text = "daskflow" * (4 << 20)
    for _ in range(4):
        ((length, back),) = ask(link, "SELECT length(%(text)s), %(text)s", text=text)
        assert length == len(text)
        assert back == text


def test_a_server_that_ends_the_connection_is_noticed(link: Link, other: Link) -> None:
    ((process,),) = link.execute("SELECT pg_backend_pid()").fetchall()
    end = "SELECT pg_terminate_backend(CAST(%(process)s AS INTEGER), 10000)"
    assert ask(other, end, process=process) == [(True,)]
    assert not link.is_quiet()
    with pytest.raises(psycopg.OperationalError):
        ask(link, TWICE, number=1, text="")
    assert link.lost


def test_an_interrupted_statement_costs_the_connection_and_nothing_else(link: Link, other: Link) -> None:
    ((process,),) = link.execute("SELECT pg_backend_pid()").fetchall()
    sleeping = {"process": process}
    begun = "SELECT 1 FROM pg_stat_activity WHERE pid = %(process)s AND wait_event = 'PgSleep'"

    def interrupt() -> None:
        while not other.execute(begun, sleeping).fetchall():
            pass
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        ask(link, "SELECT pg_sleep(CAST(%(time)s AS BIGINT))", time=60)
    thread.join()
    assert link.lost
    assert other.execute("SELECT 1").fetchall() == [(1,)]
