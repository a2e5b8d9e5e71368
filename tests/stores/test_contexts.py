from __future__ import annotations

import threading
from typing import Any

import pytest

from daskflow.model.records import ContextRecord
from daskflow.stores import Journal
from tests.stores.samples import EPOCH, RUN, change


def add(journal: Journal, *changes: tuple[str, str, object], before: int = 0, epoch: float = EPOCH) -> bool:
    return journal.add_context([(before, change(name, value, stage, epoch=epoch)) for name, stage, value in changes])


def told(records: list[ContextRecord]) -> list[tuple[str, str, int, Any]]:
    return [(record.name, record.stage, record.version, record.value) for record in records]


def test_a_change_comes_back_as_it_was(journal: Journal) -> None:
    plain = change("scores", {"spw": [1, None, "ü"]}, "import", time=7.0)
    stored = change("image", None, format="npy", size=3, inline=b"\x93NU")
    assert journal.add_context([(0, plain), (0, stored)])
    assert journal.context_now(RUN, EPOCH) == [
        plain.model_copy(update={"version": 1, "turn": 1}),
        stored.model_copy(update={"version": 1, "turn": 2}),
    ]


def test_the_history_keeps_the_order_of_the_changes(journal: Journal) -> None:
    add(journal, ("a", "import", 1), ("a", "clean", 2), ("b", "clean", 9))
    add(journal, ("a", "import", 3), before=1)
    one, two, three = ("a", "import", 1, 1), ("a", "clean", 1, 2), ("a", "import", 2, 3)
    assert told(journal.context_history(RUN, "a")) == [one, two, three]
    assert told(journal.context_history(RUN, "a", stage="import")) == [one, three]
    assert told(journal.context_now(RUN, EPOCH)) == [two, ("b", "clean", 1, 9), three]
    assert journal.context_places(RUN, EPOCH) == [("a", "import"), ("a", "clean"), ("b", "clean")]


def test_the_latest(journal: Journal) -> None:
    add(journal, ("a", "import", 1), ("a", "", 2))
    for stage, value in ((None, 2), ("import", 1), ("", 2)):
        found = journal.context_latest(RUN, "a", stage=stage, epoch=EPOCH)
        assert found is not None
        assert found.value == value
    assert journal.context_latest(RUN, "a", stage="clean", epoch=EPOCH) is None
    assert journal.context_latest("other", "a", epoch=EPOCH) is None


@pytest.mark.parametrize("before", [0, 2])
def test_a_change_of_what_is_no_longer_so_is_not_taken_nor_those_with_it(journal: Journal, before: int) -> None:
    add(journal, ("a", "", 1))
    assert not journal.add_context([(0, change("b", 1)), (before, change("a", 2))])
    assert told(journal.context_now(RUN, EPOCH)) == [("a", "", 1, 1)]


def test_who_makes_the_next_version_until_it_is_taken_loses_none(journal: Journal) -> None:
    def count(times: int) -> None:
        while times:
            latest = journal.context_latest(RUN, "n", epoch=EPOCH)
            version, value = (latest.version, latest.value) if latest else (0, 0)
            times -= add(journal, ("n", "", value + 1), before=version)

    threads = [threading.Thread(target=count, args=(10,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told(journal.context_history(RUN, "n")) == [("n", "", number, number) for number in range(1, 31)]


def test_a_resumed_run_sees_only_what_it_changed_itself_and_records_nothing_twice(journal: Journal) -> None:
    add(journal, ("a", "", 1))
    add(journal, ("a", "", 2), before=1)
    later = EPOCH + 1
    assert journal.context_latest(RUN, "a", epoch=later) is None
    assert journal.context_now(RUN, later) == []
    add(journal, ("a", "", 1), epoch=later)
    assert told(journal.context_now(RUN, later)) == [("a", "", 1, 1)]
    add(journal, ("a", "", 2), before=1, epoch=later)
    assert told(journal.context_history(RUN, "a")) == [("a", "", 1, 1), ("a", "", 2, 2)]


def test_a_resumed_run_that_goes_another_way_has_the_history_of_its_own(journal: Journal) -> None:
    add(journal, ("a", "", 1))
    add(journal, ("a", "", 2), before=1)
    later = EPOCH + 1
    add(journal, ("a", "", 2), epoch=later)
    # The first version comes before what this execution has seen.
    add(journal, ("a", "", 1), before=2, epoch=later)
    assert told(journal.context_history(RUN, "a", epoch=later)) == [("a", "", 2, 2), ("a", "", 3, 1)]
    assert told(journal.context_history(RUN, "a")) == [("a", "", 1, 1), ("a", "", 2, 2), ("a", "", 3, 1)]
