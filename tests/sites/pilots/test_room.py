from __future__ import annotations

import time

from daskflow.model.needs import Needs
from daskflow.sites.pilots.room import Room
from daskflow.sites.pools import Pool

POOL = Pool("main", 4, 4000, 3600.0, gpus=1)


def room(seconds: float = 1000.0) -> Room:
    return Room(POOL, "17_3", node="n1", address="tcp://somewhere", ends=time.time() + seconds)


def test_what_is_taken_is_not_there_for_others_until_it_leaves() -> None:
    made = room()
    assert made.holds(Needs(4))
    made.take("a", Needs(2), None)
    assert [made.holds(Needs(2)), made.holds(Needs(3)), made.holds(Needs(1, memory=2001))] == [True, False, False]
    made.take("b", Needs(1, memory=100, gpus=1), 5.0)
    assert [made.holds(Needs(1)), made.holds(Needs(1, gpus=1))] == [True, False]
    stay = made.leave("a")
    assert stay is not None
    assert stay.needs == Needs(2)
    assert made.leave("a") is None
    post = made.post()
    assert (post.busy, post.cores, post.memory, post.gpus, post.idle_since) == (1, 3, 3900, 0, None)
    made.leave("b")
    assert made.post().idle_since is not None
    assert made.holds(Needs(4, memory=4000, gpus=1))


def test_a_closed_one_holds_nothing() -> None:
    made = room()
    made.closed = True
    assert not made.holds(Needs())


def test_time_runs_out() -> None:
    made = room(100.0)
    assert 85.0 < made.left(10.0) <= 90.0
    made.take("a", Needs(), 50.0)
    assert made.in_time(20.0)
    assert not made.in_time(70.0)
    assert not made.in_time(None)
    free_at = made.post().free_at
    assert free_at is not None
    assert free_at > made.stays["a"].since + 40


def test_nobody_knows_when_what_has_no_end_or_is_overdue_is_done() -> None:
    made = room()
    made.take("known", Needs(), 50.0)
    assert made.post().free_at is not None
    made.take("unknown", Needs(), None)
    assert made.post().free_at is None
    assert made.in_time(20.0), "it is not free before what is known"
    made.leave("unknown")
    made.take("overdue", Needs(), -1.0)
    assert made.post().free_at is None
    made.leave("overdue")
    assert made.post().free_at == made.stays["known"].since + 50.0


def test_who_is_warned_gets_nothing_more_and_is_about_to_end() -> None:
    made = room(1000.0)
    assert made.post().ends == made.ends
    made.warn()
    assert not made.holds(Needs())
    assert made.post().ends <= time.time() < made.ends


def test_who_performs_something_is_not_needed_for_what_it_holds() -> None:
    made = room()
    made.needed = True
    assert made.post().needed
    made.take("a", Needs(), None)
    assert not made.post().needed
