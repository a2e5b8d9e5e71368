from __future__ import annotations

import logging
import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from daskflow.errors import NotFound, StoreUnavailable
from daskflow.stores import Database, Journal
from daskflow.stores import patience as waiting
from daskflow.stores.patience import Patience
from tests.execution.patience import until
from tests.services.postgres import Postgres
from tests.stores.relays import Fate, Relay
from tests.stores.samples import RUN, change, job_row, question, run_record

FOREVER = 600.0
"""Longer than a test may take [s]."""


@pytest.fixture
def journal(postgres: str) -> Iterator[Journal]:
    """A journal that has answered, and that this thread waits for."""
    with Database(postgres) as database:
        journal = Journal(database, FOREVER)
        with journal.patience.until(threading.Event()):
            journal.add_run(run_record())
            yield journal


@pytest.fixture
def relay(postgres_server: Postgres) -> Iterator[Relay]:
    with Relay(postgres_server.port) as relay:
        yield relay


@pytest.fixture
def relayed(postgres: str, postgres_server: Postgres, relay: Relay) -> Iterator[Journal]:
    """A journal whose server is reached by the relay."""
    url = postgres.replace(f":{postgres_server.port}/", f":{relay.port}/")
    with Database(url) as database:
        journal = Journal(database, FOREVER)
        with journal.patience.until(threading.Event()):
            journal.add_run(run_record())
            yield journal


@pytest.fixture
def away(postgres_server: Postgres, journal: Journal) -> Iterator[Journal]:
    """The same journal; its server is away until the end of the test, or until the test starts it."""
    postgres_server.stop()
    yield journal
    if not postgres_server.lives():
        postgres_server.start()


def test_what_is_asked_while_the_store_is_away_is_answered_when_it_is_back(
    postgres_server: Postgres, away: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    found: list[str] = []

    def ask() -> None:
        with away.patience.until(threading.Event()):
            found.append(away.run(RUN).flow)
            away.add_events([(RUN, "a", 1.0, "", "{}")])

    threads = [threading.Thread(target=ask) for _ in range(3)]
    with caplog.at_level(logging.INFO, "daskflow"):
        for thread in threads:
            thread.start()
        until(lambda: away.patience.away)
        postgres_server.start()
        for thread in threads:
            thread.join()
    assert found == ["study"] * 3
    assert len(away.events(RUN)) == 3
    told = [record.message for record in caplog.records if record.name == "daskflow"]
    assert ["waited for, for 600 s" in text for text in told] == [True, False]
    assert "answers again after" in told[1]
    assert not away.patience.away


def test_only_who_was_told_to_waits(away: Journal) -> None:
    with ThreadPoolExecutor(1) as another, pytest.raises(StoreUnavailable, match="does not answer"):
        another.submit(away.run, RUN).result()
    assert not away.patience.away


def test_after_a_block_it_is_as_before(postgres_server: Postgres, away: Journal) -> None:
    cut = threading.Event()
    cut.set()
    with away.patience.until(cut), pytest.raises(StoreUnavailable, match="does not answer"):
        away.run(RUN)
    assert not away.patience.away

    def start() -> None:
        until(lambda: away.patience.away)
        postgres_server.start()

    with ThreadPoolExecutor(1) as another:
        started = another.submit(start)
        assert away.run(RUN).flow == "study"
        started.result()


def test_who_is_cut_short_waits_no_longer(away: Journal) -> None:
    cut = threading.Event()
    told: list[Exception] = []

    def ask() -> None:
        with away.patience.until(cut), pytest.raises(StoreUnavailable, match="does not answer") as caught:
            away.run(RUN)
        told.append(caught.value)

    thread = threading.Thread(target=ask)
    thread.start()
    until(lambda: away.patience.away)
    cut.set()
    thread.join()
    assert len(told) == 1


def test_patience_comes_to_an_end(away: Journal) -> None:
    away.patience.longest = 0.2
    with pytest.raises(StoreUnavailable, match=r"does not answer.*It was waited for, for \d+ s"):
        away.run(RUN)
    # Nor is it waited for again as long as it has not answered.
    away.patience.longest = 1e-9
    with pytest.raises(StoreUnavailable, match="It was waited for"):
        away.add_run(run_record("other"))


def test_a_store_that_never_answered_is_not_waited_for() -> None:
    with Database("postgresql://ann@127.0.0.1:1/group") as database:
        journal = Journal(database, FOREVER)
        with journal.patience.until(threading.Event()), pytest.raises(StoreUnavailable, match="does not answer"):
            journal.run(RUN)


def test_within_a_transaction_nothing_is_tried_again(postgres_server: Postgres, journal: Journal) -> None:
    def change_twice() -> None:
        with journal.database.transaction():
            journal.heartbeat(RUN, 5.0)
            postgres_server.stop()
            postgres_server.start()
            journal.heartbeat(RUN, 6.0)

    with pytest.raises(StoreUnavailable):
        change_twice()
    assert journal.run(RUN).heartbeat is None


@pytest.mark.parametrize("fate", ["question", "answer"])
def test_what_is_lost_while_it_commits_is_written_once(relay: Relay, relayed: Journal, fate: Fate) -> None:
    for number in range(3):
        relay.losing = fate
        relayed.add_events((RUN, f"event.{number}.{part}", 1.0, "", "{}") for part in range(2))
        assert relay.losing == ""
    assert relay.lost == 3
    assert [event.kind for event in relayed.events(RUN)] == [
        f"event.{number}.{part}" for number in range(3) for part in range(2)
    ]


@pytest.mark.parametrize("fate", ["question", "answer"])
def test_every_kind_of_change_is_made_once(relay: Relay, relayed: Journal, fate: Fate) -> None:
    def lose() -> None:
        relay.losing = fate

    lose()
    relayed.add_run(run_record("other"))
    lose()
    claimed = relayed.claim_run("other", time=1e10, host="node", pid=7, seen=run_record("other"))
    assert (claimed.host, claimed.pid) == ("node", 7)
    lose()
    assert relayed.update_run("other", site="cedar").site == "cedar"
    relayed.add_question(question("q"))
    lose()
    assert relayed.answer_question("q", "1", "ann").answer == "1"
    lose()
    assert relayed.add_context([(0, change("count", 1))])
    lose()
    relayed.write({"jobs": iter([job_row(0)]), "events": iter([(RUN, "a", 1.0, "", "{}")])})
    with pytest.raises(NotFound):
        relayed.update_run("nobody", site="cedar")
    assert relay.lost == 6
    assert [job.number for job in relayed.jobs(RUN)] == [0]
    assert len(relayed.events(RUN)) == 1
    assert len(relayed.context_history(RUN, "count")) == 1


def test_without_patience_a_lost_commit_is_told(relay: Relay, relayed: Journal) -> None:
    relay.losing = "answer"
    with ThreadPoolExecutor(1) as another, pytest.raises(StoreUnavailable):
        another.submit(relayed.add_events, [(RUN, "a", 1.0, "", "{}")]).result()
    assert len(relayed.events(RUN)) == 1


def test_marks_are_used_again_and_old_ones_go(journal: Journal) -> None:
    database = journal.database
    database.write("put_unit", name="unit of one that was killed", value="000000000009 a")
    database.write("put_unit", name="unit of one that lives", value="099999999999 a")
    database.write("add_meta", name="identity", value="000000000001")

    again = Journal(Database(database.url), FOREVER)
    with again.database, again.patience.until(threading.Event()):
        for number in range(5):
            again.heartbeat(RUN, float(number))
            with pytest.raises(NotFound):
                again.update_run("nobody", site="cedar")
    rows = database._access.rows("SELECT name FROM meta", {})
    found = sorted(name for (name,) in rows)
    assert found[0] == "identity"
    assert "unit of one that lives" in found
    assert "unit of one that was killed" not in found
    # One for each that writes.
    assert len(found) == 4


def test_a_file_is_never_away(tmp_path: Path) -> None:
    with Database(tmp_path / "journal.db") as database:
        journal = Journal(database, FOREVER)
        with journal.patience.until(threading.Event()):
            journal.add_run(run_record())
        assert journal.patience.longest == 0
        assert database._access.rows("SELECT name FROM meta", {}) == []
        (tmp_path / "directory").mkdir()
        with Database(tmp_path / "directory") as nothing, pytest.raises(StoreUnavailable):
            Journal(nothing, FOREVER).add_run(run_record())


def test_it_pickles_with_its_store(journal: Journal) -> None:
    other: Patience = pickle.loads(pickle.dumps(journal.patience))
    assert other.longest == FOREVER
    assert pickle.loads(pickle.dumps(journal)).patience.longest == FOREVER


def test_pauses_grow_to_some_seconds(away: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    class Cut(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            pauses.append(timeout or 0.0)
            if len(pauses) == 8:
                self.set()
            return self.is_set()

    with away.patience.until(Cut()), pytest.raises(StoreUnavailable):
        away.run(RUN)
    assert pauses[0] == waiting._SHORTEST
    assert pauses == sorted(pauses)
    assert pauses[-1] == waiting._LONGEST
