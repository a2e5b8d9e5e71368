from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from daskflow.errors import StoreError, StoreFull, StoreUnavailable
from daskflow.stores import Database, Journal
from daskflow.stores import postgres as dialects
from daskflow.stores.pool import KEPT, Pool
from tests.services.postgres import Postgres
from tests.stores.samples import RUN, job_row, python, result_row, run_record

PATIENCE = 30.0
FOREVER = 600.0
"""Longer than a test may take [s]."""


@pytest.fixture
def database(postgres: str) -> Iterator[Database]:
    with Database(f"{postgres}&application_name={postgres.rpartition('=')[2]}") as database:
        yield database


@pytest.fixture
def journal(database: Database) -> Journal:
    return Journal(database)


class Server:
    """The server's own view of the connections of one test."""

    def __init__(self, server: Postgres, database: Database) -> None:
        self._connection = server.connect()
        self._name = database.place.rpartition("schema=")[2]

    def ask(self, sql: str) -> list[tuple[object, ...]]:
        return self._connection.execute(sql.encode(), (self._name,)).fetchall()

    def connections(self) -> int:
        found = self.ask("SELECT COUNT(*) FROM pg_stat_activity WHERE application_name = %s")
        return int(str(found[0][0]))

    def end_all(self) -> None:
        self.ask("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = %s")

    def await_connections(self, number: int) -> None:
        until = time.monotonic() + PATIENCE
        while self.connections() != number:
            assert time.monotonic() < until, self.connections()
            time.sleep(0.01)

    def await_waiting(self, number: int = 1) -> None:
        """Until so many of them wait for a lock."""
        until = time.monotonic() + PATIENCE
        waiting = "SELECT 1 FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'"
        while len(self.ask(waiting)) < number:
            assert time.monotonic() < until
            time.sleep(0.01)

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def server(postgres_server: Postgres, database: Database) -> Iterator[Server]:
    found = Server(postgres_server, database)
    yield found
    found.close()


def in_thread(action: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=action)
    thread.start()
    return thread


def test_threads_that_do_nothing_share_connections(journal: Journal, server: Server) -> None:
    with ThreadPoolExecutor(20) as threads:
        for _ in range(5):
            list(threads.map(lambda number: journal.add_run(run_record(f"{number}-{time.monotonic()}")), range(20)))
    assert len(journal.runs(1000)) == 100
    server.await_connections(min(KEPT, server.connections()))
    journal.database.close()
    server.await_connections(0)
    assert len(journal.runs(1000)) == 100


def test_what_was_lost_while_nobody_used_it_is_replaced(journal: Journal, server: Server) -> None:
    journal.add_run(run_record())
    server.end_all()
    assert journal.run(RUN).flow == "study"
    server.end_all()
    journal.heartbeat(RUN, 5.0)
    server.end_all()
    with journal.database.transaction():
        journal.heartbeat(RUN, 6.0)
    server.end_all()
    assert journal.database.change("heartbeat", id=RUN, time=7.0) == []
    assert journal.run(RUN).heartbeat == 7.0


def test_a_server_that_starts_again_is_found_again(postgres_server: Postgres, journal: Journal) -> None:
    journal.add_run(run_record())
    postgres_server.stop()
    try:
        with pytest.raises(StoreUnavailable, match="Check that the server runs") as caught:
            journal.run(RUN)
        assert caught.value.transient
    finally:
        postgres_server.start()
    journal.heartbeat(RUN, 6.0)
    assert journal.run(RUN).heartbeat == 6.0


def test_within_a_transaction_a_lost_connection_is_told(journal: Journal, server: Server) -> None:
    journal.add_run(run_record())

    def change() -> None:
        with journal.database.transaction():
            journal.heartbeat(RUN, 6.0)
            server.end_all()
            journal.heartbeat(RUN, 7.0)

    with pytest.raises(StoreUnavailable) as caught:
        change()
    assert caught.value.transient
    assert journal.run(RUN).heartbeat is None
    journal.heartbeat(RUN, 8.0)
    assert journal.run(RUN).heartbeat == 8.0


def test_a_connection_that_is_lost_while_it_commits_is_told(journal: Journal, server: Server) -> None:
    def change() -> None:
        with journal.database.transaction():
            journal.add_run(run_record())
            server.end_all()

    with pytest.raises(StoreUnavailable):
        change()
    assert journal.runs() == []


def test_after_a_failure_within_nothing_is_written_silently(journal: Journal) -> None:
    journal.add_run(run_record())

    def change() -> None:
        with journal.database.transaction():
            journal.add_run(run_record("other"))
            with pytest.raises(StoreError, match="duplicate"):
                journal.add_run(run_record())

    with pytest.raises(StoreError, match="a part of it failed"):
        change()
    assert len(journal.runs()) == 1
    journal.add_run(run_record("later"))


def test_ordered_transactions_wait_for_each_other_and_others_do_not(journal: Journal, server: Server) -> None:
    database = journal.database
    journal.add_run(run_record())
    began = threading.Event()
    order: list[object] = []

    def ordered() -> None:
        began.set()
        with database.transaction():
            order.append("second")

    with database.transaction():
        thread = in_thread(ordered)
        assert began.wait(PATIENCE)
        server.await_waiting()
        aside = in_thread(lambda: order.append(database.change("heartbeat", id="nobody", time=1.0)))
        aside.join()

        def side_by_side() -> None:
            with database.transaction(ordered=False):
                order.append("aside")

        in_thread(side_by_side).join()
        order.append("first")
    thread.join()
    assert order == [[], "aside", "first", "second"]


def test_an_ordered_one_within_another_waits_too(journal: Journal, server: Server) -> None:
    database, order = journal.database, []
    database.open()

    def inner() -> None:
        with database.transaction(ordered=False), database.transaction():
            order.append("second")

    with database.transaction(ordered=False), database.transaction():
        thread = in_thread(inner)
        server.await_waiting()
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_who_waits_for_too_long_is_told(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    journal.database.open()
    monkeypatch.setattr(dialects, "PATIENCE", 0.05)
    other = Database(journal.database.url)
    with other, journal.database.transaction(), ThreadPoolExecutor(1) as thread:
        waits = thread.submit(Journal(other).add_run, run_record())
        with pytest.raises(StoreUnavailable, match="locked for too long"):
            waits.result()
    journal.add_run(run_record())


def test_who_does_nothing_in_the_midst_of_writing_loses_the_turn(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialects, "PAUSE", 0.05)
    with Database(postgres) as stuck, Database(postgres) as other:
        other.open()

        def hang() -> None:
            with stuck.transaction():
                Journal(stuck).add_run(run_record())
                Journal(other).add_run(run_record("other"))
                Journal(stuck).heartbeat(RUN, 1.0)

        with pytest.raises(StoreUnavailable, match=r"did nothing for too long|connection to .* was lost"):
            hang()
        assert [run.id for run in Journal(other).runs()] == ["other"]


def test_a_full_disk(postgres_server: Postgres, journal: Journal) -> None:
    journal.database.open()
    schema = journal.database.place.rpartition("=")[2]
    with postgres_server.connect() as connection:
        connection.execute(
            f"""
            CREATE FUNCTION {schema}.full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$
            """.encode()
        )
        connection.execute(
            f"CREATE TRIGGER full_disk BEFORE INSERT ON {schema}.results EXECUTE FUNCTION {schema}.full_disk()".encode()
        )
    with pytest.raises(StoreFull, match=r"No space left.*Free some space"):
        journal.write({"jobs": [job_row(0)], "results": [result_row("a")]})
    assert journal.jobs(RUN) == []


def test_events_are_seen_in_their_order(journal: Journal) -> None:
    """Who has seen the event with an ordinal has seen all before it, though several write at once."""
    database = journal.database
    database.open()
    started = threading.Barrier(5)

    def write(part: int) -> None:
        started.wait()
        for number in range(30):
            journal.add_events([(RUN, f"{part}.{number}", 1.0, "", "{}"), (RUN, f"{part}.{number}b", 1.0, "", "{}")])

    threads = [in_thread(partial(write, part)) for part in range(4)]
    started.wait()
    seen: list[int] = []
    while len(seen) < 240:
        seen += [ordinal for ordinal, _ in journal.events_since(RUN, seen[-1] if seen else 0)]
    for thread in threads:
        thread.join()
    assert seen == [ordinal for ordinal, _ in journal.events_since(RUN)]


def test_only_who_awaits_a_channel_hears_of_it(database: Database) -> None:
    ready = threading.Barrier(3)

    def listen(channel: str) -> None:
        database.await_announcement(channel, FOREVER)
        ready.wait()
        database.await_announcement(channel, FOREVER)

    works, other = (in_thread(partial(listen, channel)) for channel in ("works", "other"))
    ready.wait()
    database.announce("works")
    works.join()
    assert other.is_alive()
    database.announce("other")
    other.join()


def test_the_connection_of_a_thread_that_listened_goes_with_it(database: Database, server: Server) -> None:
    database.open()
    in_thread(lambda: database.await_announcement("works", 1.0)).join()
    gc.collect()
    server.await_connections(1)


def test_a_listener_that_lost_its_connection_looks_again(database: Database, server: Server) -> None:
    database.await_announcement("works", FOREVER)
    server.end_all()
    # It is told of the loss, then that it listens again.
    database.await_announcement("works", FOREVER)
    database.await_announcement("works", FOREVER)
    database.announce("works")
    database.await_announcement("works", FOREVER)


def test_a_listener_that_waits_is_told_of_the_loss(database: Database, server: Server) -> None:
    database.open()
    before = server.connections()
    waits = threading.Event()

    def listen() -> None:
        database.await_announcement("works", FOREVER)
        waits.set()
        database.await_announcement("works", FOREVER)

    thread = in_thread(listen)
    assert waits.wait(PATIENCE)
    server.await_connections(before + 1)
    server.end_all()
    thread.join()


def test_closing_lets_a_listener_go_on(database: Database, server: Server) -> None:
    waits = threading.Event()

    def listen() -> None:
        database.await_announcement("works", FOREVER)
        waits.set()
        database.await_announcement("works", FOREVER)

    thread = in_thread(listen)
    assert waits.wait(PATIENCE)
    while thread.is_alive():
        database.close()
        thread.join(0.05)
    server.await_connections(0)


def test_readonly(database: Database) -> None:
    with Database(database.url, readonly=True) as reading:
        with pytest.raises(StoreUnavailable, match="version 0"):
            reading.open()
        database.open()
        reading.open()
        for write in (lambda: reading.announce("works"), lambda: reading.change("heartbeat", id="", time=1.0)):
            with pytest.raises(StoreUnavailable, match="reading only"):
                write()
        access = reading._access
        assert isinstance(access, Pool)
        link = access._take()
        with pytest.raises(StoreUnavailable), reading._dialect.guarded(writing=True):
            link.execute("CREATE TABLE a (b TEXT)")
        access._give(link)
        reading.await_announcement("works", 0.0)


def test_a_forked_child_leaves_the_parents_connections_alone(journal: Journal, server: Server) -> None:
    journal.add_run(run_record())
    journal.database.await_announcement("works", 0.0)
    before = server.connections()
    child = os.fork()
    if child == 0:
        try:
            journal.add_run(run_record("child"))
            journal.database.await_announcement("works", 0.0)
            journal.database.close()
            gc.collect()
            os._exit(0)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    server.await_connections(before)
    journal.heartbeat(RUN, 1.0)
    assert len(journal.runs()) == 2


def test_a_killed_process_holds_up_nobody(journal: Journal) -> None:
    code = """
        import sys
        from daskflow.stores import Database, Journal
        from daskflow.model.records import RunRecord
        database = Database(sys.argv[1])
        with database.transaction():
            Journal(database).add_run(RunRecord(id="killed", flow="study"))
            print("ready", flush=True)
            sys.stdin.readline()
    """
    other = python(code, journal.database.url)
    assert other.stdout is not None
    assert other.stdout.readline() == "ready\n"
    other.kill()
    journal.add_run(run_record())
    assert [run.id for run in journal.runs()] == [RUN]
    other.communicate()
