from __future__ import annotations

import pytest

from daskflow.errors import NotFound
from daskflow.model.records import AttemptRecord, JobRecord
from daskflow.model.states import JobState
from daskflow.stores import Journal
from tests.stores.samples import RUN, attempt_row, job_row, run_record


@pytest.fixture
def filled(journal: Journal) -> Journal:
    journal.add_jobs(
        [
            job_row(0, "aaa1", task="load"),
            job_row(1, "aab2", task="fit", upstream="[0]", state="running"),
            job_row(2, "bbb3", task="fit", upstream="[0, 1]", state="failed", reason="it raised"),
            job_row(3, "12345", task="plot"),
        ]
    )
    return journal


def test_a_job_comes_back_as_it_was(filled: Journal) -> None:
    assert filled.job(RUN, 2) == JobRecord(
        run=RUN,
        number=2,
        key="bbb3",
        task="fit",
        fingerprint="f1",
        recipe="x=2",
        upstream=(0, 1),
        site="local",
        state=JobState.failed,
        reason="it raised",
    )


def test_adding_a_job_again_changes_its_state_only(filled: Journal) -> None:
    filled.add_jobs([job_row(2, "other", task="other", state="cached", reason="known")])
    job = filled.job(RUN, 2)
    assert (job.key, job.task, job.state, job.reason) == ("bbb3", "fit", "cached", "known")


def test_states_are_set_together_and_the_last_holds(filled: Journal) -> None:
    filled.set_states(RUN, [(0, "running", ""), (1, "failed", "why"), (0, "succeeded", "")])
    assert [(job.state.value, job.reason) for job in filled.jobs(RUN)[:2]] == [
        ("succeeded", ""),
        ("failed", "why"),
    ]
    filled.set_states("another run", [(0, "cancelled", "")])
    assert filled.job(RUN, 0).state is JobState.succeeded


def test_jobs_of_one_state_or_task(filled: Journal) -> None:
    assert [job.number for job in filled.jobs(RUN)] == [0, 1, 2, 3]
    assert [job.number for job in filled.jobs(RUN, state="queued")] == [0, 3]
    assert [job.number for job in filled.jobs(RUN, state=JobState.failed)] == [2]
    assert [job.number for job in filled.jobs(RUN, task="fit")] == [1, 2]
    assert filled.jobs(RUN, state="queued", task="fit") == []
    assert filled.jobs("another run") == []


@pytest.mark.parametrize(
    ("ident", "number"),
    [(1, 1), ("1", 1), ("aab2", 1), ("aab", 1), ("b", 2), ("load", 0), ("plot", 3), ("12345", 3)],
)
def test_finding_a_job(filled: Journal, ident: str | int, number: int) -> None:
    assert filled.job(RUN, ident).number == number


def test_a_whole_key_is_found_though_others_begin_so(filled: Journal) -> None:
    filled.add_jobs([job_row(4, "bbb34"), job_row(5, "bbb3")])
    assert filled.job(RUN, "bbb3").number == 2


@pytest.mark.parametrize(
    ("ident", "message"),
    [
        ("aa", "2 jobs of .*: 0 load aaa1 queued, 1 fit aab2 running"),
        ("fit", "2 jobs .* Give a number"),
        ("zzz", "no job 'zzz'.* up to 3, of tasks load, fit, plot"),
        ("", "no job ''"),
        (99, "no job '99'"),
        (10**30, "no job '1000"),
    ],
)
def test_not_finding_a_job_tells_what_there_is(filled: Journal, ident: str | int, message: str) -> None:
    with pytest.raises(NotFound, match=message):
        filled.job(RUN, ident)


def test_a_job_of_an_unknown_run(filled: Journal) -> None:
    with pytest.raises(NotFound, match="No jobs of the run 'nonsense'"):
        filled.job("nonsense", 0)


def test_an_attempt_is_recorded_once(filled: Journal) -> None:
    filled.add_attempts(RUN, [attempt_row(1, state="failed"), attempt_row(1, 2), attempt_row(0)])
    filled.add_attempts(RUN, [attempt_row(1, state="succeeded")])
    assert [(a.number, a.attempt, a.state) for a in filled.attempts(RUN)] == [
        (0, 1, "succeeded"),
        (1, 1, "failed"),
        (1, 2, "succeeded"),
    ]
    assert filled.attempts(RUN, 0) == [
        AttemptRecord(
            run=RUN,
            number=0,
            attempt=1,
            state="succeeded",
            start=1.0,
            stop=2.0,
            cpu=0.5,
            memory=1000,
            host="node1",
            pid=42,
            log_file="logs/a.log",
            log_start=0,
            log_stop=10,
            place="12_0",
            cores=2,
            asked=4000,
            taken=300,
        )
    ]
    assert filled.attempts(RUN, 3) == []


def test_how_long_jobs_of_a_task_took(filled: Journal) -> None:
    filled.add_attempts(RUN, [attempt_row(1, state="failed"), attempt_row(1, 2), attempt_row(0)])
    later = "20270101-000000-study-aaaa"
    filled.add_jobs([job_row(0, run=later, task="fit", fingerprint="f2")])
    filled.add_attempts(later, [(0, 1, "succeeded", 1.0, 5.5, *attempt_row(0)[5:-1], 77)])
    assert filled.past("fit", 10) == [("f2", 4.5, 77), ("f1", 1.0, 300)]
    assert filled.past("fit", 1) == [("f2", 4.5, 77)]
    assert filled.past("nonsense", 10) == []


def test_counts_are_in_order_of_the_first_calls(filled: Journal) -> None:
    assert list(filled.counts(RUN).items()) == [
        ("load", {"queued": 1}),
        ("fit", {"running": 1, "failed": 1}),
        ("plot", {"queued": 1}),
    ]


def test_numbers_for_resuming(filled: Journal) -> None:
    assert filled.next_number(RUN) == 4
    assert filled.next_number("another run") == 0
    filled.add_jobs([job_row(4, "aaa1")])
    filled.add_attempts(RUN, [attempt_row(1), attempt_row(1, 2), attempt_row(3)])
    assert filled.attempts_made(RUN) == {1: 2, 3: 1}
    assert filled.numbers(RUN) == {"aaa1": 0, "aab2": 1, "bbb3": 2, "12345": 3}


class TestEarlierJob:
    """What `why` compares a job with."""

    @pytest.fixture(autouse=True)
    def runs(self, journal: Journal) -> None:
        for number, flow in enumerate(["study", "other", "study", "study"]):
            journal.add_run(run_record(f"run{number}", flow=flow, created=float(number)))

    def _ask(self, journal: Journal, **fields: str) -> str | None:
        journal.add_jobs([job_row(5, "now", run="run2", **({"fingerprint": "f2", "recipe": "x=1\ny=2"} | fields))])
        found = journal.earlier_job(journal.job("run2", 5))
        return found.key if found else None

    def test_there_may_be_none(self, journal: Journal) -> None:
        journal.add_jobs(
            [
                job_row(0, "now", run="run0", recipe="x=1\ny=2"),
                job_row(1, "task", run="run0", task="load", recipe="x=1\ny=2"),
                job_row(2, "later", run="run3", recipe="x=1\ny=2"),
            ]
        )
        assert self._ask(journal) is None

    def test_the_same_recipe_goes_first(self, journal: Journal) -> None:
        journal.add_jobs(
            [
                job_row(1, "recipe", run="run0", recipe="x=1\ny=2"),
                job_row(2, "fingerprint", run="run0", fingerprint="f2"),
                job_row(5, "number", run="run0"),
            ]
        )
        assert self._ask(journal) == "recipe"

    def test_then_the_same_fingerprint_with_the_most_similar_recipe(self, journal: Journal) -> None:
        journal.add_jobs(
            [
                job_row(1, "similar", run="run0", fingerprint="f2", recipe="x=1\ny=3"),
                job_row(2, "unlike", run="run0", fingerprint="f2", recipe="x=9\ny=9"),
                job_row(5, "number", run="run0"),
            ]
        )
        assert self._ask(journal) == "similar"

    def test_then_the_same_place(self, journal: Journal) -> None:
        journal.add_jobs([job_row(4, "near", run="run0"), job_row(5, "number", run="run0")])
        assert self._ask(journal) == "number"

    def test_the_same_flow_and_the_newest_run_decide_between_equals(self, journal: Journal) -> None:
        journal.add_jobs([job_row(5, f"in{run}", run=f"run{run}") for run in (0, 1)])
        assert self._ask(journal) == "in0"
        journal.add_run(run_record("run1b", created=1.5))
        journal.add_jobs([job_row(5, "in1b", run="run1b")])
        assert self._ask(journal) == "in1b"
