"""Gives the values of the jobs of one run: from memory, from the journal, from the artifact store."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Any

from daskflow.errors import JobCancelled, JobSkipped
from daskflow.execution.project import Project
from daskflow.execution.worker.failures import describe
from daskflow.execution.worker.identities import identify_classes
from daskflow.graph.job import Job
from daskflow.model.outcome import Failure, Known, Outcome, Stored


class Results:
    """The values of the jobs of one run.

    Parameters
    ----------
    project
        Where values lie.
    stored
        The values that are known to be there, by key; shared with the roster.
    lock
        Guards them.

    Notes
    -----
    Safe for threads; to be called without the lock, since it asks the store.
    """

    def __init__(self, project: Project, stored: dict[str, Stored], lock: threading.Condition) -> None:
        self._project = project
        self._stored = stored
        self._lock = lock

    def value(self, job: Job) -> Any:
        """The result of a job that succeeded; a new object at each call."""
        return self.load(self.complete([job])[job.key], job)

    def gather(self, jobs: Iterable[Job]) -> dict[str, Any]:
        """The results of jobs that succeeded, by key."""
        asked = list(jobs)
        stored = self.complete(asked)
        return {job.key: self.load(stored[job.key], job) for job in asked}

    def complete(self, jobs: Sequence[Job]) -> dict[str, Stored]:
        """The stored values of jobs with all their bytes: those of cached ones are fetched, all in one query."""
        with self._lock:
            bare = [job for job in jobs if self._stored[job.key].inline is None and not _apart(job)]
        if bare:
            found = self._project.journal.values([job.key for job in bare])
            with self._lock:
                self._stored.update(found)
        return {job.key: self._stored[job.key] for job in jobs}

    def load(self, stored: Stored, job: Job | None = None) -> Any:
        """A stored value, which a job may have made; classes of scripts that are here already are not made anew."""
        if stored.format.startswith("cloudpickle"):
            identify_classes([job.task.__module__] if job is not None else [])
        return self._project.values.load(stored)

    def dump(self, value: Any) -> Stored:
        """Store a value that the run itself made."""
        return self._project.values.dump(value)

    def fetch_upstream(self, needed: Sequence[Job]) -> None:
        """Have at hand what jobs that are to be sent away need; failures that are passed on as values, too."""
        above = {up.key: up for job in needed for up in job.upstream if isinstance(up, Job)}
        self.complete([up for up in above.values() if up.state.good and up.key in self._stored])
        passed = {key for job in needed for key in job.terms.lenient}
        failures = {key: self.dump(failure_of(above[key])) for key in passed if _bad(above[key])}
        with self._lock:
            self._stored.update(failures)


def failure_of(job: Job) -> Failure:
    """Why a job that is final has no result, as a value for others."""
    outcome = job.record if isinstance(job.record, Outcome) else None
    if outcome is not None and outcome.failure is not None:
        return outcome.failure
    error = job.error()
    assert isinstance(error, (JobSkipped, JobCancelled)) or job.reason
    return describe(error)


def _bad(job: Job) -> bool:
    return job.state.final and not job.state.good


def _apart(job: Job) -> bool:
    """Whether the value of a good job lies in the artifact store, when its bytes are not at hand."""
    return not isinstance(job.record, Known) or job.record.apart
