from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskflow.errors import ConditionMisused
from daskflow.graph.conditions import Condition, any_of, short, walk
from daskflow.graph.decision import Decision
from daskflow.graph.facts import at
from daskflow.graph.job import Job
from daskflow.graph.metrics import metric
from daskflow.model.states import JobState
from tests.graph.endings import make

INPUTS = (
    JobState.succeeded,
    JobState.cached,
    JobState.failed,
    JobState.skipped,
    JobState.cancelled,
    JobState.running,
)


class Third:
    """A truth value of Kleene's logic as a number: 1, 0, and a half where it is not decided."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __and__(self, other: Third) -> Third:
        return Third(min(self.value, other.value))

    def __or__(self, other: Third) -> Third:
        return Third(max(self.value, other.value))

    def __invert__(self) -> Third:
        return Third(1 - self.value)

    @property
    def truth(self) -> bool | None:
        return None if self.value == 0.5 else self.value == 1


def third_any_of(k: int, *given: Third) -> Third:
    return Third(sorted((item.value for item in given), reverse=True)[k - 1])


class Ended:
    """A job of the table: how it ended, and so what is known of it."""

    def __init__(self, state: JobState) -> None:
        ended = state not in (JobState.created, JobState.running)
        self.succeeded = Third(state in ("succeeded", "cached") if ended else 0.5)
        self.failed = Third(state == "failed" if ended else 0.5)
        self.finished = Third(1 if ended else 0.5)


EXPRESSIONS: list[tuple[int, Callable[..., Any]]] = [
    (2, lambda any_of, a, b: a.succeeded & b.succeeded),
    (2, lambda any_of, a, b: a.succeeded | b.failed),
    (2, lambda any_of, a, b: ~a.failed & b.finished),
    (2, lambda any_of, a, b: ~(a.succeeded | ~b.failed)),
    (2, lambda any_of, a, b: (a.succeeded & b.failed) | (a.failed & b.succeeded)),
    (3, lambda any_of, a, b, c: a.succeeded & b.failed & c.finished),
    (3, lambda any_of, a, b, c: a.succeeded & (b.succeeded | c.failed)),
    (3, lambda any_of, a, b, c: ~(a.failed | b.failed) & ~c.succeeded),
    (3, lambda any_of, a, b, c: (a.failed & ~b.succeeded) | c.failed),
    (3, lambda any_of, a, b, c: any_of(2, a.succeeded, b.succeeded, c.succeeded)),
    (3, lambda any_of, a, b, c: ~any_of(2, a.failed, ~b.finished, c.succeeded & ~a.failed)),
]


def tell(decision: Decision, job: Job) -> None:
    """A job has ended."""
    for fact in decision.facts:
        if getattr(fact, "job", None) is job:
            decision.note(fact)


@pytest.mark.parametrize(("count", "expression"), EXPRESSIONS)
def test_truth_tables_in_all_orders(count: int, expression: Callable[..., Any]) -> None:
    jobs = make(count)
    condition = expression(any_of, *jobs)
    for ends in itertools.product(INPUTS, repeat=count):
        for order in itertools.permutations(range(count)):
            for job in jobs:
                job.state = JobState.running
            decision = Decision(condition)
            for place in order:
                jobs[place].state = ends[place]
                tell(decision, jobs[place])
                expected = expression(third_any_of, *[Ended(job.state) for job in jobs]).truth
                assert decision.truth is condition.truth() is Decision(condition).truth is expected


LEAVES = st.tuples(st.just("fact"), st.integers(0, 4), st.sampled_from(["succeeded", "failed", "finished"]))


def grown(below: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(below, min_size=1, max_size=4).flatmap(
        lambda parts: st.tuples(st.just("any_of"), st.integers(1, len(parts)), st.just(parts))
    )
    return st.one_of(
        st.tuples(st.just("&"), below, below),
        st.tuples(st.just("|"), below, below),
        st.tuples(st.just("~"), below),
        several,
    )


def build(tree: Any, jobs: list[Any], some_of: Callable[..., Any], known: dict[str, Any]) -> Any:
    """A tree as conditions, or as numbers; equal branches may be one object, as in `known`."""
    name = repr(tree)
    if name not in known:
        sign, *rest = tree
        if sign == "fact":
            return getattr(jobs[rest[0]], rest[1])
        if sign == "any_of":
            return some_of(rest[0], *[build(part, jobs, some_of, known) for part in rest[1]])
        parts = [build(part, jobs, some_of, known) for part in rest]
        made = ~parts[0] if sign == "~" else parts[0] & parts[1] if sign == "&" else parts[0] | parts[1]
        known[name] = made
    return known[name]


@given(
    st.recursive(LEAVES, grown, max_leaves=20),
    st.permutations(range(5)),
    st.lists(st.sampled_from(INPUTS), min_size=5, max_size=5),
)
def test_any_tree_is_decided_as_by_brute_force(tree: Any, order: list[int], ends: list[JobState]) -> None:
    jobs = make(5)
    condition = build(tree, jobs, any_of, {})
    decision = Decision(condition)
    before: bool | None = None
    for place in order:
        jobs[place].state = ends[place]
        tell(decision, jobs[place])
        expected = build(tree, [Ended(job.state) for job in jobs], third_any_of, {}).truth
        assert decision.truth is condition.truth() is expected
        assert before is None or before is expected
        before = decision.truth
    assert decision.steps <= sum(len(node.parts) for node in walk(condition))


def chain(jobs: list[Job]) -> Condition:
    facts: list[Condition] = [job.succeeded for job in jobs]
    return functools.reduce(operator.and_, facts)


@pytest.mark.parametrize("shape", ["wide", "deep"])
@pytest.mark.parametrize("last", [JobState.succeeded, JobState.failed])
def test_the_cost_is_linear(shape: str, last: JobState) -> None:
    jobs = make(10_000)
    whole = chain(jobs) if shape == "deep" else any_of(len(jobs), [job.succeeded for job in jobs])
    decision = Decision(whole)
    facts = list(decision.facts)
    for job, fact in zip(reversed(jobs), reversed(facts), strict=True):
        assert decision.truth is None
        job.state = JobState.succeeded if job is not jobs[0] else last
        decision.note(fact)
        decision.note(fact)
    assert decision.truth is (last is JobState.succeeded)
    assert decision.steps <= sum(len(node.parts) for node in walk(whole)) <= 2 * len(jobs)
    assert len(decision.why()) <= 200


def test_a_decision_does_not_change_any_more() -> None:
    (job,) = make(1)
    decision = Decision(job.finished)
    job.state = JobState.succeeded
    assert decision.note(job.finished) is True
    job.state = JobState.created
    assert decision.note(job.finished) is decision.truth is True


def test_a_fact_of_something_else_changes_nothing() -> None:
    a, b = make(2)
    b.state = JobState.failed
    assert Decision(a.succeeded).note(b.succeeded) is None


def test_a_metric_of_no_job_cannot_be_decided() -> None:
    with pytest.raises(ConditionMisused, match="is of no job"):
        Decision(metric("chisq") < 1)


def failed(job: Job) -> str:
    job.state = JobState.failed
    return short(job.key)


def test_why_something_can_never_hold() -> None:
    a, b, c = make(3)
    name = failed(a)
    for condition, part in [
        (a.succeeded, f"{name}.succeeded"),
        (b.succeeded & a.succeeded & c.succeeded, f"{name}.succeeded"),
        (~a.failed, f"~{name}.failed"),
        (~(b.failed | a.failed), f"~({short(b.key)}.failed | {name}.failed)"),
        (c.failed & ~~a.succeeded, f"{name}.succeeded"),
        (~at("2000-01-01T00:00+00:00") & ~a.failed, "~at("),
    ]:
        why = Decision(condition).why()
        told = "it is past" if part == "~at(" else f"{name} failed"
        assert why.startswith(told)
        assert f", so {part}" in why
        assert why.endswith(" can never hold")


def test_which_fact_was_the_last_straw() -> None:
    a, b = make(2)
    decision = Decision(a.succeeded | b.succeeded)
    for job in (b, a):
        assert decision.truth is None
        failed(job)
        tell(decision, job)
    assert decision.why() == f"{short(a.key)} failed, so {short(a.key)}.succeeded can never hold"


def test_what_is_waited_for() -> None:
    jobs = make(100)
    assert Decision(chain(jobs)).why().endswith(f"{short(jobs[2].key)}.succeeded and 97 more")
    a, b, c, d = jobs[:4]
    decision = Decision((a.finished | b.finished) & c.finished & (d.finished | (c.finished & d.finished)))
    a.state = JobState.succeeded
    tell(decision, a)
    assert decision.why() == f"waits for {short(c.key)}.finished, {short(d.key)}.finished"
    assert Decision(a.succeeded | b.succeeded).why() == f"{short(a.key)}.succeeded | {short(b.key)}.succeeded holds"


def test_reasons_are_short() -> None:
    jobs = make(300)
    assert len(Decision(chain(jobs) & (jobs[0].metric("q" * 500) < 1)).why()) <= 200
    jobs[0].state = JobState.failed
    assert len(Decision(~any_of(1, [job.finished for job in jobs])).why()) <= 200
