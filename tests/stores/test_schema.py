from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from daskflow.errors import StoreTooNew, StoreUnavailable
from daskflow.model.states import RunState
from daskflow.stores import Database, Journal, schema
from daskflow.stores.queries import migration
from daskflow.stores.sqlite import SQLite
from tests.stores.samples import RUN, attempt_row, change, job_row, python, question, result_row, run_record


def test_a_fresh_store_gets_all_tables(database: Database) -> None:
    database.open()
    assert database.rows("schema_version") == [(schema.VERSION,)]


def test_a_reopened_store_is_as_it_was(database: Database) -> None:
    Journal(database).add_results([result_row("a")])
    database.close()
    with Database(database.url) as again:
        assert Journal(again).lookup(["a"]).keys() == {"a"}
        assert again.rows("schema_version") == [(schema.VERSION,)]


@pytest.mark.parametrize("readonly", [False, True])
def test_a_newer_store_is_refused(database: Database, readonly: bool) -> None:
    database.write("add_schema_version", version=99, applied=1.0)
    database.close()
    with Database(database.url, readonly=readonly) as again, pytest.raises(StoreTooNew) as caught:
        again.open()
    for part in (database.place, "99", f"version {schema.VERSION}"):
        assert part in str(caught.value)


def test_reading_alone_does_not_bring_up_an_older_store(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    sqlite3.connect(path).close()
    path.touch()
    with Database(path, readonly=True) as database, pytest.raises(StoreUnavailable, match="version 0"):
        database.open()


def first_version(path: Path) -> None:
    """A store as the first daskflow made it, with a run, a job and an event."""
    connection = sqlite3.connect(path)
    for statement in migration(1):
        connection.execute(SQLite(path).render(statement))
    connection.execute("INSERT INTO schema_version VALUES (1, 1.0)")
    run = (RUN, "study", "f.py:study", '{"n": 1}', "failed", "local", 1.0, 2.0, 3.0, None, "node1", 7, "no", b"p")
    connection.execute(f"INSERT INTO runs VALUES ({', '.join('?' * len(run))})", run)
    connection.execute(f"INSERT INTO jobs VALUES ({', '.join('?' * len(job_row(0)))})", job_row(0))
    connection.execute("INSERT INTO events VALUES (NULL, ?, 'job.failed', 1.0, 'key000', '{}')", (RUN,))
    connection.commit()
    connection.close()


def test_a_store_of_the_first_version_is_brought_up_with_all_it_has(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    first_version(path)
    with Database(path, readonly=True) as database, pytest.raises(StoreUnavailable, match="version 1"):
        database.open()
    with Database(path) as database:
        journal = Journal(database)
        assert journal.run("last") == run_record(
            arguments={"n": 1}, target="f.py:study", state=RunState.failed, site="local", started=2.0, stopped=3.0,
            host="node1", pid=7, error="no", payload=b"p", parent="", ordinal=0,
        )  # fmt: skip
        assert journal.job(RUN, 0).key == "key000"
        assert [event.kind for event in journal.events(RUN)] == ["job.failed"]
        journal.add_attempts(RUN, [attempt_row(0)])
        assert journal.attempts(RUN)[0].place == "12_0"
        journal.add_run(run_record("child", parent=RUN))
        journal.add_question(question("q"))
        assert journal.add_context([(0, change("a", 1))])
        assert [record.id for record in journal.children(RUN)] == ["child"]
        journal.add_holdings([("value", "object")])
        assert journal.holdings(["value"]) == {"value": ("object",)}


def test_a_failed_migration_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "migration", lambda version: ["CREATE TABLE a (b TEXT)", "CREATE NONSENSE"])
    with Database(tmp_path / "journal.db") as database:
        with pytest.raises(Exception, match="NONSENSE"):
            database.open()
        monkeypatch.undo()
        database.open()
        assert database.rows("schema_version") == [(schema.VERSION,)]


def test_many_processes_may_make_a_store_at_the_same_moment(tmp_path: Path) -> None:
    code = """
        import sys
        from daskflow.stores import Database, Journal
        from daskflow.model.records import RunRecord
        print("ready", flush=True)
        sys.stdin.readline()
        with Database(sys.argv[1]) as database:
            Journal(database).add_run(RunRecord(id=sys.argv[2], flow="study"))
    """
    path = tmp_path / "new" / "journal.db"
    others = [python(code, path, f"run{number}") for number in range(6)]
    for other in others:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
    for other in others:
        assert other.stdin is not None
        other.stdin.write("go\n")
        other.stdin.flush()
    for other in others:
        other.communicate(timeout=60)
    assert [other.returncode for other in others] == [0] * 6
    with Database(path) as database:
        assert len(Journal(database).runs()) == 6
        assert database.rows("schema_version") == [(schema.VERSION,)]
