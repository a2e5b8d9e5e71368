from __future__ import annotations

import os
import signal
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from daskflow.errors import StoreError, StoreFull, StoreUnavailable
from daskflow.model.states import RunState
from daskflow.stores import Database, Journal, JournalWriter
from daskflow.stores import writer as writing
from daskflow.stores.writer import INTERVAL, merged
from tests.execution.patience import until
from tests.services.postgres import Postgres
from tests.stores.samples import RUN, Row, attempt_row, job_row, python, result_row, run_record, writer_of


def test_what_was_put_is_there_after_a_flush(journal: Journal) -> None:
    with JournalWriter(journal) as writer:
        writer.put("jobs", (job_row(number) for number in range(3)))
        writer.put_together(
            {
                "results": [result_row("key000")],
                "attempts": [(RUN, *attempt_row(0))],
                "states": [(RUN, 0, "succeeded", "")],
            }
        )
        writer.flush()
        assert [job.state.value for job in journal.jobs(RUN)] == ["succeeded", "queued", "queued"]
        assert len(journal.attempts(RUN)) == 1
        writer.flush()


def test_it_writes_by_itself(journal: Journal) -> None:
    written = threading.Event()
    with JournalWriter(journal) as writer:
        writer.put("jobs", [job_row(0)])
        writer.call(lambda _: written.set())
        assert written.wait(100 * INTERVAL)


def test_closing_writes_what_is_left(journal: Journal) -> None:
    writer = JournalWriter(journal)
    writer.put("jobs", [job_row(0)])
    writer.close()
    writer.close()
    assert len(journal.jobs(RUN)) == 1
    with pytest.raises(StoreUnavailable, match="closed"):
        writer.put("jobs", [job_row(1)])
    writer.flush()


def test_calls_keep_their_place(journal: Journal) -> None:
    seen: list[int] = []
    with JournalWriter(journal) as writer:
        writer.put("jobs", [job_row(0)])
        writer.call(lambda journal: seen.append(len(journal.jobs(RUN))))
        writer.put("jobs", [job_row(1)])
        writer.call(lambda journal: seen.append(len(journal.jobs(RUN))))
        writer.flush()
    assert seen == [1, 2]


def test_an_unknown_kind_is_refused_at_once(journal: Journal) -> None:
    with JournalWriter(journal) as writer, pytest.raises(ValueError, match="nonsense"):
        writer.put("nonsense", [])


def test_many_threads_put(journal: Journal) -> None:
    with JournalWriter(journal) as writer:

        def put(part: int) -> None:
            for number in range(100):
                writer.put("jobs", [job_row(part * 100 + number)])
            writer.flush()
            assert len([job for job in journal.jobs(RUN) if job.number // 100 == part]) == 100

        threads = [threading.Thread(target=put, args=(part,)) for part in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(journal.jobs(RUN)) == 400


def test_rows_of_a_kind_go_together() -> None:
    row: Row = (1,)
    assert merged([{"results": [row], "states": [row]}, {"states": [row], "events": [row]}]) == [
        {"results": [row], "states": [row, row], "events": [row]}
    ]


def test_new_jobs_do_not_overtake_states() -> None:
    first, second = {"jobs": [(1,)], "states": [(1,)]}, {"jobs": [(2,)]}
    assert merged([first, second]) == [first, second]
    assert merged([second, first]) == [{"jobs": [(2,), (1,)], "states": [(1,)]}]


def test_calls_part_what_is_merged() -> None:
    def call(journal: Journal) -> None: ...

    assert merged([{"jobs": []}, call, {"jobs": []}]) == [{"jobs": []}, call, {"jobs": []}]


def test_merging_leaves_what_it_was_given() -> None:
    given: list[dict[str, list[Row]]] = [{"jobs": [(1,)]}, {"jobs": [(2,)]}]
    merged(given)
    assert given == [{"jobs": [(1,)]}, {"jobs": [(2,)]}]


def test_after_a_failure_nothing_more_is_written(journal: Journal) -> None:
    told: list[Exception] = []
    writer = JournalWriter(journal, told.append)
    writer.put("jobs", [job_row(0)])
    writer.flush()
    writer.put("events", [(RUN, None, 1.0, "", "{}")])
    with pytest.raises(StoreError, match=r"NOT NULL|not-null"):
        writer.flush()
    writer.put("jobs", [job_row(1)])
    with pytest.raises(StoreError, match=r"NOT NULL|not-null"):
        writer.flush()
    writer.close()
    assert told == [writer.failure]
    assert [job.number for job in journal.jobs(RUN)] == [0]


def test_a_full_disk_stops_the_writer(database_file: Database) -> None:
    told = threading.Event()
    journal = Journal(database_file)
    journal.database.open()
    writer_of(journal.database).execute("PRAGMA max_page_count=100")
    writer = JournalWriter(journal, lambda error: told.set())
    flushed: list[int] = []

    def fill() -> None:
        for number in range(1000):
            rows = [result_row(f"{number}-{part}", inline=b"x" * 500) for part in range(20)]
            writer.put_together({"results": rows, "jobs": [job_row(number, f"{number}-0")]})
            writer.flush()
            flushed.append(number)

    with pytest.raises(StoreFull, match="cannot be written"):
        fill()
    assert told.wait(10)
    assert isinstance(writer.failure, StoreFull)
    writer.close()
    jobs = journal.jobs(RUN)
    assert [job.number for job in jobs] == flushed != []
    assert len(journal.lookup(job.key for job in jobs)) == len(jobs)
    _check(journal.database)


@pytest.mark.parametrize("silent", [True, False])
def test_who_was_silent_writes_nothing_of_a_run_that_another_driver_has_begun(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, silent: bool
) -> None:
    monkeypatch.setattr(writing, "QUIET", -1.0 if silent else 1000.0)
    mine = run_record(state=RunState.running, started=1.0, host="elsewhere", pid=7)
    for id in (RUN, "other"):
        journal.add_run(mine.model_copy(update={"id": id}))
    with JournalWriter(journal) as writer:
        for id in (RUN, "other"):
            writer.own(id, mine.driver)
        writer.put("jobs", [job_row(0)])
        writer.flush()
        taken = journal.update_run(RUN, started=2.0, host="mars", pid=8)
        for _ in range(2):
            writer.put_together(
                {
                    "jobs": [job_row(1)],
                    "states": [(RUN, 0, "failed", "")],
                    "attempts": [(RUN, *attempt_row(0))],
                    "results": [result_row("key000")],
                    "events": [(run, "told", 1.0, "", "{}") for run in (RUN, "other", "unheard")],
                }
            )
            writer.flush()
        numbers, states = [0] if silent else [0, 1], {"queued"} if silent else {"failed", "queued"}
        assert [job.number for job in journal.jobs(RUN)] == numbers
        assert {job.state.value for job in journal.jobs(RUN)} == states
        assert len(journal.attempts(RUN)) == (0 if silent else 1)
        assert [len(journal.events(run)) for run in (RUN, "other", "unheard")] == [0 if silent else 2, 2, 2]
        assert len(journal.lookup(["key000"])) == 1, "what was found is good for all"
        # This process has begun it again.
        writer.own(RUN, taken.driver)
        writer.put("events", [(RUN, "again", 1.0, "", "{}")])
        writer.flush()
        assert journal.events(RUN)[-1].kind == "again"
        writer.own(RUN, None)
        journal.update_run(RUN, pid=9)
        writer.put("events", [(RUN, "late", 1.0, "", "{}")])
        writer.flush()
        assert journal.events(RUN)[-1].kind == "late"


@pytest.fixture
def patient(postgres: str) -> Iterator[Journal]:
    """A journal in PostgreSQL that has answered."""
    with Database(postgres) as database:
        journal = Journal(database, 600.0)
        with JournalWriter(journal) as writer:
            writer.put("jobs", [job_row(0)])
            writer.flush()
        yield journal


@pytest.fixture
def server(postgres_server: Postgres, patient: Journal) -> Iterator[Postgres]:
    """The server, which a test may stop."""
    yield postgres_server
    if not postgres_server.lives():
        postgres_server.start()


def test_what_is_put_while_the_server_is_away_is_written_when_it_is_back(server: Postgres, patient: Journal) -> None:
    calls: list[int] = []
    with JournalWriter(patient) as writer:
        server.stop()
        for number in range(20):
            writer.put_together(
                {"jobs": [job_row(number)], "events": [(RUN, f"event.{number}", 1.0, "", "{}")], "forgotten": [("a",)]}
            )
            writer.call(lambda journal: calls.append(len(journal.events(RUN))))
        until(lambda: patient.patience.away)
        # Who does not want to wait is told; what was put is written all the same.
        with pytest.raises(StoreUnavailable, match=r"is away: .* records were not written"):
            writer.flush(patient=False)
        server.start()
        writer.flush()
        writer.flush(patient=False)
        assert writer.failure is None
    assert [event.kind for event in patient.events(RUN)] == [f"event.{number}" for number in range(20)]
    assert calls[-20:] == list(range(1, 21))
    assert len(patient.jobs(RUN)) == 20


def test_patience_with_the_server_comes_to_an_end(server: Postgres, patient: Journal) -> None:
    patient.patience.longest = 0.3
    told: list[Exception] = []
    writer = JournalWriter(patient, told.append)
    server.stop()
    writer.put("jobs", [job_row(1)])
    with pytest.raises(StoreUnavailable, match="It was waited for"):
        writer.flush()
    with pytest.raises(StoreUnavailable, match="It was waited for"):
        writer.flush(patient=False)
    writer.close()
    assert told == [writer.failure]


def test_who_closes_does_not_wait_for_long(server: Postgres, patient: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "LAST", 1.0)
    writer = JournalWriter(patient)
    server.stop()
    writer.put("jobs", [job_row(1)])
    until(lambda: patient.patience.away)
    writer.close()
    assert isinstance(writer.failure, StoreUnavailable)
    assert "does not answer" in str(writer.failure), "it was told to wait no longer, and ended by itself"
    assert not writer._thread.is_alive()


def test_who_is_in_a_hurry_does_not_wait_for_a_server_that_hangs(
    server: Postgres, patient: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "LAST", 0.3)
    writer = JournalWriter(patient)
    writer.put("jobs", [job_row(1)])
    assert not writer.hangs()
    with server.frozen():
        writer.put("jobs", [job_row(2)])
        with pytest.raises(StoreUnavailable, match="is slow: 1 records were not written"):
            writer.flush(patient=False)
        assert not patient.patience.away
        with pytest.raises(StoreUnavailable):
            writer.flush(patient=False)
        assert writer.hangs()
    writer.flush()
    assert not writer.hangs()
    with server.frozen():
        writer.put("jobs", [job_row(3)])
        writer.close()
        writer.close()
        assert writer._thread.is_alive()
        assert isinstance(writer.failure, StoreUnavailable)
        assert "1 records were not written" in str(writer.failure)
    writer._thread.join()
    assert [job.number for job in patient.jobs(RUN)][:3] == [0, 1, 2]


def _check(database: Database) -> None:
    database.close()
    raw = sqlite3.connect(database.place)
    assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    raw.close()


BUSY = """
    import sys
    from daskflow.stores import Database, Journal, JournalWriter
    from tests.stores.samples import RUN, attempt_row, job_row, result_row
    import daskflow.stores.sqlite
    daskflow.stores.sqlite.on_network = lambda path: sys.argv[2] == "network"
    writer = JournalWriter(Journal(Database(sys.argv[1])))
    for batch in range(1_000_000):
        for number in range(batch * 10, batch * 10 + 10):
            writer.put_together({
                "jobs": [job_row(number)],
                "results": [result_row(f"key{number:03}")],
                "attempts": [(RUN, *attempt_row(number))],
                "states": [(RUN, number, "succeeded", "")],
            })
        writer.flush()
        print(batch, flush=True)
"""


@pytest.mark.parametrize("mode", ["local", "network"])
@pytest.mark.parametrize("batches", [1, 7, 40])
def test_what_was_flushed_survives_a_kill(tmp_path: Path, mode: str, batches: int) -> None:
    process = python(BUSY, tmp_path / "journal.db", mode)
    assert process.stdout is not None
    acknowledged = [int(process.stdout.readline()) for _ in range(batches)]
    os.kill(process.pid, signal.SIGKILL)
    rest, _ = process.communicate(timeout=60)
    acknowledged += [int(line) for line in rest.splitlines(keepends=True) if line.endswith("\n")]
    with Database(tmp_path / "journal.db", readonly=True) as reading:
        jobs = Journal(reading).jobs(RUN)
        assert len(jobs) >= 10 * len(acknowledged)
        # What came together is there together.
        assert {job.state.value for job in jobs} == {"succeeded"}
        assert len(Journal(reading).lookup(job.key for job in jobs)) == len(jobs)
        assert len(Journal(reading).attempts(RUN)) == len(jobs)
    with Database(tmp_path / "journal.db") as database:
        Journal(database).add_jobs([job_row(10**6)])
        _check(database)


@pytest.mark.parametrize("end", ["", "raise SystemExit(0)"])
def test_the_end_of_the_interpreter_writes_what_is_left(tmp_path: Path, end: str) -> None:
    code = f"""
        import sys
        from daskflow.stores import Database, Journal, JournalWriter
        from tests.stores.samples import job_row
        writer = JournalWriter(Journal(Database(sys.argv[1])))
        writer.put("jobs", [job_row(number) for number in range(1000)])
        {end}
    """
    process = python(code, tmp_path / "journal.db")
    process.communicate(timeout=60)
    assert process.returncode == 0
    with Database(tmp_path / "journal.db") as database:
        assert len(Journal(database).jobs(RUN)) == 1000
