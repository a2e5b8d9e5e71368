from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from daskflow.errors import StoreError, StoreFull, StoreMissing, StoreUnavailable
from daskflow.stores.sqlite import SQLite


def _pragma(dialect: SQLite, name: str) -> object:
    connection = dialect.connect(writing=True)
    try:
        return connection.execute(f"PRAGMA {name}").fetchall()[0][0]
    finally:
        connection.close()


@pytest.mark.parametrize(("network", "mode", "synchronous"), [(False, "wal", 1), (True, "truncate", 2)])
def test_the_filesystem_chooses_the_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: bool, mode: str, synchronous: int
) -> None:
    monkeypatch.setattr("daskflow.stores.sqlite.on_network", lambda path: network)
    dialect = SQLite(tmp_path / "journal.db")
    assert _pragma(dialect, "journal_mode") == mode
    assert _pragma(dialect, "synchronous") == synchronous


def test_odd_signs_in_the_path_are_no_options(tmp_path: Path) -> None:
    dialect = SQLite(tmp_path / "what? 100% #1 é" / "a?mode=memory.db")
    dialect.connect(writing=True).close()
    assert dialect.path.is_file()


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_text("These are my notes of last summer.\n" * 100)
    for dialect in (SQLite(tmp_path / "journal.db"), SQLite(tmp_path / "journal.db", readonly=True)):
        with pytest.raises(StoreUnavailable, match=r"journal\.db is no journal"):
            dialect.connect(writing=not dialect.readonly)


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable, match=r"file/store/journal\.db cannot be opened.*[Cc]heck"):
        SQLite(tmp_path / "file" / "store" / "journal.db").connect(writing=True)


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with _as_somebody(), pytest.raises(StoreUnavailable, match="cannot be opened"):
        SQLite(tmp_path / "journal.db").connect(writing=True)


@contextmanager
def _as_somebody() -> Iterator[None]:
    """Without the rights of root, who may write everywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_reading_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(StoreMissing, match="There is no journal"):
        SQLite(tmp_path / "store" / "journal.db", readonly=True).connect(writing=False)
    assert list(tmp_path.iterdir()) == []


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    dialect = SQLite(tmp_path / "journal.db")
    dialect.connect(writing=True).close()
    reader = dialect.connect(writing=False)
    with pytest.raises(StoreUnavailable), dialect.guarded(writing=True):
        reader.execute("CREATE TABLE a (b TEXT)")
    reader.close()


def test_a_reader_brings_in_order_what_a_killed_writer_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daskflow.stores.sqlite.on_network", lambda path: True)
    (tmp_path / "killed").mkdir()
    connection = SQLite(tmp_path / "journal.db").connect(writing=True)
    connection.execute("CREATE TABLE a (b TEXT)")
    connection.execute("INSERT INTO a VALUES ('good')")
    connection.execute("PRAGMA cache_size=1")
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany("INSERT INTO a VALUES (?)", [("half" * 1000,)] * 100)
    for name in ("journal.db", "journal.db-journal"):
        shutil.copy(tmp_path / name, tmp_path / "killed" / name)
    connection.close()
    reader = SQLite(tmp_path / "killed" / "journal.db", readonly=True).connect(writing=False)
    assert reader.execute("SELECT b FROM a").fetchall() == [("good",)]
    reader.close()


def test_switching_the_mode_waits_for_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # SQLite itself waits only sometimes here; without a timeout it never does.
    monkeypatch.setattr(
        SQLite,
        "_open",
        lambda self, uri: sqlite3.connect(uri, uri=True, timeout=0, isolation_level=None),
    )
    path = tmp_path / "journal.db"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE a (b TEXT)")
    other.execute("BEGIN EXCLUSIVE")
    timer = threading.Timer(0.2, other.rollback)
    timer.start()
    SQLite(path).connect(writing=True).close()
    timer.join()
    other.close()


def test_a_lock_that_stays_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daskflow.stores.sqlite.PATIENCE", 0.1)
    dialect = SQLite(tmp_path / "journal.db")
    first, second = dialect.connect(writing=True), dialect.connect(writing=True)
    first.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"), dialect.guarded(writing=True):
        second.execute("BEGIN IMMEDIATE")
    first.close()
    second.close()


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOSPC, StoreFull), (errno.EDQUOT, StoreFull), (errno.EACCES, StoreUnavailable)],
)
def test_errors_of_the_file_system(tmp_path: Path, number: int, kind: type[StoreError]) -> None:
    with pytest.raises(kind, match=os.strerror(number)), SQLite(tmp_path / "j").guarded(writing=True):
        raise OSError(number, os.strerror(number), "j")


@pytest.mark.parametrize(
    ("code", "writing", "kind"),
    [
        (sqlite3.SQLITE_FULL, True, StoreFull),
        (sqlite3.SQLITE_IOERR_WRITE, True, StoreFull),
        (sqlite3.SQLITE_IOERR_READ, False, StoreUnavailable),
        (sqlite3.SQLITE_CORRUPT, False, StoreUnavailable),
        (sqlite3.SQLITE_CONSTRAINT, True, StoreError),
    ],
)
def test_errors_of_sqlite(tmp_path: Path, code: int, writing: bool, kind: type[StoreError]) -> None:
    error = sqlite3.OperationalError("it says so")
    error.sqlite_errorcode = code
    with pytest.raises(kind, match="it says so") as caught, SQLite(tmp_path / "j").guarded(writing=writing):
        raise error
    assert type(caught.value) is kind


def test_the_words_of_the_dialect(tmp_path: Path) -> None:
    dialect = SQLite(tmp_path / "j")
    assert dialect.render("a IN {keys}") == "a IN (SELECT value FROM json_each(:keys))"
    assert dialect.render("ordinal SERIAL PRIMARY KEY") == "ordinal INTEGER PRIMARY KEY"
    assert dialect.positional("VALUES (:a, :b)") == "VALUES (?, ?)"
    assert dialect.pack(["a"]) == '["a"]'
