"""Results decide what happens next: conditions over jobs, in every order in which they may become known."""

from __future__ import annotations

import itertools
import operator
import re
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from daskflow.errors import ConditionMisused, ForeignJob, JobCycle, JobSkipped
from daskflow.execution.worker.attempt import current
from daskflow.graph.conditions import Condition, any_of, short
from daskflow.graph.decision import Decision
from daskflow.graph.facts import at, available, past
from daskflow.graph.job import Job
from daskflow.model.policy import Resources
from daskflow.model.states import JobState
from daskflow.sites import Site
from tests.acceptance.gates import began, gate, let, passed, with_site
from tests.conftest import Lab
from tests.execution.counting import count, counted
from tests.execution.patience import until

Truth = bool | None
ENDS = ["succeeded", "failed", "skipped", "cancelled"]
KINDS = ["succeeded", "failed", "finished"]


def both(a: Truth, b: Truth) -> Truth:
    return False if a is False or b is False else None if a is None or b is None else True


def either(a: Truth, b: Truth) -> Truth:
    return inverse(both(inverse(a), inverse(b)))


def inverse(a: Truth) -> Truth:
    return None if a is None else not a


class Form(NamedTuple):
    """A way to combine two conditions: as it is written, and what it means."""

    write: Callable[[Condition, Condition], Condition]
    mean: Callable[[Truth, Truth], Truth]


FORMS = {
    "a & b": Form(operator.and_, both),
    "a | b": Form(operator.or_, either),
    "~a & b": Form(lambda a, b: ~a & b, lambda a, b: both(inverse(a), b)),
    "a | ~b": Form(lambda a, b: a | ~b, lambda a, b: either(a, inverse(b))),
    "~(a & b)": Form(lambda a, b: ~(a & b), lambda a, b: inverse(both(a, b))),
    "~(a | b)": Form(lambda a, b: ~(a | b), lambda a, b: inverse(either(a, b))),
}
CASES = list(itertools.product(FORMS, KINDS, KINDS))


def expected(end: str | None, kind: str) -> Truth:
    """What a condition over one job is, when the job ended like that, or has not ended."""
    return None if end is None else kind in ("finished", end)


@pytest.fixture
def site(lab: Lab, wide: Site) -> str:
    return with_site(lab, wide).project.site("wide").name


def finish(directory: str, name: str, job: Job, end: str) -> None:
    """Have a job end as it is to, whatever it takes."""
    if end == "cancelled":
        job.cancel()
    let(directory, name, "bad" if end in ("failed", "skipped") else "good")
    until(lambda: job.state.final)
    assert job.state == end


@pytest.mark.parametrize("first", ["a", "b"])
@pytest.mark.parametrize(("end_a", "end_b"), list(itertools.product(ENDS, ENDS)))
def test_every_condition_over_two_jobs_is_decided_as_early_as_it_can_be(
    lab: Lab, site: str, notes: str, end_a: str, end_b: str, first: str
) -> None:
    wait, pass_on = lab.task(gate, cache=False), lab.task(passed, cache=False)
    inputs: dict[str, Job] = {}
    marks: list[Job] = []

    @lab.task
    def mark(i: int) -> int:
        return i

    @lab.flow(site=site)
    def study() -> None:
        for name, end in (("a", end_a), ("b", end_b)):
            held = wait(notes, name)
            inputs[name] = held if end in ("succeeded", "failed") else pass_on(held)
        for i, (form, kind_a, kind_b) in enumerate(CASES):
            facts = getattr(inputs["a"], kind_a), getattr(inputs["b"], kind_b)
            marks.append(mark(i, when=FORMS[form].write(*facts)))

    def due(known: dict[str, str | None]) -> list[Truth]:
        return [
            FORMS[form].mean(expected(known["a"], kind_a), expected(known["b"], kind_b))
            for form, kind_a, kind_b in CASES
        ]

    ends = {"a": end_a, "b": end_b}
    known: dict[str, str | None] = {"a": None, "b": None}
    run = study.submit()
    until(lambda: began(notes, "a") and began(notes, "b") and len(marks) == len(CASES))
    for name in (first, "b" if first == "a" else "a"):
        finish(notes, name, inputs[name], ends[name])
        known[name] = ends[name]
        decided = [(job, truth) for job, truth in zip(marks, due(known), strict=True) if truth is not None]
        until(lambda: all(job.state.final for job, _ in decided))  # noqa: B023
        assert [str(job.state) for job, _ in decided] == ["succeeded" if t else "skipped" for _, t in decided]
        assert sum(job.state.final for job in marks) == len(decided), "nothing is decided before it can be"
    run.wait(60)
    told = [f"{short(inputs[name].key)} {past(end)}" for name, end in ends.items()]
    refused = [job for job in marks if job.state is JobState.skipped]
    assert refused
    assert all("can never hold" in job.reason and any(text in job.reason for text in told) for job in refused)


def same(x: Any) -> Any:
    return x


def tell(directory: str, name: str) -> str:
    """Report what the test says, and end when it says so."""
    for turn in itertools.count():
        gate(directory, f"{name}-{turn}")
        told = Path(directory, f"{name}-{turn}.value")
        if not told.exists():
            return name
        current().report.metric("chisq", float(told.read_text()))
    raise AssertionError


def let_tell(directory: str, name: str, turn: int, value: float) -> None:
    Path(directory, f"{name}-{turn}.value").write_text(str(value))
    let(directory, f"{name}-{turn}")


@pytest.mark.parametrize("sign", ["and", "or", "not"])
def test_the_words_that_python_does_not_let_us_have_name_those_that_work(lab: Lab, sign: str) -> None:
    job, other = lab.task(same)(1), lab.task(same)(2)
    misuse: dict[str, Callable[[], Any]] = {
        "and": lambda: job.succeeded and other.succeeded,
        "or": lambda: job.succeeded or other.succeeded,
        "not": lambda: not job.succeeded,
    }
    with pytest.raises(ConditionMisused, match=re.escape("by `&`, `|` and `~`")):
        misuse[sign]()


def test_a_condition_over_a_job_of_another_run_is_refused(lab: Lab) -> None:
    work = lab.task(same)
    kept: list[Job] = []

    @lab.flow
    def first() -> None:
        kept.append(work(1))

    @lab.flow
    def second() -> None:
        work(2, when=kept[0].succeeded)

    first()
    with pytest.raises(ForeignJob, match=kept[0].key):
        second()


def test_a_job_that_would_wait_for_its_own_end_is_refused(lab: Lab) -> None:
    work, wait = lab.task(same), lab.task(gate, cache=False)

    @lab.flow
    def study() -> None:
        held = wait("", "never")
        one = work(1, when=held.succeeded)
        two = work(one)
        with pytest.raises(JobCycle, match=two.key[:9]):
            work(1, when=two.succeeded)
        held.cancel()

    study()


def test_a_number_that_never_comes_skips_what_waits_for_it_when_its_job_ends(lab: Lab, site: str, notes: str) -> None:
    work, telling = lab.task(same), lab.task(tell)
    made: list[Job] = []

    @lab.flow(site=site)
    def study() -> None:
        made.append(telling(notes, "fit"))
        made.append(work(1, when=made[0].metric("chisq") < 1.1))
        made.append(work(2, when=made[0].metric("other") < 1.1))

    run = study.submit()
    until(lambda: began(notes, "fit-0"))
    let_tell(notes, "fit", 0, 1.2)
    until(lambda: began(notes, "fit-1"))
    assert not any(job.state.final for job in made)
    let(notes, "fit-1")
    run.wait(60)
    assert [str(job.state) for job in made] == ["succeeded", "skipped", "skipped"]
    assert "metric('chisq') < 1.1 can never hold" in made[1].reason


def test_a_number_of_a_running_job_starts_what_waits_for_it(lab: Lab, site: str, notes: str) -> None:
    work, telling = lab.task(same), lab.task(tell)
    made: list[Job] = []

    @lab.flow(site=site)
    def study() -> Any:
        made.append(telling(notes, "fit"))
        made.append(work(1, when=made[0].metric("chisq") < 1.1))
        made.append(work(2, when=~(made[0].metric("chisq") < 1.1)))
        assert (made[0].metric("chisq") < 1.1).wait(60)
        return made[1].result(60)

    run = study.submit()
    until(lambda: began(notes, "fit-0"))
    let_tell(notes, "fit", 0, 1.2)
    let_tell(notes, "fit", 1, 1.05)
    until(lambda: all(job.state.final for job in made[1:]))
    assert [str(job.state) for job in made[1:]] == ["succeeded", "skipped"]
    assert not made[0].state.final
    let(notes, "fit-2")
    assert run.result(60) == 1


def test_the_driver_may_ask_and_wait(lab: Lab, site: str, notes: str) -> None:
    work, wait = lab.task(same), lab.task(gate)

    @lab.flow(site=site)
    def study() -> list[Any]:
        a, b = wait(notes, "a"), wait(notes, "b")
        either = a.succeeded | b.succeeded
        found: list[Any] = [either.is_met()]
        with pytest.raises(TimeoutError, match="was not decided within"):
            either.wait(0.01)
        let(notes, "b")
        found += [either.wait(60), either.is_met(), (a.succeeded & b.succeeded).is_met(), b.failed.wait(60)]
        let(notes, "a")
        return [*found, (a.succeeded & b.succeeded).wait(60), work(1)]

    assert study() == [False, True, True, False, False, True, 1]


def test_some_of_many_are_enough(lab: Lab, site: str, notes: str) -> None:
    work, wait = lab.task(same), lab.task(gate)
    made: list[Job] = []

    @lab.flow(site=site)
    def study() -> None:
        inputs = [wait(notes, f"g{i}") for i in range(5)]
        made.extend(inputs)
        made.append(work(2, when=any_of(2, [job.succeeded for job in inputs])))
        made.append(work(4, when=any_of(4, [job.succeeded for job in inputs])))

    run = study.submit()
    until(lambda: all(began(notes, f"g{i}") for i in range(5)))
    two, four = made[5:]
    for turn, word in enumerate(["good", "bad", "good"]):
        assert not two.state.final
        let(notes, f"g{turn}", word)
        until(lambda: made[turn].state.final)  # noqa: B023
    until(lambda: two.state.good)
    assert not four.state.final
    let(notes, "g3", "bad")
    until(lambda: four.state.final)
    assert four.state is JobState.skipped
    assert not made[4].state.final, "nobody waited for the last"
    let(notes, "g4")
    run.wait(60)


def test_a_job_starts_at_its_time_and_not_before(lab: Lab) -> None:
    @lab.task(cache=False)
    def work() -> float:
        return time.time()

    @lab.flow
    def study() -> Any:
        early = work(when=at(datetime(2020, 1, 1))).result()
        due = datetime.now() + timedelta(seconds=0.4)
        return early, due.timestamp(), work(when=at(due))

    early, due, late = study()
    assert early < due <= late


def test_a_job_starts_when_a_site_has_room(lab: Lab, site: str, notes: str) -> None:
    work, wait = lab.task(same), lab.task(gate)

    @lab.flow(site="threads")
    def study() -> Any:
        inputs = [wait(notes, f"g{i}") for i in range(2)]
        with pytest.raises(TimeoutError):
            inputs[0].result(0.01)
        job = work(1, when=available("threads", Resources(cores=2)), site=site)
        assert not available("threads", Resources(cores=1)).is_met()
        let(notes, "g0")
        assert available("threads", Resources(cores=1)).wait(60)
        with pytest.raises(TimeoutError):
            job.result(0.1)
        let(notes, "g1")
        return job

    assert study() == 1


def test_what_depends_on_a_skipped_job_is_skipped_even_where_it_is_known(lab: Lab, notes: str) -> None:
    @lab.task
    def work(x: int) -> int:
        count(notes, f"work-{x}")
        return x

    @lab.flow
    def study(limit: int) -> Any:
        first = work(1)
        second = work(2, when=first.succeeded if limit else first.failed)
        third = work(second)
        with_error = third.result(raise_on_failure=False)
        return with_error if limit else isinstance(with_error, JobSkipped)

    assert study(1) == 2
    assert study(0) is True
    assert counted(notes) == {"work-1": 1, "work-2": 2}, "the second time nothing was performed"


def test_deciding_ten_thousand_conditional_jobs_is_linear(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted are the looks at facts and the steps of decisions, of conditions of every usual form at once."""
    looks = {1000: 0, 10_000: 0}
    decisions: list[Decision] = []
    build = Decision.__init__

    def counting(self: Decision, condition: Condition) -> None:
        build(self, condition)
        decisions.append(self)

    def noting(self: Decision, fact: Any, note: Any = Decision.note) -> Any:
        looks[size] += 1
        return note(self, fact)

    monkeypatch.setattr(Decision, "__init__", counting)
    monkeypatch.setattr(Decision, "note", noting)
    work, boom = lab.task(same), lab.task(_fail)

    @lab.flow
    def study(n: int) -> int:
        inputs = [work(f"{n} {i}") for i in range(n // 10)]
        bad = boom(n)
        chain = [work(-1)]
        for i in range(n - n // 10):
            near = inputs[i % len(inputs)]
            chain.append(work((n, i), when=(near.succeeded & ~bad.succeeded) | chain[-1].failed))
        last = work(f"last {n}", when=any_of(len(inputs), [job.succeeded for job in inputs]))
        last.result()
        bad.result(raise_on_failure=False)
        return sum(job.result() is not None for job in chain)

    steps = {}
    for size in looks:
        decisions.clear()
        assert study(size) == size - size // 10 + 1
        steps[size] = sum(decision.steps for decision in decisions)
    assert looks[10_000] <= 11 * looks[1000]
    assert steps[10_000] <= 11 * steps[1000]


def _fail(x: Any) -> Any:
    raise ValueError(x)
