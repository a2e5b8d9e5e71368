from __future__ import annotations

import time
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from daskflow.model.needs import Needs
from daskflow.sites.pilots.crew import Post
from daskflow.sites.pilots.scaling import LOOKAHEAD, Growth, Space, Steady, Times, ahead, fresh, lacking, shared, spaces
from daskflow.sites.pools import Pool
from tests.sites.pilots.fleets import GIB, pool

MARGIN = 10.0
NOW = 1e9
TIMES = Times(MARGIN, 15.0)


def lacks(of: Pool, *waiting: Needs, there: list[Space] | None = None, unknown: int = 1) -> int:
    return lacking(of, Counter(waiting), there or [], TIMES, unknown=unknown)


def post(of: Pool, **changes: object) -> Post:
    found = Post(
        "1", of.name, 0, NOW, NOW + of.walltime, cores=of.cores, memory=of.memory, gpus=of.gpus, node="n1",
        address="tcp://n1:1", free_at=NOW,
    )  # fmt: skip
    return found._replace(**changes)  # type: ignore[arg-type]


needs_of_any_kind = st.builds(
    Needs,
    cores=st.integers(1, 4),
    memory=st.none() | st.integers(1, 8 * GIB),
    gpus=st.just(0),
    seconds=st.none() | st.floats(0.0, 1e5),
    nodes=st.just(1),
)
waiting_of_any_kind = st.dictionaries(needs_of_any_kind, st.integers(1, 50), max_size=12)


def test_nothing_waits_and_nothing_lacks() -> None:
    assert lacks(pool()) == 0


def test_a_thousand_short_jobs_need_one_pilot() -> None:
    # 500 core-seconds on twelve cores are 42 s.
    assert lacks(pool(cores=12), *[Needs(seconds=0.5)] * 1000) == 1


def test_long_jobs_get_pilots_for_all() -> None:
    assert lacks(pool(cores=1), *[Needs(seconds=3600.0)] * 10) == 10
    assert lacks(pool(cores=4), *[Needs(seconds=3600.0)] * 10) == 3


def test_in_between_there_are_as_many_as_the_lookahead_is_worth() -> None:
    # 200 jobs of 5 s on pilots of two cores whose walltime is a minute: 1000 s, of which each does twice 50 s.
    assert lacks(pool(cores=2, walltime=60.0, maximum=50), *[Needs(seconds=5.0)] * 200) == 10


def test_many_durations_are_no_reason_for_many_pilots() -> None:
    assert lacks(pool(cores=12), *[Needs(seconds=0.3 + number / 1e4) for number in range(1000)]) == 1


def test_not_more_than_the_pool_may_have() -> None:
    assert lacks(pool(maximum=3), *[Needs(cores=4, seconds=1e4)] * 100) == 3


def test_memory_and_gpus_count() -> None:
    assert lacks(pool(), *[Needs(memory=5 * GIB, seconds=1e3)] * 3) == 3
    assert lacks(pool(gpus=2), *[Needs(gpus=1, seconds=1e3)] * 4) == 2
    # Without a word on memory each gets its share.
    assert lacks(pool(), *[Needs(memory=7 * GIB, seconds=1e3), *[Needs(seconds=1e3)] * 4]) == 2


def test_work_of_unknown_duration_asks_for_no_more_than_it_may() -> None:
    assert lacks(pool(), *[Needs()] * 1000, unknown=1) == 1
    assert lacks(pool(), *[Needs()] * 1000, unknown=4) == 4
    assert lacks(pool(), *[Needs()] * 5, unknown=4) == 2


def test_pilots_that_are_coming_are_counted_on() -> None:
    waiting = [Needs(seconds=3600.0)] * 10
    assert lacks(pool(), *waiting, there=[fresh(pool(), TIMES)] * 2) == 1
    assert lacks(pool(), *waiting, there=[fresh(pool(), TIMES)] * 3) == 0


def test_what_nobody_can_hold_asks_for_nobody() -> None:
    assert lacks(pool(), Needs(cores=8, seconds=1e3)) == 0


@settings(deadline=None)
@given(waiting_of_any_kind, st.integers(0, 5), st.integers(0, 20), st.floats(5.0, LOOKAHEAD))
def test_who_got_what_was_lacking_lacks_nothing(
    waiting: dict[Needs, int], coming: int, unknown: int, far: float
) -> None:
    """Asking again before the pilots have come asks for none: nothing flaps."""
    of = pool(maximum=1000)
    times = TIMES._replace(ahead=far)
    found = lacking(of, waiting, [fresh(of, times)] * coming, times, unknown=unknown)
    there = [fresh(of, times)] * (coming + found)
    again = lacking(of, waiting, there, times, unknown=max(0, unknown - found))
    assert again == 0


@settings(deadline=None)
@given(waiting_of_any_kind)
def test_there_is_a_slot_for_each_long_job_and_none_is_asked_for_in_vain(waiting: dict[Needs, int]) -> None:
    of = pool(maximum=1000)
    found = lacking(of, waiting, [], TIMES, unknown=1000)
    assert bool(found) == bool(waiting)
    assert found <= sum(waiting.values())
    long = {needs: count for needs, count in waiting.items() if needs.seconds is None or needs.seconds >= LOOKAHEAD}
    assert found * of.cores >= sum(needs.cores * count for needs, count in long.items())
    assert found * of.memory >= sum(of.share(needs) * count for needs, count in long.items())
    work = sum(needs.cores * (needs.seconds or 0.0) * count for needs, count in waiting.items() if needs not in long)
    assert found * of.cores * LOOKAHEAD >= work - 1e-3


@settings(deadline=None)
@given(waiting_of_any_kind, st.integers(0, 30))
def test_the_limit_holds(waiting: dict[Needs, int], maximum: int) -> None:
    assert lacking(pool(maximum=maximum), waiting, [], TIMES, unknown=1000) <= maximum


def test_ten_thousand_kinds_are_looked_at_quickly() -> None:
    waiting = {Needs(memory=1 + number, seconds=100.0 + number): 10 for number in range(3000)}
    began = time.process_time()
    assert lacking(pool(maximum=100), waiting, [], TIMES, unknown=1) == 100
    # Some hundredths of a second here; in each second it is looked once.
    assert time.process_time() - began < 20.0


def test_an_idle_pilot_has_all_free() -> None:
    of = pool()
    (found,) = spaces(of, [post(of)], 0, TIMES, NOW)
    assert found == Space(4, 8 * GIB, 0, 3590.0, 15.0 + LOOKAHEAD)


def test_a_busy_pilot_that_is_free_soon_is_waited_for() -> None:
    of = pool()
    busy = post(of, busy=4, idle_since=None, cores=0, memory=0)
    (soon,) = spaces(of, [busy._replace(free_at=NOW + 5.0)], 0, TIMES, NOW)
    assert (soon.cores, soon.left, soon.window) == (4, 3585.0, 10.0 + LOOKAHEAD)
    (late,) = spaces(of, [busy._replace(free_at=NOW + 500.0)], 0, TIMES, NOW)
    assert late.cores == 0
    # Nobody knows when it will be free.
    (dark,) = spaces(of, [busy._replace(free_at=None)], 0, TIMES, NOW)
    assert dark.cores == 0
    # It has just become free, of which it has not been told yet.
    (done,) = spaces(of, [busy._replace(free_at=NOW - 1e-6)], 0, TIMES, NOW)
    assert (done.cores, done.left) == (4, 3590.0)


def test_who_ends_soon_is_replaced_before_it_does() -> None:
    of = pool(cores=1)
    waiting = [Needs(seconds=5.0)] * 100
    ending = post(of, busy=1, idle_since=None, cores=0, memory=0, free_at=NOW + 5.0)

    def lacks_with(left: float, lead: float) -> int:
        there = spaces(of, [ending._replace(ends=NOW + left)], 0, Times(MARGIN, lead), NOW)
        return lacking(of, Counter(waiting[:14]), there, TIMES, unknown=0)

    # 70 s of work, and 75 s in which it does it.
    assert lacks_with(left=3600.0, lead=20.0) == 0
    assert lacks_with(left=60.0, lead=20.0) == 1
    assert lacks_with(left=12.0, lead=20.0) == 2


def test_a_long_job_does_not_wait_for_a_pilot_that_ends_before_it() -> None:
    of = pool(cores=1)
    there = spaces(of, [post(of, ends=NOW + 500.0)], 0, TIMES, NOW)
    assert lacks(of, Needs(seconds=1000.0), there=there) == 1
    assert lacks(of, Needs(seconds=400.0), there=there) == 0


def test_work_of_unknown_duration_grows_by_and_by() -> None:
    growth = Growth()
    assert growth.allowed(True, 0, NOW) == 1
    assert growth.allowed(True, 1, NOW + 14.0) == 1
    assert growth.allowed(True, 1, NOW + 15.0) == 2
    assert growth.allowed(True, 2, NOW + 31.0) == 4
    assert growth.allowed(False, 4, NOW + 32.0) == 0
    # Something else that nobody knows: it may use what there is.
    assert growth.allowed(True, 4, NOW + 33.0) == 4
    assert growth.allowed(True, 4, NOW + 48.0) == 8
    assert growth.allowed(True, 4, NOW + 1e7) > 100


def test_where_pilots_serve_others_are_asked_for_only_if_they_are_lacking_for_some_time() -> None:
    steady = Steady()
    assert steady.of(3, 0, NOW) == 3
    assert steady.of(3, 1, NOW) == 0
    assert steady.of(2, 1, NOW + 1.0) == 0
    assert steady.of(5, 1, NOW + 2.0) == 2
    assert steady.of(4, 1, NOW + 3.0) == 0
    assert steady.of(0, 1, NOW + 4.0) == 0
    assert steady.of(4, 1, NOW + 5.5) == 0


def test_all_pools_get_some_of_what_is_allowed() -> None:
    assert shared({"a": 2, "b": 0}, None) == {"a": 2}
    assert shared({"a": 10, "b": 1, "c": 3}, 5) == {"a": 2, "b": 1, "c": 2}
    assert shared({"a": 10}, 0) == {}
    assert sum(shared({"a": 10, "b": 10}, 7).values()) == 7


def test_it_is_looked_no_farther_ahead_than_pilots_live() -> None:
    assert ahead(3, 0, 120.0) == LOOKAHEAD
    assert ahead(30, 3, 120.0) == LOOKAHEAD, "few of many are lost"
    assert ahead(3, 15, 120.0) == 24.0
    assert 0 < ahead(0, 1000, 120.0) < 10.0


def test_where_pilots_get_lost_the_last_jobs_are_not_left_to_one() -> None:
    waiting = Counter({Needs(memory=GIB, seconds=3.0): 48})
    of = pool(maximum=10)
    assert lacking(of, waiting, [], TIMES, unknown=0) == 1
    short = TIMES._replace(ahead=ahead(1, 24, 120.0))
    assert lacking(of, waiting, [], short, unknown=0) == 8
    assert lacking(of, waiting, [fresh(of, short)] * 8, short, unknown=0) == 0
