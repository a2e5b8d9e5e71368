"""How long jobs will probably take."""

from __future__ import annotations

from typing import Any

import pytest

from daskflow.errors import StoreUnavailable
from daskflow.execution.durations import ALIKE, PAST, Durations
from daskflow.graph.job import Job
from daskflow.model.outcome import Outcome
from tests.conftest import Lab


class Memory:
    """A journal, and how often it was asked."""

    def __init__(self, **past: list[tuple[str, float, int]]) -> None:
        self._past = past
        self.asked: list[str] = []

    def past(self, task: str, limit: int) -> list[tuple[str, float, int]]:
        self.asked.append(task)
        return self._past.get(task, [])[:limit]


class Absent(Memory):
    """A journal that is away when it is asked first, in the midst of its answer."""

    def past(self, task: str, limit: int) -> Any:
        found = super().past(task, limit)
        for row in found:
            yield row
            if len(self.asked) == 1:
                raise StoreUnavailable("away")


@pytest.fixture
def job(lab: Lab) -> Job:
    @lab.task
    def fit(number: int) -> int:
        return number

    made: Job = fit(1)
    return made


def outcome(seconds: float, taken: int = 0, **fields: Any) -> Outcome:
    given: dict[str, Any] = {"state": "succeeded", "host": "n1", "taken": taken}
    return Outcome("key", attempt=1, start=100.0, stop=100.0 + seconds, **given | fields)


def test_of_new_tasks_nothing_is_known(job: Job) -> None:
    memory = Memory()
    durations = Durations(memory)
    assert durations.expected(job) is None
    assert durations.expected(job) is None
    assert memory.asked == ["fit"], "once for each task"


def test_it_is_what_most_jobs_of_the_same_code_took(job: Job) -> None:
    own = [(job.fingerprint, float(seconds), 0) for seconds in range(1, 101)]
    assert Durations(Memory(fit=[*own, ("other", 1e6, 0)])).expected(job) == 95.0


def test_other_code_of_the_name_is_better_than_nothing(job: Job) -> None:
    assert Durations(Memory(fit=[("other", 7.0, 0), ("third", 5.0, 0)])).expected(job) == 7.0


def test_inputs_of_about_the_same_size_count_where_they_are_enough(job: Job) -> None:
    small = [(job.fingerprint, 1.0, 1000 + step) for step in range(ALIKE)]
    large = [(job.fingerprint, 50.0, 10**9 + step) for step in range(ALIKE - 1)]

    def expected(size: int | None) -> float | None:
        return Durations(Memory(fit=[*small, *large]), size_of=lambda job: size).expected(job)

    assert expected(1100) == 1.0
    assert expected(10**9) == 50.0, "too few are alike, so that all count"
    assert expected(None) == 50.0
    assert expected(0) == 50.0


@pytest.mark.parametrize("factor", [0.75, 1.0, 1.4])
def test_sizes_within_the_octave_are_alike(job: Job, factor: float) -> None:
    past = [(job.fingerprint, 1.0, 2**20)] * ALIKE + [(job.fingerprint, 90.0, 2**30)] * 5
    assert Durations(Memory(fit=past), size_of=lambda job: int(factor * 2**20)).expected(job) == 1.0


def test_what_ends_now_teaches(job: Job) -> None:
    durations = Durations(Memory())
    durations.ended(job, outcome(3.0))
    assert durations.expected(job) == 3.0
    durations.ended(job, outcome(9.0))
    assert durations.expected(job) == 9.0
    durations.ended(job, outcome(70.0, state="failed"))
    durations.ended(job, outcome(70.0, state="cached"))
    durations.ended(job, outcome(70.0, host=""))
    assert durations.expected(job) == 9.0, "who was not performed to the end teaches nothing"


def test_what_is_remembered_has_an_end(job: Job) -> None:
    durations = Durations(Memory())
    for step in range(5 * PAST):
        durations.ended(job, outcome(1.0 + step % 100))
    assert durations.expected(job) == pytest.approx(95.0, abs=3)
    assert len(durations._of("fit")._all) <= 2 * PAST


def test_tasks_may_be_read_before(job: Job) -> None:
    memory = Memory(fit=[("other", 7.0, 0)])
    durations = Durations(memory)
    durations.learn(["fit", "plot", "fit"])
    assert memory.asked == ["fit", "plot"]
    assert durations.expected(job) == 7.0


def test_the_journal_tells_of_runs_before(lab: Lab) -> None:
    @lab.task
    def load(number: int) -> bytes:
        return bytes(1000)

    @lab.task
    def use(data: bytes) -> int:
        return len(data)

    @lab.flow
    def study() -> Any:
        return [use(load(number)) for number in range(3)]

    study()
    lab.project.writer.flush()
    past = lab.project.journal.past("use", 10)
    assert len(past) == 3
    fingerprint, seconds, taken = past[0]
    assert fingerprint == use(b"").fingerprint
    assert 0 < seconds < 60
    assert taken > 1000
    assert len(lab.project.journal.past("load", 2)) == 2


def test_who_got_no_answer_asks_again(job: Job) -> None:
    durations = Durations(Absent(fit=[("", 1.0, 0), ("", 5.0, 0)]))
    with pytest.raises(StoreUnavailable):
        durations.expected(job)
    assert durations.expected(job) == 5.0
