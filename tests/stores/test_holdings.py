from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from daskflow.model.states import RunState
from daskflow.stores import Database, Journal, holdings, sqlite, this_host
from daskflow.stores.holdings import Reference
from tests.stores.samples import RUN, change, job_row, python, result_row, run_record

NEXT = "20260315-101502-study-9c21"


def digest(number: int) -> str:
    return f"{number:032x}"


def test_needed_is_what_lies_in_the_store(journal: Journal) -> None:
    journal.add_results([result_row("a", inline=None), result_row("b"), result_row("c", inline=None, format="npy")])
    shared = change("sky", digest="d1", format="zarr-tree")
    assert journal.add_context([(0, shared), (0, change("seeing", 0.7))])
    assert list(journal.needed()) == [("digest-a", "pickle"), ("digest-c", "npy"), ("d1", "zarr-tree")]


def test_objects_are_needed_as_long_as_a_value_that_mentions_them_is_remembered(journal: Journal) -> None:
    journal.add_results([result_row("a"), result_row("b")])
    journal.add_holdings([("digest-a", "raw"), ("digest-a", "sky"), ("digest-b", "raw"), ("forgotten", "old")])
    journal.add_holdings([("digest-a", "raw")])
    assert journal.holdings(["digest-a", "digest-b", "other"]) == {"digest-a": ("raw", "sky"), "digest-b": ("raw",)}
    assert list(journal.needed()) == [("raw", ""), ("sky", "")]
    journal.forget(["a"])
    assert list(journal.needed()) == [("raw", "")]


def test_values_of_contexts_mention_objects_too(journal: Journal) -> None:
    assert journal.add_context([(0, change("inputs", digest="d1", format="pickle", inline=b"abc"))])
    journal.add_holdings([("d1", "raw")])
    assert list(journal.needed()) == [("raw", "")]
    assert journal.referring("raw") == [Reference(RUN, "", "inputs")]


def test_needed_comes_in_pages(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holdings, "PAGE", 2)
    rows = [result_row(f"{number}{format}", digest=f"d{number}", format=format, inline=None)
            for number in range(3) for format in ("npy", "pickle")]  # fmt: skip
    journal.add_results(rows)
    journal.add_holdings([("d1", f"object{number}") for number in range(5)])
    expected = [(f"d{number}", format) for number in range(3) for format in ("npy", "pickle")]
    assert list(journal.needed()) == expected + [(f"object{number}", "") for number in range(5)]


def test_who_refers_to_an_object(journal: Journal) -> None:
    journal.add_results(
        [
            result_row("a", digest="raw", inline=None, created=1.0),
            result_row("b", task="load", run=NEXT, created=2.0),
            result_row("c"),
        ]
    )
    journal.add_holdings([("digest-b", "raw")])
    assert journal.referring("raw") == [Reference(NEXT, "b", "load", 2.0), Reference(RUN, "a", "fit", 1.0)]
    assert journal.referring("raw", limit=1) == [Reference(NEXT, "b", "load", 2.0)]
    assert journal.referring("other") == []


def test_arguments_of_runs_that_have_not_ended_mention_digests(journal: Journal) -> None:
    payload = pickle.dumps({"cube": digest(1), "longer": digest(2) + digest(3), "text": "no digest"})
    journal.add_run(run_record(payload=payload, state=RunState.paused))
    journal.add_run(run_record(NEXT, payload=pickle.dumps(digest(4)), state=RunState.succeeded))
    journal.add_jobs([job_row(0, recipe=f"data=file('a.h5',{digest(5)})"), job_row(0, run=NEXT, recipe=digest(6))])
    assert journal.mentioned() == {digest(1), digest(5)}


def test_files_that_were_fetched_are_mentioned(journal: Journal) -> None:
    fetched, other = pickle.dumps({"digest": digest(1)}), pickle.dumps({"digest": digest(2)})
    journal.add_results([result_row("a", task="fetch", inline=fetched), result_row("b", inline=other)])
    assert journal.mentioned() == {digest(1)}


def test_a_journal_has_an_identity_that_stays(database: Database) -> None:
    first = Journal(database).identity()
    database.close()
    with Database(database.url, readonly=True) as again:
        assert Journal(again).identity() == first
    assert len(first) == 32


def test_two_journals_are_told_apart(journal: Journal, tmp_path: object) -> None:
    with Database(f"{tmp_path}/other.db") as other:
        assert Journal(other).identity() != journal.identity()


def test_processes_that_ask_at_once_give_a_journal_one_identity(database: Database) -> None:
    code = """
        import sys
        from daskflow.stores import Database, Journal
        sys.stdin.readline()
        with Database(sys.argv[1]) as database:
            print(Journal(database).identity())
    """
    database.open()
    others = [python(code, database.place) for _ in range(3)]
    found = {other.communicate("go\n", timeout=60)[0] for other in others}
    assert found == {Journal(database).identity() + "\n"}


def test_what_can_only_be_read_gets_no_identity(database: Database) -> None:
    database.open()
    with Database(database.url, readonly=True) as reader:
        assert Journal(reader).identity() == ""


def test_other_machines_are_told_where_a_journal_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(Database(tmp_path / "journal.db"))
    place = journal.database.place
    monkeypatch.setattr(sqlite, "on_network", lambda path: False)
    assert journal.whereabouts() == f"{this_host()}:{place}"
    monkeypatch.setattr(sqlite, "on_network", lambda path: True)
    assert journal.whereabouts() == place
    here, elsewhere = Journal(Database("postgresql://localhost/x")), Journal(Database("postgresql://ann:pw@db.org/x"))
    assert here.whereabouts() == f"{this_host()}:postgresql://localhost/x"
    assert elsewhere.whereabouts() == "postgresql://ann@db.org/x"
