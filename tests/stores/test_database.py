from __future__ import annotations

import os
import pickle
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from daskflow.errors import SettingsInvalid, StoreError, StoreFull, StoreUnavailable
from daskflow.stores import Database, Journal
from tests.stores.samples import RUN, job_row, python, result_row, run_record, writer_of


def test_it_opens_late(database_file: Database) -> None:
    assert not Path(database_file.place).parent.exists()
    database_file.open()
    assert Path(database_file.place).is_file()


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:////data/journal.db", "/data/journal.db"),
        ("/data/journal.db", "/data/journal.db"),
        (Path("/data/journal.db"), "/data/journal.db"),
        ("sqlite:///journal.db", f"{os.getcwd()}/journal.db"),
        ("journal.db", f"{os.getcwd()}/journal.db"),
    ],
)
def test_urls(url: str | Path, path: str) -> None:
    database = Database(url)
    assert database.place == path
    assert Database(database.url).place == path


@pytest.mark.parametrize("url", ["mysql://ann:secret@db/x", "sqlite://", "sqlite:///", "mysql:///x"])
def test_unknown_urls_name_those_that_are_known(url: str) -> None:
    with pytest.raises(SettingsInvalid, match=r"sqlite:///path .* postgresql://user@host/database") as caught:
        Database(url)
    assert "secret" not in str(caught.value)


def test_it_pickles_as_its_url(database: Database) -> None:
    Journal(database).add_results([result_row("a")])
    copy = pickle.loads(pickle.dumps(Journal(database)))
    assert copy.lookup(["a"]).keys() == {"a"}
    assert copy.database.place == database.place
    assert repr(copy.database) == f"Database({database.url!r})"
    copy.database.close()


def test_a_transaction_is_all_or_nothing(database: Database) -> None:
    journal = Journal(database)

    def change() -> None:
        with database.transaction():
            journal.add_results([result_row("a")])
            with database.transaction():
                journal.add_jobs([job_row(0)])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        change()
    assert journal.lookup(["a"]) == {}
    assert journal.jobs(RUN) == []


def test_a_transaction_reads_what_it_wrote_and_others_do_not(database: Database) -> None:
    journal = Journal(database)
    journal.add_results([result_row("a")])
    seen: list[int] = []
    with database.transaction():
        journal.add_results([result_row("b")])
        thread = threading.Thread(target=lambda: seen.append(len(journal.lookup(["a", "b"]))))
        thread.start()
        thread.join()
        assert len(journal.lookup(["a", "b"])) == 2
    assert seen == [1]
    assert len(journal.lookup(["a", "b"])) == 2


def test_threads_write_one_after_the_other(database: Database) -> None:
    journal = Journal(database)

    def write(part: int) -> None:
        for number in range(20):
            journal.add_jobs([job_row(part * 100 + number)])

    threads = [threading.Thread(target=write, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(journal.jobs(RUN)) == 80


def test_text_that_is_no_utf8_costs_nothing_else(database: Database) -> None:
    journal = Journal(database)
    journal.add_events([(RUN, "a", 1.0, "", "{}"), (RUN, "b\udc80", 2.0, "", "{}")])
    assert [event.kind for event in journal.events(RUN)] == ["a", "b\\udc80"]
    journal.add_run(run_record(error="what \udcff"))
    assert journal.run(RUN).error == "what \\udcff"


def test_readonly_refuses_to_write(database: Database) -> None:
    Journal(database).add_run(run_record())
    with Database(database.url, readonly=True) as reading:
        assert Journal(reading).run(RUN).flow == "study"
        with pytest.raises(StoreUnavailable, match="reading only"):
            Journal(reading).add_run(run_record("other"))


def test_readonly_works_beside_a_store_in_which_somebody_writes(database: Database) -> None:
    journal = Journal(database)
    journal.add_run(run_record())
    with Database(database.url, readonly=True) as reading:
        with database.transaction():
            journal.add_run(run_record("later"))
            assert len(Journal(reading).runs()) == 1
        assert len(Journal(reading).runs()) == 2


def test_a_directory_that_only_can_be_read(database_file: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    Journal(database_file).add_run(run_record())
    database_file.close()
    # Root may write everywhere, so the directory's answer is given here.
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    with Database(database_file.url, readonly=True) as reading:
        assert len(Journal(reading).runs()) == 1


def test_a_forked_child_opens_its_own_connections(database: Database) -> None:
    journal = Journal(database)
    journal.add_run(run_record())
    journal.runs()
    parents = database._access
    child = os.fork()
    if child == 0:
        try:
            journal.add_run(run_record("child"))
            os._exit(0 if len(journal.runs()) == 2 and database._access is not parents else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert len(journal.runs()) == 2
    assert database._access is parents


READER = """
    import sys
    from daskflow.stores import Database, Journal
    with Database(sys.argv[1], readonly=True) as database:
        journal, last = Journal(database), 0
        print("ready", flush=True)
        while last < 1000:
            jobs = len(journal.jobs(sys.argv[2]))
            results = len(journal.lookup(f"key{number:03}" for number in range(1000)))
            # Results are read after the jobs that came with them: never fewer, and never less than before.
            assert last <= jobs <= results, (last, jobs, results)
            assert jobs % 20 == 0, jobs
            last = jobs
"""


def test_one_writes_while_others_read(database: Database) -> None:
    journal = Journal(database)
    database.open()
    readers = [python(READER, database.place, RUN) for _ in range(2)]
    for reader in readers:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
    for start in range(0, 1000, 20):
        numbers = range(start, start + 20)
        journal.write(
            {
                "jobs": [job_row(number) for number in numbers],
                "results": [result_row(f"key{number:03}") for number in numbers],
            }
        )
    for reader in readers:
        reader.communicate(timeout=60)
        assert reader.returncode == 0


def _fill(journal: Journal) -> int:
    """Write until there is no room; returns how many batches were good."""
    for number in range(10_000):
        try:
            journal.add_results([result_row(f"{number}-{part}", inline=b"x" * 500) for part in range(20)])
        except StoreFull:
            return number
    raise AssertionError("it never filled up")


def test_a_full_disk_keeps_what_was_recorded(database_file: Database) -> None:
    database = database_file
    journal = Journal(database)
    database.open()
    pages = len(database.rows("schema_version")) + 100
    writer_of(database).execute(f"PRAGMA max_page_count={pages}")
    good = _fill(journal)
    keys = [f"{number}-{part}" for number in range(good + 1) for part in range(20)]
    assert good > 0
    with pytest.raises(StoreFull, match=r"journal\.db cannot be written: .* is full"):
        journal.add_results([result_row("large", inline=b"x" * 10**6)])
    assert len(journal.lookup(keys)) == good * 20
    database.close()
    raw = sqlite3.connect(database.place)
    assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    raw.close()
    # With room again the same store goes on.
    journal.add_results([result_row("afterwards")])
    assert len(journal.lookup([*keys, "afterwards"])) == good * 20 + 1


def test_a_file_that_may_not_grow_counts_as_full(tmp_path: Path) -> None:
    code = """
        import resource, sys
        from daskflow.errors import StoreFull
        from daskflow.stores import Database, Journal
        with Database(sys.argv[1]) as database:
            journal = Journal(database)
            journal.add_file_digest("first", 1, 1, 1, "d")
            resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, resource.RLIM_INFINITY))
            try:
                for number in range(100_000):
                    journal.add_file_digest(f"{number}" + "x" * 1000, 1, 1, 1, "d")
            except StoreFull as error:
                print(number, flush=True)
    """
    process = python(code, tmp_path / "journal.db")
    output, _ = process.communicate(timeout=60)
    good = int(output)
    with Database(tmp_path / "journal.db") as database:
        looks = [(f"{number}" + "x" * 1000, 1, 1, 1) for number in range(good + 1)]
        assert len(Journal(database).file_digests(looks)) == good


def test_a_run_cannot_be_added_twice(database: Database) -> None:
    journal = Journal(database)
    journal.add_run(run_record())
    with pytest.raises(StoreError, match=r"UNIQUE|unique"):
        journal.add_run(run_record())
    assert len(journal.runs()) == 1


FOREVER = 600.0
"""Longer than a test may take [s]."""


def _fail_after(action: Callable[[], object]) -> None:
    action()
    raise ZeroDivisionError


def test_what_is_announced_between_two_calls_is_heard(database: Database) -> None:
    database.await_announcement("works", FOREVER)
    database.announce("works")
    database.await_announcement("works", FOREVER)
    with Database(database.url) as other:
        other.announce("works")
    database.await_announcement("works", FOREVER)


def test_an_announcement_is_heard_when_its_transaction_is_committed(database: Database) -> None:
    database.open()
    listens, heard = threading.Event(), threading.Event()

    def listen() -> None:
        database.await_announcement("works", FOREVER)
        listens.set()
        database.await_announcement("works", FOREVER)
        assert Journal(database).run(RUN).flow == "study"
        heard.set()

    thread = threading.Thread(target=listen)
    thread.start()
    assert listens.wait(30)
    with pytest.raises(ZeroDivisionError), database.transaction():
        _fail_after(lambda: database.announce("works"))
    with database.transaction():
        database.announce("works")
        Journal(database).add_run(run_record())
        assert not heard.wait(0.05)
    assert heard.wait(30)
    thread.join()


def test_without_an_announcement_the_time_ends_it(database: Database) -> None:
    database.await_announcement("works", FOREVER)
    database.announce("other")
    Journal(database).add_run(run_record())
    database.await_announcement("works", 0.05)
    database.await_announcement("works", 0.0)


def test_statements_that_return_rows(database: Database) -> None:
    assert database.change("heartbeat", id="nobody", time=1.0) == []
    with pytest.raises(ZeroDivisionError), database.transaction(ordered=False):
        _fail_after(lambda: Journal(database).add_run(run_record()))
    assert Journal(database).runs() == []


def test_what_is_opened_again_is_the_same(database: Database) -> None:
    Journal(database).add_run(run_record())
    database.close()
    database.close()
    assert len(Journal(database).runs()) == 1
