from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daskflow.model.outcome import Known, Stored
from daskflow.stores import Database, Journal
from daskflow.stores.results import PRIORS
from tests.stores.samples import RUN, Row, result_row


def test_lookup_gives_what_the_plan_needs_with_the_smallest_bytes_only(journal: Journal) -> None:
    large = bytes(257)
    journal.add_results([result_row("a"), result_row("b", inline=None, size=10**12), result_row("c", inline=large)])
    assert journal.lookup(["a", "b", "c", "d", "a"]) == {
        "a": Known(Stored("digest-a", 3, "pickle", b"abc"), RUN, 2.0, apart=False),
        "b": Known(Stored("digest-b", 10**12, "pickle"), RUN, 2.0, apart=True),
        "c": Known(Stored("digest-c", 3, "pickle"), RUN, 2.0, apart=False),
    }


def test_values_brings_the_bytes_of_small_ones(journal: Journal) -> None:
    journal.add_results([result_row("a"), result_row("b", inline=None), result_row("c", inline=b"")])
    assert {key: stored.inline for key, stored in journal.values(["a", "b", "c", "d"]).items()} == {
        "a": b"abc",
        "b": None,
        "c": b"",
    }


def test_nothing_asked_nothing_found(journal: Journal) -> None:
    assert journal.lookup([]) == {}
    assert journal.values(iter(())) == {}
    assert journal.priors([]) == {}
    assert journal.durations([]) == {}


def test_the_first_result_of_a_key_stays(journal: Journal) -> None:
    journal.add_results([result_row("a"), result_row("a", digest="other")])
    journal.add_results([result_row("a", digest="other")])
    assert journal.lookup(["a"])["a"].stored.digest == "digest-a"


def test_a_forgotten_result_may_be_made_anew(journal: Journal) -> None:
    journal.add_results([result_row("a"), result_row("b")])
    journal.forget(["a", "nonsense"])
    assert journal.lookup(["a", "b"]).keys() == {"b"}
    assert journal.priors(["form"]) == {"form": [("inputs-b", Stored("digest-b", 3, "pickle", b"abc"))]}
    journal.add_results([result_row("a", digest="other")])
    assert journal.lookup(["a"])["a"].stored.digest == "other"


def test_who_made_a_result_and_when(journal: Journal) -> None:
    journal.add_results([result_row("a", created=7.5)])
    assert journal.known_since("a") == (RUN, 7.5)
    assert journal.known_since("b") is None


def test_priors_are_the_newest_of_each_form(journal: Journal) -> None:
    journal.add_results(
        [result_row(f"a{number:02}", form="many", created=float(number)) for number in range(PRIORS + 5)]
        + [
            result_row("b", form="one"),
            result_row("c", form="one", inputs=None),
            result_row("d", form=None, inputs=None),
            result_row("e", form="other"),
        ]
    )
    priors = journal.priors(["one", "many", "unknown", "one"])
    assert priors.keys() == {"one", "many"}
    assert [inputs for inputs, _ in priors["one"]] == ["inputs-b"]
    assert [inputs for inputs, _ in priors["many"]] == [
        f"inputs-a{number:02}" for number in reversed(range(5, PRIORS + 5))
    ]
    assert priors["one"][0][1] == Stored("digest-b", 3, "pickle", b"abc")


def test_durations_are_running_means(journal: Journal) -> None:
    journal.add_results([result_row("a", seconds=1.0), result_row("b", seconds=3.0)])
    journal.add_results([result_row("c", seconds=5.0), result_row("d", seconds=0.5, task="load")])
    assert journal.durations(["fit", "load", "unknown"]) == {"fit": 3.0, "load": 0.5}


def test_durations_follow_what_is_recent(journal: Journal) -> None:
    journal.add_results([result_row(f"a{number}", seconds=1.0) for number in range(5000)])
    journal.add_results([result_row(f"b{number}", seconds=3.0) for number in range(1000)])
    assert journal.durations(["fit"]) == {"fit": pytest.approx(2.0)}


def test_many_keys_are_one_query(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    journal.add_results([result_row(f"key{number}") for number in range(5000)])
    asked: list[str] = []
    rows = Database.rows

    def count(self: Database, name: str, **parameters: object) -> list[Row]:
        asked.append(name)
        return rows(self, name, **parameters)

    monkeypatch.setattr(Database, "rows", count)
    assert len(journal.lookup(f"key{number}" for number in range(100_000))) == 5000
    assert asked == ["lookup"]


KEYS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=5)
FORMS = st.sampled_from(["f", "g", None])


@settings(max_examples=30, deadline=None)
@given(
    batches=st.lists(st.lists(st.tuples(KEYS, FORMS, st.binary(max_size=3)), max_size=30), max_size=3),
    asked=st.lists(KEYS, max_size=10),
)
def test_the_memory_is_a_dictionary(
    tmp_path_factory: pytest.TempPathFactory,
    batches: list[list[tuple[str, str | None, bytes]]],
    asked: list[str],
) -> None:
    path: Path = tmp_path_factory.mktemp("memory") / "journal.db"
    expected: dict[str, Row] = {}
    clock = itertools.count()
    with Database(path) as database:
        journal = Journal(database)
        for batch in batches:
            rows = [
                result_row(key, form=form, inputs=form and key, inline=inline, created=float(next(clock)))
                for key, form, inline in batch
            ]
            journal.add_results(rows)
            for row in rows:
                expected.setdefault(row[0], row)
        asked += list(expected)[::2]
        assert {key: known.stored.digest for key, known in journal.lookup(asked).items()} == {
            key: expected[key][5] for key in asked if key in expected
        }
        assert {key: stored.inline for key, stored in journal.values(asked).items()} == {
            key: expected[key][8] for key in asked if key in expected
        }
        newest = sorted(expected.values(), key=lambda row: -row[10])
        for form in ("f", "g"):
            found = [inputs for inputs, _ in journal.priors(["f", "g"]).get(form, [])]
            assert found == [row[4] for row in newest if row[3] == form][:PRIORS]
