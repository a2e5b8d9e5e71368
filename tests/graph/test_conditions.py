from __future__ import annotations

import copy
import itertools
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from daskflow.errors import ConditionMisused, NoKey, UsageError
from daskflow.graph.conditions import Condition, any_of, short
from daskflow.model.states import JobState
from tests.graph.endings import Stage, Theatre, aside, identity, make
from tests.graph.projects import task

T, F, U = True, False, None
STATES = {T: JobState.succeeded, F: JobState.failed, U: JobState.running}

one, two, three = make(3)
NOTHING: Any = None
A_JOB: Any = one
A, B, C = short(one.key), short(two.key), short(three.key)
PATIENCE = 60.0


def given(*truths: bool | None) -> list[Condition]:
    """Conditions with these truths."""
    jobs = make(len(truths))
    for job, truth in zip(jobs, truths, strict=True):
        job.state = STATES[truth]
    return [job.succeeded for job in jobs]


@pytest.mark.parametrize(
    ("left", "right", "both", "either"),
    [(T, T, T, T), (T, F, F, T), (T, U, U, T), (F, F, F, F), (F, U, F, U), (U, U, U, U)],
)
def test_and_and_or(left: bool | None, right: bool | None, both: bool | None, either: bool | None) -> None:
    for a, b in itertools.permutations(given(left, right)):
        assert (a & b).truth() is both
        assert (a | b).truth() is either


@pytest.mark.parametrize(("truth", "inverse"), [(T, F), (F, T), (U, U)])
def test_not(truth: bool | None, inverse: bool | None) -> None:
    (a,) = given(truth)
    assert (~a).truth() is inverse
    assert (~~a).truth() is truth
    assert (~a).is_met() is (inverse is True)


@pytest.mark.parametrize(
    ("truths", "at_least"),
    [
        ((T, T, F), (T, T, F)),
        ((T, U, F), (T, U, F)),
        ((U, U, F), (U, U, F)),
        ((T, U, U), (T, U, U)),
        ((F, F, U), (U, F, F)),
        ((T, T, T), (T, T, T)),
    ],
)
def test_any_of_counts(truths: tuple[bool | None, ...], at_least: tuple[bool | None, ...]) -> None:
    for order in itertools.permutations(given(*truths)):
        assert tuple(any_of(k, *order).truth() for k in (1, 2, 3)) == at_least
        assert any_of(2, iter(order)).truth() is at_least[1]


def test_a_condition_that_is_given_twice_counts_twice() -> None:
    yes, no = given(T, F)
    assert any_of(2, yes, yes, no).truth() is True
    assert any_of(2, yes, no, no).truth() is False


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        (one.succeeded & ~(two.failed | three.failed), f"{A}.succeeded & ~({B}.failed | {C}.failed)"),
        (one.failed & two.failed & three.failed, f"{A}.failed & {B}.failed & {C}.failed"),
        ((one.failed & two.failed) | ~three.failed, f"({A}.failed & {B}.failed) | ~{C}.failed"),
        (any_of(1, one.failed | two.failed, three.finished), f"any_of(1, {A}.failed | {B}.failed, {C}.finished)"),
        (~any_of(1, one.failed) & (one.metric("q") <= 2), f"~any_of(1, {A}.failed) & ({A}.metric('q') <= 2)"),
        (~(one.metric("q") > 0.5), f"~({A}.metric('q') > 0.5)"),
    ],
)
def test_the_text_is_what_was_written(condition: Condition, text: str) -> None:
    assert condition.text() == repr(condition) == text


def test_text_and_keys_are_cut() -> None:
    whole = any_of(1, [job.succeeded for job in make(100)])
    assert len(whole.text()) == 200
    assert whole.text().endswith("…")
    assert whole.text(10**6).count("succeeded") == 100
    assert short("fit-3fa27c") == "fit-3fa2…"
    assert short("f" * 100 + "-3fa2") == "f" * 40 + "…-3fa2"
    assert short("nodash") == "nodash"


@pytest.mark.parametrize(
    "use",
    [
        lambda a, b: a and b,
        lambda a, b: a or b,
        lambda a, b: not (a & b),
        lambda a, b: 1 if a else 2,
        lambda a, b: 0.5 < (a.job.metric("x")) < 1.1,
    ],
)
def test_a_condition_is_not_its_truth(use: Callable[[Any, Any], Any]) -> None:
    with pytest.raises(ConditionMisused, match=r"Combine conditions by `&`, `\|` and `~`.* or ask `\.is_met\(\)`"):
        use(one.succeeded, two.succeeded)


@pytest.mark.parametrize(
    ("use", "cure"),
    [
        (lambda a: a & one, "use `job.succeeded`"),
        (lambda a: one | a, "use `job.succeeded`"),
        (lambda a: a | one["part"], "use `job.succeeded`"),
        (lambda a: a & one.metric("x"), r"of a metric `job\.metric\("),
        (lambda a: a & True, "Put comparisons in parentheses"),
        (lambda a: one.metric("x") < 1.1 & a, "Put comparisons in parentheses"),
        (lambda a: any_of(1, one), "use `job.succeeded`"),
        (lambda a: any_of(1, [a, A_JOB]), "use `job.succeeded`"),
        (lambda a: any_of(1, NOTHING), "None is no condition"),
        (lambda a: any_of(0, a), "of 1 conditions: ask for 1 to 1"),
        (lambda a: any_of(3, a, a), "of 2 conditions: ask for 1 to 2"),
        (lambda a: any_of(1, []), "was given no conditions"),
        (lambda a: any_of(True, a), r"any_of\(True, \.\.\.\)"),
    ],
)
def test_only_conditions_are_combined(use: Callable[[Any], Any], cure: str) -> None:
    with pytest.raises(ConditionMisused, match=cure):
        use(one.succeeded)


@pytest.mark.parametrize("leave", [pickle.dumps, copy.deepcopy])
def test_a_condition_stays_in_its_run(leave: Callable[[Any], Any]) -> None:
    for condition in (one.succeeded, one.succeeded & two.succeeded):
        with pytest.raises(UsageError, match=r"cannot leave the process of its run. Give it to a call as `when=`"):
            leave(condition)


def test_a_condition_is_no_argument() -> None:
    with pytest.raises(NoKey, match=r"Argument 'x' of identity.* is no value. Give it to the call as `when=`"):
        task(identity)([one.succeeded | two.failed])


def test_facts_and_jobs_of_a_condition() -> None:
    shared = two.failed
    condition = (one.succeeded & shared) | (~shared & one.succeeded) | one.failed
    assert [fact.text() for fact in condition.facts] == [f"{A}.succeeded", f"{B}.failed", f"{A}.failed"]
    assert condition.jobs() == [one, two]
    assert one.succeeded.facts[0].identity == one.succeeded.identity


def test_deep_nesting() -> None:
    jobs = make(10_000)
    held: Condition = jobs[0].succeeded
    for job in jobs[1:]:
        held = ~~(held & job.succeeded)
    assert held.truth() is None
    assert len(held.facts) == len(held.jobs()) == len(jobs)
    assert len(repr(held)) == 200
    for job in jobs:
        job.state = JobState.cached
    assert held.is_met()


def test_waiting_ends_with_the_first_that_decides() -> None:
    theatre = Theatre()
    a, b, c = make(3, theatre)
    met = aside((a.succeeded | b.succeeded | c.succeeded).wait)
    lost = aside((a.succeeded & ~c.succeeded).wait)
    assert theatre.waited.wait(PATIENCE)
    theatre.end(c, JobState.succeeded)
    assert met.result(PATIENCE) is True
    assert lost.result(PATIENCE) is False
    assert a.state is JobState.created


def test_waiting_for_all() -> None:
    theatre = Theatre()
    jobs = make(50, theatre)
    all_of = any_of(len(jobs), [job.finished for job in jobs])
    waiting = aside(all_of.wait)
    for job in reversed(jobs):
        theatre.end(job, JobState.skipped)
    assert waiting.result(PATIENCE) is True


def test_waiting_gives_jobs_to_a_run() -> None:
    stage = Stage()
    same = task(identity)
    same.launcher = stage
    a, b = same.map("ab")
    waiting = aside((a.failed | b.failed).wait)
    assert stage.theatre.waited.wait(PATIENCE)
    theatre: Any = stage.theatre
    assert a.host is b.host is theatre
    stage.theatre.end(b, JobState.failed)
    assert waiting.result(PATIENCE) is True


@pytest.mark.parametrize("timeout", [0, 0.12])
def test_waiting_in_vain(timeout: float) -> None:
    a, b = make(2, Theatre())
    for condition in (a.succeeded, ~a.succeeded, a.succeeded | b.failed):
        with pytest.raises(TimeoutError, match=f"was not decided within {timeout:g} s"):
            condition.wait(timeout)


def test_each_fact_is_waited_for_in_its_turn() -> None:
    class Late(Theatre):
        """Brings the state of the second job over when it is asked for just that job."""

        def wait(self, job: Any, timeout: float | None) -> None:
            if job is b:
                job.state = JobState.succeeded
            super().wait(job, timeout)

    a, b = make(2, Late())
    assert (a.succeeded | b.succeeded).wait(PATIENCE)


def test_what_is_decided_needs_no_waiting() -> None:
    yes, no = given(T, F)
    assert (yes & yes).wait() is True
    assert no.wait(0) is False
