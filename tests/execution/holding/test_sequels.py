from __future__ import annotations

from typing import Any

import pytest

from daskflow.errors import JobCycle
from daskflow.execution.holding.sequels import Left, Sequels
from daskflow.graph.job import Job
from daskflow.model.outcome import Outcome
from daskflow.model.states import JobState
from tests.graph.projects import task


def add(x: Any, y: Any = 0) -> Any:
    return x + y


plus = task(add)


def left(job: Job, *made: Job) -> Left:
    return Left(job, Outcome(job.key, "waiting", 1, 0.0, 1.0, final=False), list(made))


def end(sequels: Sequels, job: Job) -> None:
    job.state = JobState.succeeded
    sequels.note(job)


def test_a_job_is_complete_when_all_that_it_returned_has_ended() -> None:
    sequels, outer, one, two = Sequels(), plus(0), plus(1), plus(2)
    sequels.begin(left(outer, one, two))
    assert sequels.made_by(outer) == [one, two]
    end(sequels, two)
    assert (sequels.ready(), sequels.changed) == ([], False)
    end(sequels, one)
    assert sequels.changed
    assert [found.job for found in sequels.ready()] == [outer]
    assert not sequels.changed


def test_what_has_ended_already_is_not_waited_for() -> None:
    sequels, outer, one = Sequels(), plus(0), plus(1)
    one.state = JobState.cached
    sequels.begin(left(outer, one))
    assert [found.job for found in sequels.ready()] == [outer]


def test_new_ones_are_given_out_once() -> None:
    sequels, outer = Sequels(), plus(0)
    sequels.add(outer, Outcome(outer.key, "waiting", 1, 0.0, 1.0, final=False))
    assert [found.job for found in sequels.fresh()] == [outer]
    assert sequels.fresh() == []


def test_jobs_that_wait_for_each_other_are_refused() -> None:
    sequels, one, two = Sequels(), plus(1), plus(2)
    with pytest.raises(JobCycle, match="cannot end before it"):
        sequels.begin(left(one, plus(one)))
    sequels.begin(left(one, plus(two)))
    with pytest.raises(JobCycle):
        sequels.begin(left(two, one))


def test_a_cancelled_job_waits_for_nothing() -> None:
    sequels, outer, one = Sequels(), plus(0), plus(1)
    sequels.begin(left(outer, one))
    outer.state = JobState.cancelled
    sequels.note(outer)
    end(sequels, one)
    assert sequels.ready() == []
