"""Requests: done once, however often they are repeated."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from daskflow.errors import WorkInvalid, WorkLost
from daskflow.stores import requests
from daskflow.stores.database import Database
from daskflow.stores.requests import Requests


@pytest.fixture(params=["sqlite", "postgres"])
def chapter(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Requests]:
    url = request.getfixturevalue("postgres") if request.param == "postgres" else str(tmp_path / "journal.db")
    database = Database(url)
    yield Requests(database)
    database.close()


class Counter:
    """Something whose doings are counted."""

    def __init__(self) -> None:
        self.done = 0

    def __call__(self) -> int:
        self.done += 1
        return self.done


def test_a_repeated_request_is_answered_the_same(chapter: Requests) -> None:
    act = Counter()
    assert [chapter.once("a", act), chapter.once("a", act), chapter.once("b", act)] == [1, 1, 2]
    assert act.done == 2


def test_a_request_without_an_id_is_done_each_time(chapter: Requests) -> None:
    act = Counter()
    assert [chapter.once("", act), chapter.once("", act)] == [1, 2]


def test_an_id_stands_for_one_request(chapter: Requests) -> None:
    act = Counter()
    assert chapter.once("a", act, of="x") == 1
    with pytest.raises(WorkInvalid, match="Something else was asked"):
        chapter.once("a", act, of="y")
    with pytest.raises(WorkInvalid, match="Something else was asked"):
        chapter.lasting("a", "t", act, lambda answer: True, "y")
    assert chapter.once("a", act, of="x") == 1


def test_what_failed_was_never_made(chapter: Requests) -> None:
    def fail() -> None:
        raise WorkLost

    with pytest.raises(WorkLost):
        chapter.once("a", fail)
    assert chapter.once("a", Counter()) == 1


def test_another_process_knows_the_answer_too(chapter: Requests) -> None:
    assert chapter.once("a", lambda: {"ids": ["x", "y"]}) == {"ids": ["x", "y"]}
    other = Requests(Database(chapter.database.url))
    assert other.once("a", Counter()) == {"ids": ["x", "y"]}
    other.database.close()


def test_of_two_at_once_one_does_it(chapter: Requests) -> None:
    act, inside, go, answers = Counter(), threading.Event(), threading.Event(), []

    def slow() -> int:
        inside.set()
        assert go.wait(30)
        return act()

    threads = [
        threading.Thread(target=lambda: answers.append(chapter.once("a", slow))),
        threading.Thread(target=lambda: answers.append(chapter.once("a", act))),
    ]
    threads[0].start()
    assert inside.wait(30)
    threads[1].start()
    go.set()
    for thread in threads:
        thread.join(30)
    assert answers == [1, 1]
    assert act.done == 1


def test_what_no_longer_holds_is_done_anew(chapter: Requests) -> None:
    act = Counter()
    assert chapter.lasting("a", "t1", act, lambda answer: True) == 1
    assert chapter.lasting("a", "t2", act, lambda answer: answer == 1) == 1
    assert chapter.lasting("a", "t3", act, lambda answer: False) == 2


def test_none_is_no_answer(chapter: Requests) -> None:
    assert chapter.lasting("a", "t1", lambda: None, lambda answer: True) is None
    assert chapter.lasting("a", "t2", Counter(), lambda answer: pytest.fail("nothing was answered")) == 1


def test_what_was_done_is_taken_back(chapter: Requests) -> None:
    undone = Counter()
    chapter.lasting("a", "t1", Counter(), lambda answer: True)
    assert chapter.undo("a", "t1", undone)
    assert not chapter.undo("a", "t1", undone)
    assert undone.done == 1


def test_a_later_turn_keeps_it(chapter: Requests) -> None:
    chapter.lasting("a", "t1", Counter(), lambda answer: True)
    chapter.lasting("a", "t2", Counter(), lambda answer: True)
    assert not chapter.undo("a", "t1", lambda: pytest.fail("the second turn has it"))


def test_old_requests_are_forgotten(chapter: Requests) -> None:
    chapter.once("a", Counter())
    assert chapter.forget(3600) == 0
    assert chapter.forget(-1) == 1
    act = Counter()
    act.done = 5
    assert chapter.once("a", act) == 6


def test_old_requests_go_by_themselves(chapter: Requests, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "_TIDY", 3)
    ages = []
    monkeypatch.setattr(chapter, "forget", lambda: ages.append(requests.KEPT))
    for number in range(7):
        chapter.once(f"r{number}", Counter())
    assert len(ages) == 2
