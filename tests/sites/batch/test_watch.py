from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest

from daskflow.errors import BatchSilent
from daskflow.sites.batch import watch as watches
from daskflow.sites.batch.slurm import Slurm
from daskflow.sites.batch.system import Phase, Standing
from daskflow.sites.batch.watch import Watch, forget, watch_of
from tests.execution.patience import until


class Board:
    """A batch system whose jobs stand as a test says."""

    name = "board"

    def __init__(self, **phases: str) -> None:
        self.phases = phases
        self.asked: list[list[str]] = []
        self.error: Exception | None = None
        self.now = threading.Event()

    def standings(self, ids: Iterable[str]) -> Mapping[str, Standing]:
        self.asked.append(sorted(ids))
        self.now.set()
        if self.error is not None:
            raise self.error
        return {id: Standing(id, Phase(self.phases[id]), "") for id in self.asked[-1] if id in self.phases}


class Ear:
    """Hears what a watch tells."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []
        self.errors: list[Exception] = []
        self.fails = False

    def standing(self, standing: Standing) -> None:
        self.heard.append((standing.id, standing.phase.value))
        if self.fails:
            raise RuntimeError("deaf")

    def vanished(self, id: str) -> None:
        self.heard.append((id, "vanished"))

    def silent(self, error: Exception) -> None:
        self.errors.append(error)


def quiet(board: Board) -> Watch:
    """A watch whose thread never asks in the time of a test."""
    return Watch(board, every=1e6)  # type: ignore[arg-type]


@pytest.fixture
def opened() -> Iterator[list[Watch]]:
    found: list[Watch] = []
    yield found
    for watch in found:
        watch.close()


def test_one_query_serves_all(opened: list[Watch]) -> None:
    board, one, two = Board(a="running", b="pending"), Ear(), Ear()
    opened.append(watch := quiet(board))
    watch.follow(["a"], one)
    watch.follow(["b"], two)
    watch.poll()
    assert board.asked == [["a", "b"]]
    assert (one.heard, two.heard) == ([("a", "running")], [("b", "pending")])


def test_nothing_is_asked_while_nothing_is_followed(opened: list[Watch]) -> None:
    board, ear = Board(a="running"), Ear()
    opened.append(watch := quiet(board))
    watch.follow([], ear)
    watch.poll()
    watch.follow(["a"], ear)
    watch.unfollow(["a", "unheard-of"])
    watch.poll()
    assert (board.asked, watch.followed()) == ([], [])


def test_what_ended_is_told_once_more_and_not_followed_any_longer(opened: list[Watch]) -> None:
    board, ear = Board(a="ended"), Ear()
    opened.append(watch := quiet(board))
    watch.follow(["a"], ear)
    watch.poll()
    watch.poll()
    assert (ear.heard, board.asked) == ([("a", "ended")], [["a"]])


def test_what_was_seen_and_is_missing_has_vanished(opened: list[Watch]) -> None:
    board, ear = Board(a="running"), Ear()
    opened.append(watch := quiet(board))
    watch.follow(["a", "new"], ear)
    watch.poll()
    del board.phases["a"]
    board.phases["new"] = "pending"
    watch.poll()
    assert ear.heard == [("a", "running"), ("a", "vanished"), ("new", "pending")]


def test_what_was_never_seen_has_vanished_when_it_is_missing_twice(opened: list[Watch]) -> None:
    board, ear = Board(), Ear()
    opened.append(watch := quiet(board))
    watch.follow(["a"], ear)
    watch.poll()
    assert ear.heard == []
    watch.poll()
    watch.poll()
    assert ear.heard == [("a", "vanished")]


def test_silence_is_told_once_to_each_until_it_ends(opened: list[Watch]) -> None:
    board, one, two = Board(a="running", b="running"), Ear(), Ear()
    opened.append(watch := quiet(board))
    watch.follow(["a"], one)
    board.error = BatchSilent()
    watch.poll()
    watch.follow(["b"], two)
    watch.poll()
    assert (len(one.errors), len(two.errors)) == (1, 1)
    board.error = None
    watch.poll()
    assert one.heard == [("a", "running")]
    board.error = ValueError("no table")
    watch.poll()
    assert isinstance(one.errors[1], BatchSilent)
    assert "no table" in str(one.errors[1])


def test_silence_is_not_absence(opened: list[Watch]) -> None:
    board, ear = Board(a="running"), Ear()
    opened.append(watch := quiet(board))
    watch.follow(["a"], ear)
    watch.poll()
    board.error = BatchSilent()
    watch.poll()
    board.error = None
    watch.poll()
    assert ear.heard == [("a", "running")] * 2


def test_a_follower_that_fails_is_not_the_end_for_others(opened: list[Watch]) -> None:
    board, bad, good = Board(a="running", b="running"), Ear(), Ear()
    bad.fails = True
    opened.append(watch := quiet(board))
    watch.follow(["a"], bad)
    watch.follow(["b"], good)
    watch.poll()
    watch.poll()
    assert (len(bad.heard), len(good.heard)) == (2, 2)


def test_its_thread_asks_again_and_again(opened: list[Watch]) -> None:
    board, ear = Board(a="running"), Ear()
    opened.append(watch := Watch(board, every=0.01))  # type: ignore[arg-type]
    watch.follow(["a"], ear)
    until(lambda: len(ear.heard) > 3)
    watch.close()
    count = len(board.asked)
    watch.follow(["a"], ear)
    assert not board.now.wait(0) or len(board.asked) == count


def test_a_stream_of_followers_does_not_put_off_the_query(opened: list[Watch]) -> None:
    board, ear = Board(), Ear()
    opened.append(watch := Watch(board, every=0.2))  # type: ignore[arg-type]
    count = 0
    while not board.asked:
        watch.follow([str(count := count + 1)], ear)
    assert count > 1


def test_it_asks_soon_but_never_too_often(opened: list[Watch], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watches, "_SETTLE", 1e6)
    board, ear = Board(a="running"), Ear()
    opened.append(watch := quiet(board))
    watch.follow(["a"], ear)
    assert not board.asked
    watch.ask_soon()
    assert board.now.wait(60)
    until(lambda: ear.heard)
    for _ in range(5):
        watch.ask_soon()
    assert watch._left() > 1e5
    assert len(board.asked) == 1


def test_equal_systems_share_a_watch_that_keeps_to_the_slowest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_CONF", "/one")
    one, same = Slurm(), Slurm()
    monkeypatch.setenv("SLURM_CONF", "/two")
    other = Slurm()
    try:
        watch = watch_of(one, 30.0)
        assert watch_of(same, 5.0) is watch
        assert watch.every == 30.0
        assert watch_of(other, 5.0) is not watch
        assert watch_of(same, 60.0).every == 60.0
    finally:
        for system in (one, other):
            forget(system)
    assert watch_of(one, 1.0).every == 1.0
    forget(one)


def test_forgotten_watches_are_closed() -> None:
    board: Any = Board(a="running")
    watch = watch_of(board, 1e6)
    watch.follow(["a"], Ear())
    forget(board)
    assert watch.followed() == []
    watch.follow(["a"], Ear())
    assert not watch._thread or not watch._thread.is_alive()
