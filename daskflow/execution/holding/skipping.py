"""When a job cannot run because of another one, and what is said of it then."""

from __future__ import annotations

import time

from daskflow.graph.job import Job
from daskflow.model.outcome import Outcome
from daskflow.model.states import JobState


def bad_upstream(job: Job) -> Job | None:
    """An upstream job that has ended without the result that this one needs."""
    bad = [up for up in job.upstream if isinstance(up, Job) and up.state.final and not up.state.good]
    return next((up for up in bad if up.key not in job.terms.lenient), None)


def supplied(job: Job) -> bool:
    """Whether all upstream jobs have ended, however."""
    return all(up.state.final for up in job.upstream if isinstance(up, Job))


def cause_of(bad: Job) -> str:
    """Why those are skipped that need a job without a result: where it was skipped itself, for the same reason."""
    return bad.reason if bad.state is JobState.skipped and bad.reason else f"{bad.key} {bad.state}"


def skipped(job: Job, cause: str) -> Outcome:
    """What is recorded of a job that was skipped."""
    now = time.time()
    return Outcome(job.key, "skipped", 1, now, now, reason=cause)
