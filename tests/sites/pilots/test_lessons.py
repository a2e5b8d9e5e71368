from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from daskflow.model.needs import Needs
from daskflow.sites.pilots.lessons import Lessons

FIT = Needs(kind="fit")


def test_nobody_knows_at_first() -> None:
    assert Lessons().expected(FIT) is None


def test_what_was_declared_counts_alone() -> None:
    lessons = Lessons()
    lessons.learn("fit", 100.0)
    lessons.cut_short("fit", 500.0)
    declared = FIT._replace(seconds=10.0, declared=True)
    assert lessons.expected(declared) == 10.0


def test_what_earlier_runs_taught_counts_until_enough_was_seen() -> None:
    lessons, needs = Lessons(), FIT._replace(seconds=50.0)
    assert lessons.expected(needs) == 50.0
    lessons.learn("fit", 1.0)
    assert lessons.expected(needs) == 50.0
    for _ in range(4):
        lessons.learn("fit", 1.0)
    assert lessons.expected(needs) == 1.1


def test_who_was_cut_short_takes_longer_than_that() -> None:
    lessons = Lessons()
    lessons.cut_short("fit", 40.0)
    lessons.cut_short("fit", 30.0)
    assert lessons.expected(FIT) == 60.0
    for _ in range(5):
        lessons.learn("fit", 10.0)
    assert lessons.expected(FIT) == 11.0, "one that hangs says nothing of all the others"


def test_without_a_time_it_gets_nowhere_whatever_was_seen() -> None:
    lessons = Lessons()
    assert lessons.expected(FIT._replace(at_least=75.0)) == 75.0
    for _ in range(5):
        lessons.learn("fit", 10.0)
    assert lessons.expected(FIT._replace(seconds=75.0, at_least=75.0)) == 75.0
    declared = FIT._replace(seconds=1800.0, declared=True, at_least=75.0)
    assert lessons.expected(declared) == 1800.0


@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=300))
def test_hardly_anything_takes_longer_than_expected(durations: list[float]) -> None:
    lessons = Lessons()
    for seconds in durations:
        lessons.learn("fit", seconds)
    expected = lessons.expected(FIT)
    assert expected is not None
    last = durations[-200:]
    assert sum(seconds > expected for seconds in last) <= 0.05 * len(last)
