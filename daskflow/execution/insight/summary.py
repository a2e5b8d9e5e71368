"""Sums up a recorded run: counts, times, CPU, memory, failures."""

from __future__ import annotations

import time
from collections import Counter
from functools import cached_property
from typing import NamedTuple

from daskflow.model.records import AttemptRecord, EventRecord, JobRecord, ReportRecord, RunRecord
from daskflow.model.states import JobState
from daskflow.stores import Journal


class Failed(NamedTuple):
    """A failed job."""

    job: JobRecord
    attempt: AttemptRecord | None
    """The last one; None where the job failed without any."""

    @property
    def error(self) -> str:
        """The error in one line."""
        if self.attempt is None or not self.attempt.error_type:
            return self.job.reason or "failed"
        first = self.attempt.error_message.strip().split("\n")[0]
        return f"{self.attempt.error_type}: {first}" if first else self.attempt.error_type


class Summary:
    """A run, with what is recorded of its jobs.

    Parameters
    ----------
    run
        The run as it is recorded.
    jobs, attempts
        In the order of the calls.
    reports, events
        As the journal gives them.
    """

    def __init__(
        self,
        run: RunRecord,
        jobs: list[JobRecord],
        attempts: list[AttemptRecord],
        reports: list[ReportRecord],
        events: list[EventRecord],
    ) -> None:
        self.run = run
        self.jobs = jobs
        self.attempts = attempts
        self.reports = reports
        self.events = events

    @cached_property
    def counts(self) -> dict[str, Counter[str]]:
        """How many jobs of each task are in each state; tasks in the order of their first calls."""
        found: dict[str, Counter[str]] = {}
        for job in self.jobs:
            found.setdefault(job.task, Counter())[str(job.state)] += 1
        return found

    @cached_property
    def states(self) -> Counter[str]:
        """How many jobs are in each state."""
        return sum(self.counts.values(), Counter())

    @cached_property
    def by_number(self) -> dict[int, JobRecord]:
        """The jobs by their numbers."""
        return {job.number: job for job in self.jobs}

    @cached_property
    def attempts_of(self) -> dict[int, list[AttemptRecord]]:
        """The attempts at each job, by its number."""
        found: dict[int, list[AttemptRecord]] = {}
        for attempt in self.attempts:
            found.setdefault(attempt.number, []).append(attempt)
        return found

    @cached_property
    def latest(self) -> dict[int, AttemptRecord]:
        """The latest attempt at each job, by its number."""
        return {attempt.number: attempt for attempt in self.attempts}

    @property
    def failures(self) -> list[Failed]:
        """The jobs that failed."""
        bad = [job for job in self.jobs if job.state is JobState.failed]
        return [Failed(job, self.latest.get(job.number)) for job in bad]

    @property
    def seconds(self) -> float:
        """How long the run took since it was last started, or has taken by now [s]."""
        began = self.run.started or self.run.created
        return max(0.0, (self.run.stopped or (time.time() if not self.run.state.final else began)) - began)

    @property
    def busy(self) -> float:
        """Time that all attempts took together [s]."""
        return sum(attempt.stop - attempt.start for attempt in self.attempts)

    @property
    def cpu(self) -> float:
        """CPU time of all attempts together [s]."""
        return sum(attempt.cpu for attempt in self.attempts)

    @property
    def memory(self) -> int:
        """Highest memory that one worker process took during an attempt [bytes]."""
        return max((attempt.memory for attempt in self.attempts), default=0)


def summarize(journal: Journal, ident: str) -> Summary:
    """Sum up a recorded run.

    Raises
    ------
    NotFound
        No such run.
    """
    run = journal.run(ident)
    return Summary(run, journal.jobs(run.id), journal.attempts(run.id), journal.reports(run.id), journal.events(run.id))
