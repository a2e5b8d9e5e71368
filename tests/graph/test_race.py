from __future__ import annotations

from typing import Any

import dask
import pytest

from daskflow.errors import ArgumentsInvalid, RaceLost
from daskflow.graph.metrics import metric
from daskflow.graph.race import Racer, Rule
from tests.graph.endings import make
from tests.graph.projects import FakeLauncher

first = Racer(FakeLauncher())


def even(value: int) -> bool:
    return value % 2 == 0


def odd(value: int) -> bool:
    return value % 2 == 1


def test_members_rule_and_count_make_the_key() -> None:
    jobs = make(3)
    races = [
        first(jobs),
        first(jobs[:2]),
        first(jobs, count=2),
        first(jobs, where=even),
        first(jobs, where=odd),
        first(jobs, where=metric("chisq") < 1.1),
        first(jobs, where=metric("chisq") < 1.2),
    ]
    assert len({race.key for race in races}) == len(races)
    assert first(jobs, where=even).key == races[3].key
    assert races[0].upstream == tuple(jobs)


@pytest.mark.parametrize(
    ("members", "given", "told"),
    [
        (lambda: [], {}, "1 of 0 jobs cannot win"),
        (lambda: make(2), {"count": 3}, "3 of 2 jobs cannot win"),
        (lambda: make(2) * 2, {}, "one job twice"),
        (lambda: [1, 2], {}, "takes jobs, not 1"),
        (lambda: make(2), {"where": make(1)[0].succeeded}, "a function of the result"),
    ],
)
def test_a_race_that_nobody_can_win_is_refused(members: Any, given: dict[str, Any], told: str) -> None:
    with pytest.raises(ArgumentsInvalid, match=told):
        first(members(), **given)


def test_the_value_is_that_of_the_winner_or_a_list_of_several() -> None:
    assert Rule(None, 1).result([5]) == 5
    assert Rule(None, 2).result([5, 6]) == [5, 6]
    assert [Rule(even, 1).holds(value) for value in (1, 2)] == [False, True]
    assert Rule(metric("x") < 1, 1).holds(object()), "what it reported has decided that already"


def test_dask_alone_takes_the_winners_in_the_order_of_the_jobs() -> None:
    jobs = make(5)
    assert dask.compute(first(jobs, where=odd, count=2)) == ([1, 3],)
    with pytest.raises(RaceLost, match="2 of 5 were good enough, and 3 had to be"):
        dask.compute(first(jobs, where=odd, count=3))
