from __future__ import annotations

from collections.abc import Iterator

import pytest

from daskflow.errors import StartupFailed
from daskflow.model.needs import Needs
from daskflow.sites.pilots.hands import Hands
from daskflow.sites.pools import Pool
from tests.sites.pilots.ward import Ward, until


@pytest.fixture
def ward() -> Iterator[Ward]:
    made = Ward(Pool("main", 4, 4000, 3600.0))
    yield made
    made.close()


def test_it_tells_who_is_there_and_what_waits(ward: Ward) -> None:
    hands = Hands(ward.placer)
    assert (hands.posts(), hands.waiting()) == ({}, [])
    ward.submit(Needs(1, kind="fit", seconds=20.0), "a", "b")
    until(lambda: hands.waiting() == [Needs(1, kind="fit", seconds=20.0)] * 2)
    ward.arrive("main", "1")
    until(lambda: hands.posts()["1"].busy == 2)
    post = hands.posts()["1"]
    assert (post.pool, post.node, post.cores, post.idle_since) == ("main", "node-1", 2, None)


def test_a_closed_pilot_gets_nothing_more_and_is_let_go(ward: Ward) -> None:
    hands = Hands(ward.placer)
    ward.arrive("main", "1")
    hands.close("1")
    hands.close("unknown")
    ward.submit(Needs(1, kind="fit"), "a")
    until(hands.waiting)
    ward.arrive("main", "2")
    ward.settled({"a": "2"})
    hands.dismiss("1")
    until(lambda: list(hands.posts()) == ["2"])


def test_who_outlived_a_pilot_goes_elsewhere() -> None:
    ward = Ward(Pool("short", 4, 4000, 600.0), Pool("long", 4, 4000, 3600.0))
    try:
        hands, needs = Hands(ward.placer), Needs(1, kind="fit")
        found = hands.pool_of(needs)
        assert found is not None
        assert found.name == "short"
        found = hands.pool_of(ward.placer.outlived(needs, 300.0))
        assert found is not None
        assert found.name == "short", "a fresh one of that may do"
        found = hands.pool_of(ward.placer.outlived(needs, 599.5))
        assert found is not None
        assert found.name == "long"
    finally:
        ward.close()


def test_a_pool_is_given_up(ward: Ward) -> None:
    ward.submit(Needs(1, kind="fit"), "a")
    until(ward.placer.needs_waiting)
    Hands(ward.placer).give_up("main", StartupFailed("its prologue fails"))
    until(lambda: ward.lost)
    assert str(ward.lost[0][1]) == "its prologue fails"
