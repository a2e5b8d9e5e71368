from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from daskflow.errors import ConditionMisused
from daskflow.graph.metrics import Metric, MetricFact, metric
from daskflow.model.states import JobState
from tests.graph.endings import Stage, Theatre, aside, identity, make
from tests.graph.projects import task

PATIENCE = 60.0


@pytest.fixture
def chisq() -> Metric:
    return make(1, Theatre())[0].metric("chisq")


@pytest.mark.parametrize(
    ("compare", "passing"),
    [
        (lambda m: m < 1, {0.5}),
        (lambda m: m <= 1, {0.5, 1}),
        (lambda m: m > 1, {1.5}),
        (lambda m: m >= 1, {1, 1.5}),
        (lambda m: 1 > m, {0.5}),  # noqa: SIM300
    ],
)
def test_comparisons(chisq: Metric, compare: Callable[[Metric], MetricFact], passing: set[float]) -> None:
    for value in (0.5, 1, 1.5):
        fact = compare(chisq)
        fact.observe(value)
        assert fact.truth() is (True if value in passing else None)


@pytest.mark.parametrize("value", [math.nan, "nan", None, "high", [1], 10**400])
def test_what_passes_no_limit(chisq: Metric, value: Any) -> None:
    for fact in (chisq > 0, chisq < 0, chisq <= math.inf):
        fact.observe(value)
        assert fact.truth() is None


def test_infinity_is_a_number(chisq: Metric) -> None:
    fact = chisq > 1e308
    fact.observe("inf")
    assert fact.truth() is True


def test_one_value_is_enough(chisq: Metric) -> None:
    reached, missed = chisq < 1.1, chisq < 0.1
    for value in (3, 1, 3):
        reached.observe(value)
        missed.observe(value)
    chisq.job.state = JobState.succeeded
    assert (reached.truth(), missed.truth()) == (True, False)
    assert reached.told().endswith("metric('chisq') < 1.1 came true")
    assert missed.told().endswith("… succeeded")


@pytest.mark.parametrize(
    ("use", "cure"),
    [
        (lambda m: m == 1, "is not compared by `==` and `!=`"),
        (lambda m: m != 1, "is not compared by `==` and `!=`"),
        (bool, "is no condition yet. Write `job.metric"),
        (lambda m: m < "1", "with a number, not with '1'"),
        (lambda m: m < -math.nan, "with a number, not with nan"),
        (lambda m: m < m.job, "with a number, not with <Job"),
        (lambda m: m < m.job.metric("y"), "with a number, not with fit-"),
        (lambda m: m.job.metric(3), "a text for its name, not 3"),
    ],
)
def test_misuse(chisq: Metric, use: Callable[[Any], Any], cure: str) -> None:
    with pytest.raises(ConditionMisused, match=cure):
        use(chisq)


def test_a_metric_of_each_member_of_a_race() -> None:
    first, second = make(2)
    rule = metric("chisq") < 2
    assert repr(rule) == "metric('chisq') < 2"
    one, two = rule.of(first), rule.of(second)
    one.observe(1)
    assert (one.truth(), two.truth()) == (True, None)
    assert one.of(second).job is first
    for use in (rule.truth, rule.is_met, rule.wait):
        with pytest.raises(ConditionMisused, match=r"is of no job. Write `job\.metric\('chisq'\)`"):
            use()


def test_waiting_for_a_value() -> None:
    theatre = Theatre()
    reached, ended = [job.metric("chisq") < 1 for job in make(2, theatre)]
    waiting = [aside(reached.wait), aside(ended.wait)]
    assert theatre.waited.wait(PATIENCE)
    reached.observe(0.5)
    theatre.end(ended.job, JobState.cancelled)
    assert [found.result(PATIENCE) for found in waiting] == [True, False]
    assert set(theatre.watched) == {reached, ended}
    with pytest.raises(TimeoutError, match=r"was not decided within 0.01 s"):
        (reached.job.metric("chisq") > 7).wait(0.01)


def test_who_asks_is_told_what_is_known() -> None:
    class Knowing(Theatre):
        def watch(self, fact: Any) -> None:
            fact.observe(0.5)

    (job,) = make(1, Knowing())
    assert (job.metric("chisq") < 1).is_met()
    assert not (job.metric("chisq") > 1).is_met()


def test_asking_starts_nothing_and_waiting_does() -> None:
    stage = Stage()
    same = task(identity)
    same.launcher = stage
    fact = same(1).metric("chisq") < 1
    assert not fact.is_met()
    assert fact.job.host is None
    fact.begin()
    assert stage.theatre.watched == [fact]
