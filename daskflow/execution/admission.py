"""Takes the new jobs of one run, until they are planned."""

from __future__ import annotations

import itertools
import threading
from typing import Any

from daskflow.errors import ForeignJob, JobCycle
from daskflow.execution.book import Book
from daskflow.execution.holding.waiting import Waiting
from daskflow.graph.drafts import Drafts
from daskflow.graph.facts import JobFact, RunFact
from daskflow.graph.gate import Gatekeeper
from daskflow.graph.job import PLAIN, Job, above, lineage
from daskflow.graph.metrics import MetricFact
from daskflow.graph.race import Racer
from daskflow.model.states import JobState


class Admission:
    """Takes the new jobs of one run.

    Parameters
    ----------
    host
        The engine: what the jobs get as their host.
    book
        Gives them their numbers.
    waiting
        Keeps those whose conditions may still be widened.
    lock
        Guards the jobs of the run.

    Notes
    -----
    Safe for threads.
    """

    def __init__(self, host: Any, book: Book, waiting: Waiting, lock: threading.Condition) -> None:
        self._host = host
        self._book = book
        self._waiting = waiting
        self._lock = lock
        self._attempts: dict[int, int] = host.project.journal.attempts_made(host.id)
        self._occasions: dict[str, itertools.count[int]] = {}
        self._new: list[Job] = []
        self.drafts = Drafts()
        """What becomes jobs when the run needs them."""

    @property
    def count(self) -> int:
        """How many jobs are to be planned."""
        return len(self._new)

    def taken(self) -> list[Job]:
        """The jobs that were taken since this was asked last, upstream first; to be called with the lock held.

        Raises
        ------
        JobCycle
            One depends on another that was made after it; all of them stay.
        """
        for job in self._new:
            for up in job.upstream if job.terms is PLAIN else above(job):
                if isinstance(up, Job) and not 0 <= up.number < job.number:
                    raise JobCycle(f"{job.key} depends on {up.key}, which was not made before it.")
        new, self._new = self._new, []
        return new

    def occasion(self, recipe: str) -> str:
        """The how-manieth equal call this is."""
        return str(next(self._occasions.setdefault(recipe, itertools.count())))

    def admit(self, job: Job) -> Job:
        """Take a new job, or give the one that has its key already.

        Raises
        ------
        ForeignJob
            The job depends on one of another run.
        JobCycle
            Its condition tells of a job that depends on it.
        SiteUnknown
            No site is configured by the name that the call gave.
        """
        jobs = self._host.jobs
        known: Job | None = jobs.get(job.key)
        if known is not None:
            return known if known.terms is PLAIN else self._widened(known, job)
        self._host.places.of(job)
        if any(isinstance(up, Job) and up.host is not self._host for up in job.upstream):
            job.upstream = tuple([self._own(up, job) if isinstance(up, Job) else up for up in job.upstream])
        if job.terms is not PLAIN or isinstance(job.task, Gatekeeper):
            self._admit_terms(job)
        with self._lock:
            taken: Job = jobs.setdefault(job.key, job)
            # Two threads may bring the same job at once: who comes second finds it with its host.
            if taken is job and job.host is not self._host:
                job.number = self._book.number(job.key)
                job.host = self._host
                job.attempts = self._attempts.get(job.number, 0)
                self._new.append(job)
        return taken

    def _admit_terms(self, job: Job) -> None:
        for other in above(job):
            self._own(other, job)
        for fact in job.terms.condition.facts if job.terms.condition is not None else ():
            if isinstance(fact, (JobFact, MetricFact)):
                # An equal call outside of any flow made a job of its own, of which the run knows nothing.
                fact.job = self._own(fact.job, job)
                if isinstance(fact, MetricFact):
                    self._host.watch(fact)
            elif isinstance(fact, RunFact):
                fact.run.tell(self._host.nudge)
        if isinstance(job.task, Gatekeeper):
            job.arguments[0].run.tell(self._host.nudge)
        if isinstance(job.task, Racer) and isinstance(job.arguments[0].where, MetricFact):
            self._host.meter([up for up in job.upstream if isinstance(up, Job)])
        if isinstance(job.task, Racer):
            # A member may have to be killed without its neighbours.
            with self._lock:
                for up in job.upstream:
                    if isinstance(up, Job) and up.state in (JobState.created, JobState.waiting):
                        up.terms = up.terms._replace(isolated=True)

    def _widened(self, known: Job, again: Job) -> Job:
        """An equal call with another condition: the job may start when either holds."""
        old, new = known.terms.condition, again.terms.condition
        if old is None or known.state not in (JobState.created, JobState.waiting):
            return known
        if new is not None:
            for other in new.jobs():
                self._own(other, again)
            if any(job.key == known.key for job in lineage(new.jobs())):
                raise JobCycle(f"{known.key} would have to wait for {new.text()}, which is decided only after it.")
        with self._lock:
            known.terms = known.terms._replace(condition=None if new is None else old | new)
            self._waiting.reconsider(known)
        self._host.nudge()
        return known

    def _own(self, up: Job, user: Job) -> Job:
        """The job of this run that has the key of an upstream job, made outside of it or not."""
        for job in lineage([up]) if up.host is not self._host else ():
            if job.host is None:
                self.admit(job)
            elif job.host is not self._host:
                raise ForeignJob(
                    f"{user.key} uses {job.key}, a job of the run {job.host.id}; this is the run {self._host.id}. "
                    "Call the task again here (what is remembered is not done again), or pass its result."
                )
        own: Job = self._host.jobs[up.key]
        return own
