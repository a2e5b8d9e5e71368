from __future__ import annotations

from collections.abc import Iterable

from daskflow.execution.sending.needing import Needing, size_above
from daskflow.graph.job import Job
from daskflow.model.needs import Needs
from daskflow.model.outcome import Outcome
from daskflow.model.policy import Resources
from tests.conftest import Lab
from tests.execution.handmade import ended


class Fixed:
    """All jobs take the same time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def learn(self, tasks: Iterable[str]) -> None: ...

    def expected(self, job: Job) -> float | None:
        return self.seconds

    def ended(self, job: Job, outcome: Outcome) -> None: ...


def test_needs_are_as_declared_else_as_learned(lab: Lab) -> None:
    @lab.task
    def plain(x: int) -> int:
        return x

    @lab.task(resources=Resources(cores=4, memory=2 << 30, gpus=1, walltime=3600, nodes=2, tasks=8))
    def large(x: int) -> int:
        return x

    needing = Needing(Fixed(12.0))
    assert needing.of(plain(1)) == Needs(seconds=2.0 ** (15 / 4), kind="plain"), "rounded up"
    assert needing.of(large(1)) == Needs(4, 2 << 30, 1, 3600.0, True, "large", 2, 8)


def test_a_bundle_needs_the_most_of_each(lab: Lab) -> None:
    @lab.task
    def tiny(x: int) -> int:
        return x

    jobs = [tiny(1), tiny.options(resources=Resources(memory=1000))(2)]
    needs = Needing(Fixed(0.25)).of_all(jobs)
    assert (needs.cores, needs.memory, needs.seconds, needs.declared) == (1, 1000, 0.5, False)
    assert needs.kind != "tiny", "how long a bundle takes teaches nothing of its members"
    assert Needing().of_all(jobs).seconds is None


def test_raised_memory_counts_more_than_nothing(lab: Lab) -> None:
    @lab.task
    def grow(x: int) -> int:
        return x

    needing, job = Needing(), grow(1)
    assert needing.raised(job) is None
    needing.raise_memory(job, 5000)
    assert (needing.raised(job), needing.of(job).memory) == (5000, 5000)
    assert needing.of(grow(2)).memory is None


def test_the_size_of_inputs_is_that_of_the_results_above(lab: Lab) -> None:
    @lab.task
    def plain(x: object, y: object = 0) -> int:
        return 1

    first, second = plain(1), plain(2)
    job = plain(first, second)
    assert size_above(job) == 0
    first.result()
    assert size_above(job) == first.record.value.size > 0
    second.result()
    assert size_above(job) == first.record.value.size + second.record.value.size


def test_what_ended_teaches(lab: Lab) -> None:
    heard: list[Job] = []
    learned = Fixed(1.0)
    learned.ended = lambda job, outcome: heard.append(job)  # type: ignore[method-assign]
    job = lab.task(lambda: 1, name="work")()
    Needing(learned).ended(job, ended(job))
    Needing().ended(job, ended(job))
    assert heard == [job]


def test_what_was_handed_over_wants_more_time(lab: Lab) -> None:
    job = lab.task(lambda: 1, name="work")()
    needing = Needing(Fixed(1.0))
    needing.handed_over(job, ended(job)._replace(wants=0.0))
    assert needing.of(job).seconds == 1.0
    needing.handed_over(job, ended(job)._replace(wants=75.0))
    found = needing.of(job)
    assert (found.seconds, found.declared, found.at_least) == (75.0, False, 75.0)
    assert needing.of_all([job, lab.task(lambda: 2, name="other")()]).at_least == 75.0


def test_what_was_declared_stays_so_where_it_is_enough(lab: Lab) -> None:
    needing = Needing(Fixed(1.0))
    for walltime, expected in ((1800.0, (1800.0, True, 75.0)), (30.0, (75.0, False, 75.0))):
        job = lab.task(lambda: 1, name="work", resources=Resources(walltime=walltime))()
        needing.handed_over(job, ended(job)._replace(wants=75.0))
        found = needing.of(job)
        assert (found.seconds, found.declared, found.at_least) == expected
