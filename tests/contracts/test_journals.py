"""The contract of journals that several processes use at once: in a file of SQLite in both modes, and in PostgreSQL."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from daskflow.model.records import EventRecord
from daskflow.stores import Database, Journal, JournalWriter
from tests.stores.samples import RUN, attempt_row, change, job_row, python, question, result_row, run_record

ODD = ["'; DROP TABLE runs; --", "100% %(id)s %s", ":id ::text {ids}", 'a"b\\c', "é\N{TELESCOPE}\u2028", "\t\r\n", "?"]
HEAD = """
    import sys
    import daskflow.stores.sqlite
    from daskflow.errors import DaskflowError
    from daskflow.stores import Database, Journal, JournalWriter
    from tests.stores.samples import *
    if sys.argv[2] == "network":
        daskflow.stores.sqlite.on_network = lambda path: True
    database = Database(sys.argv[1])
    journal = Journal(database)
    database.open()
    print("ready", flush=True)
    sys.stdin.readline()
"""


class Place:
    """Where a journal lies, as processes are told."""

    def __init__(self, url: str, kind: str) -> None:
        self.url = url
        self.kind = kind

    def processes(self, code: str, number: int) -> list[subprocess.Popen[str]]:
        """So many that run the code after `HEAD`, all of which began when the first goes on."""
        started = [python(HEAD + code, self.url, self.kind, part) for part in range(number)]
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in started:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        return started


def ended(processes: list[subprocess.Popen[str]]) -> list[str]:
    """What they printed; all ended well."""
    printed = [process.communicate(timeout=100)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes)
    return printed


@pytest.fixture(params=["local", "network", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr("daskflow.stores.sqlite.on_network", lambda path: request.param == "network")
    if request.param == "postgresql":
        return Place(request.getfixturevalue("postgres"), request.param)
    return Place(str(tmp_path / "journal.db"), request.param)


@pytest.fixture
def journal(place: Place) -> Iterator[Journal]:
    with Database(place.url) as database:
        yield Journal(database)


def test_any_number_of_processes_make_the_tables_at_once(place: Place, journal: Journal) -> None:
    code = """
    journal.add_run(run_record("run" + sys.argv[3]))
    """
    ended(place.processes(code, 3))
    assert {run.id for run in journal.runs()} == {f"run{part}" for part in range(3)}


def test_one_of_several_processes_claims_a_run(place: Place, journal: Journal) -> None:
    journal.add_run(run_record())
    code = """
    try:
        journal.claim_run(RUN, time=1e10, host="node", pid=1 + int(sys.argv[3]))
        print("mine")
    except DaskflowError as error:
        print(type(error).__name__)
    """
    assert sorted(ended(place.processes(code, 3))) == ["RunBusy\n"] * 2 + ["mine\n"]


def test_of_processes_that_go_on_with_an_ended_run_one_does(place: Place, journal: Journal) -> None:
    """The second one may come when the first has claimed it, performed it and ended it."""
    journal.add_run(run_record(state="succeeded"))
    code = """
    seen = journal.run(RUN)
    print("seen", flush=True)
    sys.stdin.readline()
    try:
        journal.claim_run(RUN, time=1e10, host="node", pid=1 + int(sys.argv[3]), seen=seen)
        journal.update_run(RUN, state="succeeded", stopped=2e10)
        print("mine")
    except DaskflowError as error:
        print(type(error).__name__)
    """
    processes = place.processes(code, 2)
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "seen\n"
    printed = [process.communicate("go\n", timeout=100)[0] for process in processes]
    assert sorted(printed) == ["RunBusy\n", "mine\n"]


def test_changes_of_several_processes_are_all_kept(place: Place, journal: Journal) -> None:
    journal.add_run(run_record())
    code = """
    for number in range(15):
        journal.update_run(RUN, **{["flow", "error", "site"][int(sys.argv[3])]: str(number)})
        while True:
            latest = journal.context_latest(RUN, "count", epoch=EPOCH)
            value, version = (latest.value, latest.version) if latest else (0, 0)
            if journal.add_context([(version, change("count", value + 1))]):
                break
    """
    ended(place.processes(code, 3))
    found = journal.run(RUN)
    assert (found.flow, found.error, found.site) == ("14", "14", "14")
    latest = journal.context_latest(RUN, "count", epoch=5.0)
    assert latest is not None
    assert (latest.value, latest.version, latest.turn) == (45, 45, 45)


def test_a_follower_misses_no_event_of_several_processes(place: Place, journal: Journal) -> None:
    code = """
    for number in range(30):
        with database.transaction():
            journal.add_events([(RUN, f"a.{sys.argv[3]}.{number}", 1.0, "", "{}")])
            journal.add_events([(RUN, f"b.{sys.argv[3]}.{number}", 1.0, "", "{}")])
    """
    processes = place.processes(code, 3)
    seen: list[tuple[int, EventRecord]] = []
    while len(seen) < 180:
        seen += journal.events_since(RUN, seen[-1][0] if seen else 0)
    ended(processes)
    assert seen == journal.events_since(RUN)
    # What one transaction wrote stands together.
    kinds = [event.kind for _, event in seen]
    assert all(first[1:] == second[1:] for first, second in zip(kinds[::2], kinds[1::2], strict=True))


def test_a_killed_writer_leaves_whole_batches(place: Place, journal: Journal) -> None:
    code = """
    writer = JournalWriter(journal)
    for number in range(10_000):
        writer.put_together({"jobs": [job_row(number)], "results": [result_row(f"key{number:03}")],
                             "attempts": [(RUN, *attempt_row(number))]})
        if number % 10 == 0:
            writer.flush()
            print(number, flush=True)
    """
    for kill in range(3):
        (process,) = place.processes(code, 1)
        assert process.stdout is not None
        flushed = -1
        while flushed < 20 * (kill + 1):
            flushed = int(process.stdout.readline())
        process.kill()
        process.communicate()
        jobs = [job.number for job in journal.jobs(RUN)]
        assert jobs == list(range(len(jobs)))
        assert len(jobs) > flushed
        assert journal.lookup(f"key{number:03}" for number in range(10_000)).keys() == {
            f"key{number:03}" for number in jobs
        }
        assert [attempt.number for attempt in journal.attempts(RUN)] == jobs


def test_of_several_processes_that_answer_one_wins(place: Place, journal: Journal) -> None:
    journal.add_question(question("q"))
    code = """
    try:
        journal.answer_question("q", sys.argv[3], "ann")
        print(sys.argv[3])
    except DaskflowError as error:
        print(type(error).__name__)
    """
    printed = sorted(line.strip() for line in ended(place.processes(code, 3)))
    assert printed[1:] == ["AnswerRefused"] * 2
    assert journal.question("q").answer == printed[0]


@pytest.mark.parametrize("text", ODD)
def test_texts_are_data(journal: Journal, text: str) -> None:
    record = run_record(f"run {text}", flow=text, error=text, site=text, arguments={text: text}, payload=text.encode())
    journal.add_run(record)
    assert journal.run(f"run {text}") == record
    assert journal.runs(flow=text) == [record]
    journal.write(
        {
            "jobs": [job_row(0, text, task=text, recipe=text, reason=text)],
            "results": [result_row(text, task=text, form=text, inputs=text)],
            "events": [(RUN, text, 1.0, text, {text: text})],
            "holdings": [(text, text)],
            "fingerprints": [(text, text, "{}")],
            "file_digests": [(text, 1, 2, 3, text)],
        }
    )
    assert journal.job(RUN, 0).key == journal.jobs(RUN, task=text)[0].key == text
    assert journal.lookup([text]).keys() == journal.values([text]).keys() == {text}
    assert journal.priors([text])[text][0][0] == text
    assert journal.events(RUN)[0].data == {text: text}
    assert journal.holdings([text]) == {text: (text,)}
    assert journal.file_digest(text, 1, 2, 3) == text
    assert journal.add_context([(0, change(text, text))])
    assert [value.value for value in journal.context_history(RUN, text)] == [text]


@pytest.mark.parametrize("text", ["a\0b", "\udcff"])
def test_texts_that_no_database_holds_are_shown(journal: Journal, text: str) -> None:
    journal.write({"events": [(RUN, text, 1.0, "", "{}"), (RUN, "good", 1.0, "", {"text": text})]})
    shown, good = journal.events(RUN)
    assert good.data == {"text": text}
    assert shown.kind in (text, text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00"))
    journal.add_run(run_record(error=text))
    assert journal.run(RUN).error == shown.kind


def test_many_and_large(journal: Journal) -> None:
    rows = [result_row(f"key{number}", inline=b"x" * (number % 3)) for number in range(20_000)]
    journal.add_results(rows)
    assert len(journal.lookup(f"key{number}" for number in range(25_000))) == 20_000
    large = bytes(range(256)) * 20_000
    journal.add_results([result_row("large", inline=large, size=2**62)])
    found = journal.values(["large"])["large"]
    assert (found.inline, found.size) == (large, 2**62)
    journal.forget([f"key{number}" for number in range(20_000)])
    assert journal.lookup(["key0", "key19999"]) == {}


def test_numbers_come_back_as_they_were(journal: Journal) -> None:
    for number in (0.1, 1e-300, 1.7e308, 1234567890.123456, 5.0):
        journal.heartbeat(RUN, number)
        journal.add_run(run_record(f"{number}", created=number, heartbeat=number))
        assert journal.run(f"{number}").heartbeat == number
    journal.add_jobs([job_row(0)])
    journal.put_attempts([(RUN, *attempt_row(0)[:6], 2**60, *attempt_row(0)[7:])])
    assert journal.attempts(RUN)[0].memory == 2**60


def test_the_writer_in_the_background(place: Place, journal: Journal) -> None:
    with JournalWriter(journal) as writer:
        for number in range(200):
            writer.put("jobs", [job_row(number)])
            writer.put("states", [(RUN, number, "succeeded", "")])
        writer.flush()
        with Database(place.url, readonly=True) as other:
            assert Journal(other).counts(RUN) == {"fit": {"succeeded": 200}}


def test_what_people_are_shown_has_no_password(place: Place, journal: Journal) -> None:
    assert not re.search("password|secret", f"{journal.database!r} {journal.database.place} {journal.database.url}")
    assert repr(place.url) in repr(journal.database) or journal.database.kind == "sqlite"
