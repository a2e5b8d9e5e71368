from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from daskflow.errors import ForeignJob, JobCycle, SiteUnknown
from daskflow.execution.engine import Engine
from daskflow.graph.host import CURRENT_HOST
from daskflow.graph.race import Racer
from tests.conftest import Lab


def same(x: Any) -> Any:
    return x


@pytest.fixture
def engine(lab: Lab) -> Iterator[Engine]:
    """A run that is told of jobs as by the body of its flow, and of which nothing is flushed."""
    made = Engine(lab.project, "a-run", "synchronous")
    token = CURRENT_HOST.set(made)
    yield made
    CURRENT_HOST.reset(token)
    made.close()


def test_an_equal_call_is_the_same_job(lab: Lab, engine: Engine) -> None:
    work = lab.task(same)
    one, two, again = work(1), work(2), work(1)
    assert again is one
    assert [(job.number, job.host) for job in (one, two)] == [(0, engine), (1, engine)]


def test_two_threads_that_bring_the_same_job_bring_it_once(
    lab: Lab, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = CURRENT_HOST.set(None)
    job = lab.task(same)(1)
    CURRENT_HOST.reset(token)
    # Both have seen by then that the run has no such job.
    together, of = threading.Barrier(2), engine.places.of

    def wait(job: Any) -> Any:
        together.wait(30)
        return of(job)

    monkeypatch.setattr(engine.places, "of", wait)
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(engine.admit, [job, job]))
    assert all(one is job for one in found)
    assert (job.number, engine._admission.count) == (0, 1)
    monkeypatch.undo()


def test_equal_calls_of_what_is_never_remembered_are_numbered(engine: Engine) -> None:
    assert [engine.occasion("a"), engine.occasion("b"), engine.occasion("a")] == ["0", "0", "1"]


def test_jobs_made_outside_are_taken_with_all_they_depend_on(lab: Lab, engine: Engine) -> None:
    work = lab.task(same)
    token = CURRENT_HOST.set(None)
    below, told = work(work(1)), work(2)
    CURRENT_HOST.reset(token)
    job = work(below, when=told.succeeded)
    assert [one.key for one in engine.jobs.values()] == [below.upstream[0].key, below.key, told.key, job.key]
    assert job.terms.condition is not None
    assert job.terms.condition.jobs() == [engine.jobs[told.key]]


def test_a_condition_over_a_job_of_another_run_is_refused(lab: Lab, engine: Engine) -> None:
    work = lab.task(same)
    other = Engine(lab.project, "b-run", "synchronous")
    token = CURRENT_HOST.set(other)
    theirs = work(1)
    CURRENT_HOST.reset(token)
    with pytest.raises(ForeignJob, match="a job of the run b-run; this is the run a-run"):
        work(2, when=theirs.failed)
    other.close()


def test_equal_calls_with_two_conditions_start_when_either_holds(lab: Lab, engine: Engine) -> None:
    work = lab.task(same)
    one, two = work(1), work(2)
    job = work(3, when=one.succeeded)
    assert work(3, when=two.succeeded) is job
    assert job.terms.condition is not None
    assert job.terms.condition.jobs() == [one, two]
    assert work(3).terms.condition is None, "an equal call without a condition needs none"


def test_a_condition_over_what_depends_on_the_job_is_refused(lab: Lab, engine: Engine) -> None:
    work = lab.task(same)
    one = work(1, when=work(0).succeeded)
    with pytest.raises(JobCycle, match=one.key):
        work(1, when=work(one).succeeded)


def test_members_of_a_race_have_processes_of_their_own(lab: Lab, engine: Engine) -> None:
    work = lab.task(same)
    members, beside = [work(1), work(2)], work(3)
    Racer(lab.launcher)(members)
    assert [job.terms.isolated for job in (*members, beside)] == [True, True, False]


def test_an_unknown_site_is_told_at_the_call(lab: Lab, engine: Engine) -> None:
    with pytest.raises(SiteUnknown, match="mars"):
        lab.task(same)(1, site="mars")
    assert not engine.jobs
