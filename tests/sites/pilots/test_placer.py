from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest
from distributed.core import Status

from daskflow.errors import FitsNowhere, SiteError, StartupFailed, WalltimeExceeded
from daskflow.model.needs import Needs
from daskflow.sites.pilots.placer import WARNED
from daskflow.sites.pools import Pool
from tests.sites.pilots.ward import Ward, until

SMALL = Pool("small", 4, 4000, 3600.0)
LARGE = Pool("large", 8, 16000, 7200.0, gpus=2)


@pytest.fixture
def ward_of() -> Iterator[Callable[..., Ward]]:
    made: list[Ward] = []

    def make(*pools: Pool) -> Ward:
        made.append(Ward(*pools))
        return made[-1]

    yield make
    for ward in made:
        ward.close()


def test_nothing_is_given_to_anybody_before_a_pilot_comes(ward_of: Callable[..., Ward]) -> None:
    ward = ward_of(SMALL)
    ward.submit(Needs(kind="fit"), "a")
    until(lambda: ward.placer.needs_waiting() == [Needs(kind="fit")])
    assert ward.nudges > 0
    ward.arrive("small", "1")
    ward.settled({"a": "1"})
    ward.open("a")
    assert ward.futures["a"].result(60) == "a"
    assert ward.placer.needs_waiting() == []


def test_cores_memory_and_gpus_are_reserved(ward_of: Callable[..., Ward]) -> None:
    ward = ward_of(LARGE)
    ward.arrive("large", "1")
    ward.submit(Needs(3), "cores-1", "cores-2")
    ward.submit(Needs(1, memory=5000), "memory")
    ward.settled({"cores-1": "1", "cores-2": "1"})  # with their shares of the memory, 6000 each
    ward.submit(Needs(1, gpus=2), "gpus")
    ward.open("cores-1")
    ward.settled({"cores-2": "1", "memory": "1", "gpus": "1"})
    ward.submit(Needs(1, memory=10, gpus=1), "gpu")
    ward.open("memory")
    ward.settled({"cores-2": "1", "gpus": "1"})
    ward.open("gpus")
    ward.settled({"cores-2": "1", "gpu": "1"})


def test_the_first_pool_that_holds_a_node_performs_it(ward_of: Callable[..., Ward]) -> None:
    ward = ward_of(SMALL, LARGE)
    ward.arrive("large", "2")
    ward.submit(Needs(1), "one")
    ward.submit(Needs(8), "wide")
    ward.submit(Needs(1, gpus=1), "gpu")
    ward.settled({"wide": "2"})
    ward.arrive("small", "1")
    ward.settled({"wide": "2", "one": "1"})
    ward.open("wide")
    ward.settled({"one": "1", "gpu": "2"})


def test_a_node_begins_where_its_time_suffices_and_short_ones_fill_the_ends(ward_of: Callable[..., Ward]) -> None:
    ward = ward_of(SMALL)
    ward.arrive("small", "ends", 300.0)
    ward.arrive("small", "fresh", 3600.0)
    ward.submit(Needs(1, seconds=1000.0, kind="long"), "long")
    ward.submit(Needs(1, seconds=20.0, kind="short"), "short")
    ward.submit(Needs(1, kind="unknown"), "unknown")
    ward.settled({"long": "fresh", "short": "ends", "unknown": "fresh"})


def test_what_is_as_long_as_a_pilot_goes_to_a_fresh_one(ward_of: Callable[..., Ward]) -> None:
    ward = ward_of(SMALL)
    ward.arrive("small", "old", 3000.0)
    ward.submit(Needs(1, seconds=3599.0 - 1.0, kind="long"), "first")
    ward.submit(Needs(1, seconds=20.0, kind="short"), "short")
    # Pilots of this pool seem to come with less than their walltime: more than that cannot be had.
    ward.settled({"first": "old", "short": "old"})
    ward.arrive("small", "fresh", 3500.0)
    ward.submit(Needs(1, seconds=3400.0, kind="long"), "second")
    ward.settled({"first": "old", "short": "old", "second": "fresh"})


def test_data_draw_nodes(ward_of: Callable[..., Ward]) -> None:
    ward = ward_of(SMALL)
    ward.arrive("small", "1", 3000.0)
    ward.submit(Needs(1, seconds=1.0, kind="up"), "up")
    ward.settled({"up": "1"})
    ward.open("up")
    assert ward.futures["up"].result(60) == "up"
    ward.arrive("small", "2", 2000.0)
    ward.submit(Needs(1, seconds=1.0, kind="other"), "other")
    ward.submit(Needs(1, seconds=1.0, kind="down"), "down", after=["up"])
    ward.settled({"other": "2", "down": "1"})


def test_a_pilot_is_kept_free_for_what_needs_much(ward_of: Callable[..., Ward]) -> None:
    ward = ward_of(SMALL)
    ward.arrive("small", "1")
    ward.submit(Needs(3, kind="a"), "a")
    ward.settled({"a": "1"})
    ward.submit(Needs(4, kind="wide"), "wide")
    until(lambda: len(ward.placer.needs_waiting()) == 1)
    ward.submit(Needs(1, kind="b"), "b")
    until(lambda: len(ward.placer.needs_waiting()) == 2)
    ward.open("a")
    ward.settled({"wide": "1"})
    ward.open("wide")
    ward.settled({"b": "1"})


def test_what_a_lost_pilot_performed_waits_for_the_judgement(ward_of: Callable[..., Ward]) -> None:
    ward = ward_of(SMALL)
    worker = ward.arrive("small", "1")
    ward.submit(Needs(1, kind="fit"), "a")
    ward.settled({"a": "1"})
    ward.abort(worker)
    until(lambda: ward.fallen)
    room, stays = ward.fallen[0]
    assert (room.id, list(stays)) == ("1", ["a"])
    ward.arrive("small", "2")
    ward.submit(Needs(1, kind="fit"), "b")
    ward.settled({"b": "2"})
    ward.placer.later(ward.placer.free, "a")
    ward.settled({"a": "2", "b": "2"})
    ward.open("a")
    assert ward.futures["a"].result(60) == "a"


def test_who_is_sent_away_leaves_nothing_undone(ward_of: Callable[..., Ward]) -> None:
    ward = ward_of(SMALL)
    ward.arrive("small", "1")
    ward.submit(Needs(1, kind="fit"), "a")
    ward.settled({"a": "1"})
    room = ward.placer.rooms()[0]
    ward.placer.later(ward.placer.dismiss, room)
    ward.open("a")
    assert ward.futures["a"].result(60) == "a"
    assert not room.dismissed, "it was at work"
    until(lambda: not room.stays)
    ward.placer.later(ward.placer.dismiss, room)
    until(lambda: ward.placer.rooms() == [])
    until(lambda: ward.fallen)
    assert ward.fallen[0][1] == {}


def test_what_fits_into_no_pool_any_more_is_lost(ward_of: Callable[..., Ward]) -> None:
    ward = ward_of(SMALL, LARGE)
    ward.submit(Needs(1), "one")
    ward.submit(Needs(8), "wide")
    until(lambda: len(ward.placer.needs_waiting()) == 2)
    error = StartupFailed("no pilot of large comes up")
    ward.placer.later(ward.placer.give_up, "large", error)
    until(lambda: ward.lost)
    assert ward.lost == [(["wide"], error)]
    ward.submit(Needs(8), "late")
    until(lambda: len(ward.lost) > 1)
    assert ward.lost[-1] == (["late"], error)


def test_what_outlives_all_pilots_is_lost_with_a_cure(ward_of: Callable[..., Ward]) -> None:
    ward = ward_of(SMALL)
    needs = Needs(1, kind="long")
    ward.submit(ward.placer.outlived(needs, 3599.5), "long")
    ward.submit(needs, "other")
    until(lambda: ward.lost)
    keys, error = ward.lost[0]
    assert keys == ["long"], "others of its kind may be shorter"
    assert ward.placer.outlived(needs._replace(declared=True), 3599.5).at_least == 0.0
    assert isinstance(error, WalltimeExceeded)
    assert 'placement="batch"' in str(error)


def test_what_never_fitted_is_lost(ward_of: Callable[..., Ward]) -> None:
    ward = ward_of(SMALL)
    ward.submit(Needs(5), "wide")
    until(lambda: ward.lost)
    assert isinstance(ward.lost[0][1], FitsNowhere)
    assert "5 cores (it has 4)" in str(ward.lost[0][1])


def test_how_long_a_kind_takes_is_learned_when_the_first_is_done(ward_of: Callable[..., Ward]) -> None:
    ward = ward_of(SMALL)
    ward.arrive("small", "1")
    ward.submit(Needs(1, kind="fit"), "a")
    ward.settled({"a": "1"})
    assert ward.placer.lessons.expected(Needs(kind="fit")) is None
    ward.open("a")
    until(lambda: ward.placer.lessons.expected(Needs(kind="fit")) is not None)
    assert ward.placer.lessons.expected(Needs(kind="other")) is None


def test_it_goes_on_looking_after_an_error(ward_of: Callable[..., Ward], monkeypatch: pytest.MonkeyPatch) -> None:
    ward, asked = ward_of(SMALL), list[Needs]()

    def broken(needs: Needs) -> float | None:
        asked.append(needs)
        raise RuntimeError("nothing is understood")

    with monkeypatch.context() as patch:
        patch.setattr(ward.placer.lessons, "expected", broken)
        ward.arrive("small", "1")
        ward.submit(Needs(1, kind="fit"), "a")
        until(lambda: len(asked) > 5)
    ward.settled({"a": "1"})


def test_who_alone_holds_what_others_wait_for_is_needed(ward_of: Callable[..., Ward]) -> None:
    ward = ward_of(SMALL, LARGE)
    ward.arrive("small", "1")
    ward.submit(Needs(1, kind="up"), "up")
    ward.settled({"up": "1"})
    ward.submit(Needs(1, kind="down", gpus=1), "down", after=["up"])
    (room,) = ward.placer.rooms()
    assert not room.post().needed, "it performs something"
    ward.open("up")
    until(lambda: room.post().needed)
    ward.arrive("large", "2")
    ward.settled({"down": "2"})
    ward.open("down")
    until(lambda: not room.post().needed)


def test_who_cannot_go_because_nobody_takes_what_it_holds_goes_later(ward_of: Callable[..., Ward]) -> None:
    ward = ward_of(SMALL)
    ward.arrive("small", "1")
    ward.submit(Needs(1, kind="up"), "up")
    ward.settled({"up": "1"})
    ward.open("up")
    assert ward.futures["up"].result(60) == "up"
    until(lambda: not ward.placer.rooms()[0].stays)
    other = ward.arrive("small", "2")
    first, second = ward.placer.rooms()
    first.closed = True

    async def dismiss(status: Status) -> None:
        scheduler = ward.harbour.scheduler
        scheduler.handle_worker_status_change(status, scheduler.workers[other.address], "test")
        await ward.placer.dismiss(first)

    ward.harbour.sync(dismiss, Status.paused)
    assert not first.dismissed
    assert ward.placer.rooms() == [first, second]
    ward.harbour.sync(dismiss, Status.running)
    assert ward.placer.rooms() == [second]
    assert list(other.data) == ["up"]


def test_who_cannot_go_goes_at_once_when_it_is_the_last(ward_of: Callable[..., Ward]) -> None:
    ward = ward_of(SMALL)
    ward.arrive("small", "1")
    ward.submit(Needs(1, kind="up"), "up")
    ward.settled({"up": "1"})
    ward.open("up")
    assert ward.futures["up"].result(60) == "up"
    until(lambda: not ward.placer.rooms()[0].stays)
    ward.arrive("small", "2")
    first, second = ward.placer.rooms()
    first.closed = True

    async def dismiss() -> None:
        going = asyncio.ensure_future(ward.placer.dismiss(first))
        await asyncio.sleep(0)  # what it holds is on its way to the second one, which is sent away now
        second.closed = True
        await ward.placer.dismiss(second)
        await going
        # As the fleet does with those that are still there.
        for room in ward.placer.rooms():
            await ward.placer.dismiss(room)

    ward.harbour.sync(dismiss)
    assert ward.placer.rooms() == []


def test_who_was_warned_by_the_batch_system_gets_nothing_more(ward_of: Callable[..., Ward]) -> None:
    ward = ward_of(SMALL)
    warned = ward.arrive("small", "1")
    (room,) = ward.placer.rooms()
    before = ward.nudges

    async def tell() -> None:
        warned.log_event(WARNED, warned.address)

    ward.harbour.sync(tell)
    until(lambda: room.closed)
    until(lambda: ward.nudges > before)
    ward.submit(Needs(1, kind="fit"), "a")
    until(ward.placer.needs_waiting)
    ward.arrive("small", "2")
    ward.settled({"a": "2"})


def test_what_nobody_hears_of_fails_and_with_it_what_depends_on_it(ward_of: Callable[..., Ward]) -> None:
    ward = ward_of(SMALL)
    worker = ward.arrive("small", "1")
    ward.submit(Needs(1, kind="held"), "held")
    ward.submit(Needs(1, kind="down"), "down", after=["held"])
    ward.settled({"held": "1"})
    ward.abort(worker)
    until(lambda: ward.fallen)
    ward.placer.later(ward.placer.fail, {"held": "OutOfMemory: once too often", "unknown": "?"})
    error = ward.futures["down"].exception(60)
    assert isinstance(error, SiteError)
    assert str(error) == "OutOfMemory: once too often"
    assert ward.placer.held == set()


def test_what_waits_for_what_it_needs_fails_too(ward_of: Callable[..., Ward]) -> None:
    ward = ward_of(SMALL)
    ward.submit(Needs(1, kind="up"), "up")
    ward.submit(Needs(1, kind="middle"), "middle", after=["up"])
    ward.submit(Needs(1, kind="down"), "down", after=["middle"])
    until(ward.placer.needs_waiting)
    ward.placer.later(ward.placer.fail, {"middle": "WorkerLost: once too often"})
    assert str(ward.futures["down"].exception(60)) == "WorkerLost: once too often"
    ward.arrive("small", "1")
    ward.settled({"up": "1"})
