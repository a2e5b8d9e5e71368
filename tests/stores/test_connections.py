from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from daskflow.errors import StoreUnavailable
from daskflow.stores.connections import Connections
from daskflow.stores.dialect import Connection
from daskflow.stores.sqlite import SQLite


@pytest.fixture
def connections(tmp_path: Path) -> Iterator[Connections]:
    connections = Connections(SQLite(tmp_path / "journal.db"), readonly=False)
    yield connections
    connections.close()


def _in_thread(connections: Connections) -> Connection:
    found: list[Connection] = []
    thread = threading.Thread(target=lambda: found.append(connections.reader()))
    thread.start()
    thread.join()
    return found[0]


def test_there_is_one_writer_and_a_reader_for_each_thread(connections: Connections) -> None:
    assert connections.writer() is connections.writer()
    assert connections.reader() is connections.reader()
    assert connections.reader() is not connections.writer()
    assert _in_thread(connections) is not connections.reader()


def test_the_reader_of_an_ended_thread_is_closed(connections: Connections) -> None:
    ended = _in_thread(connections)
    connections.reader()
    with pytest.raises(Exception, match="closed"):
        ended.execute("SELECT 1")


def test_after_closing_they_open_anew(connections: Connections) -> None:
    before = connections.reader()
    connections.close()
    connections.close()
    assert connections.reader() is not before


def test_they_may_be_closed_while_other_threads_read(connections: Connections) -> None:
    """As at the end of a program whose runs go on in the background."""
    count = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT SUM(i) FROM n"
    done = threading.Event()
    found: list[int] = []
    failed: list[Exception] = []

    def read() -> None:
        try:
            while not done.is_set():
                found.append(connections.rows(count, {})[0][0])
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(200):
        connections.close()
    done.set()
    for thread in threads:
        thread.join()
    assert failed == []
    assert set(found) == {200010000}


def test_the_log_is_tidied_away_at_the_end(connections: Connections, tmp_path: Path) -> None:
    connections.reader()
    connections.close()
    assert os.listdir(tmp_path) == ["journal.db"]


def test_readonly_has_no_writer(tmp_path: Path) -> None:
    connections = Connections(SQLite(tmp_path / "journal.db", readonly=True), readonly=True)
    with pytest.raises(StoreUnavailable, match="reading only"):
        connections.writer()
