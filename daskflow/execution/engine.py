"""The engine of one run: takes jobs, plans and submits them, and settles what becomes of them."""

from __future__ import annotations

import itertools
import pickle
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from daskflow.errors import ForeignJob, JobCycle, RunInterrupted, StoreError
from daskflow.execution.book import Book
from daskflow.execution.dispatch import Packer
from daskflow.execution.package import Bench
from daskflow.execution.plan import Planned, plan, priors, recalled
from daskflow.execution.project import BOXES, Project
from daskflow.execution.roster import Roster
from daskflow.graph.job import Job, lineage
from daskflow.model.outcome import Known, Outcome, Stored
from daskflow.model.states import JobState
from daskflow.sites import Site

FLUSH_AT = 5000
"""So many new jobs are planned and submitted together at the latest."""


class Engine:
    """Performs the jobs of one run.

    Parameters
    ----------
    project
        Where things are remembered and performed.
    run
        Id of the run.
    site
        Name of the default site.

    Notes
    -----
    Any thread may make jobs and wait for them. What the sites tell is handled in one thread of the engine's own, which
    alone changes the states of jobs after they were planned. One lock guards all maps; it is never held while a site
    performs or a store writes.
    """

    def __init__(self, project: Project, run: str, site: str) -> None:
        self.id = run
        self.failure: Exception | None = None
        """Why the run cannot go on; None as long as it can."""
        self.handled: set[str] = set()
        """Keys of failed jobs whose failure the flow has taken note of."""
        self._project = project
        self._site = site
        self._book = Book(project.writer, run, project.journal.numbers(run))
        self._attempts = project.journal.attempts_made(run)
        bench = Bench(run, project.values, str(project.logs / run), str(project.logs / BOXES))
        packer = Packer(pickle.dumps(bench, protocol=5))
        self._roster = Roster(self._book, packer, self._site_of, bundling=project.bundling)
        self.jobs = self._roster.jobs
        self._changed = threading.Condition(threading.RLock())
        self._flushing = threading.Lock()
        self._dispatching = threading.Lock()
        self._due = False
        self._occasions: dict[str, itertools.count[int]] = {}
        self._new: list[Job] = []
        self._sites: dict[str, Site] = {}
        self._inbox: list[Callable[[], None]] = []
        self._stopping = False
        self._thread = threading.Thread(target=self._serve, name=f"daskflow-{run}", daemon=True)
        self._thread.start()
        project.watch(self)

    # What jobs ask of their run.

    def admit(self, job: Job) -> Job:
        """Take a new job; where there is one of that key already, this one is returned.

        Raises
        ------
        ForeignJob
            The job depends on one of another run.
        SiteUnknown
            No site is configured by the name that the call gave.
        """
        known = self.jobs.get(job.key)
        if known is not None:
            return known
        self._site_of(job)
        if any(isinstance(up, Job) and up.host is not self for up in job.upstream):
            job.upstream = tuple([self._own(up, job) if isinstance(up, Job) else up for up in job.upstream])
        with self._changed:
            known = self.jobs.setdefault(job.key, job)
            if known is job:
                job.number = self._book.number(job.key)
                job.host = self
                job.attempts = self._attempts.get(job.number, 0)
                self._new.append(job)
        if len(self._new) >= FLUSH_AT:
            self.flush()
        return known

    def _own(self, up: Job, user: Job) -> Job:
        """The job of this run that has the key of an upstream job, made outside of it or not."""
        for job in lineage([up]) if up.host is not self else ():
            if job.host is None:
                self.admit(job)
            elif job.host is not self:
                raise ForeignJob(
                    f"{user.key} uses {job.key}, a job of the run {job.host.id}; this is the run {self.id}. "
                    "Call the task again here (what is remembered is not done again), or pass its result."
                )
        return self.jobs[up.key]

    def occasion(self, recipe: str) -> str:
        """The how-manieth equal call this is, for tasks that are never remembered."""
        return str(next(self._occasions.setdefault(recipe, itertools.count())))

    def wait(self, job: Job, timeout: float | None = None) -> None:
        """Flush, then block until the job is final.

        Raises
        ------
        TimeoutError
            It was not final in time.
        """
        own = self.jobs[job.key]
        if self.failure is None or not own.state.final:
            self.flush([job.key])
            self._wait_until(lambda: own.state.final, timeout, job.key)
        if own is not job:
            # An equal call outside of any flow: it made a job of its own, before the session was asked.
            job.host, job.number, job.attempts = self, own.number, own.attempts
            job.state, job.reason, job.record = own.state, own.reason, own.record
        if not job.state.good:
            self.handled.add(job.key)

    def wait_all(self) -> None:
        """Flush, then block until everything that was submitted is final."""
        self.flush()
        self._wait_until(lambda: self._roster.open == 0, None, "the run")

    def _wait_until(self, done: Callable[[], bool], timeout: float | None, what: str) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: done() or self.failure is not None, timeout):
                raise TimeoutError(f"{what} was not finished within {timeout:g} s.")
            if not done() and self.failure is not None:
                raise self.failure

    def value(self, job: Job) -> Any:
        """The result of a job that succeeded; a new object at each call."""
        return self._project.values.load(self._complete([job])[job.key])

    def gather(self, jobs: Iterable[Job]) -> dict[str, Any]:
        """The results of jobs that succeeded, by key."""
        return {key: self._project.values.load(stored) for key, stored in self._complete(list(jobs)).items()}

    def _complete(self, jobs: Sequence[Job]) -> dict[str, Stored]:
        """The stored values of jobs with all their bytes: those of cached ones are fetched, all in one query."""
        with self._changed:
            bare = [job for job in jobs if self._roster.stored[job.key].inline is None and not _apart(job)]
        if bare:
            found = self._project.journal.values([job.key for job in bare])
            with self._changed:
                self._roster.stored.update(found)
        return {job.key: self._roster.stored[job.key] for job in jobs}

    def outcome(self, job: Job) -> Outcome | None:
        """What the latest attempt left."""
        return job.record if isinstance(job.record, Outcome) else None

    def log(self, job: Job) -> str:
        """What the job logged and printed, in this run."""
        return self._project.log_of(self.id, job.number)

    # Flushing.

    def flush(self, asked: Sequence[str] = ()) -> None:
        """Plan all jobs made so far, and submit what has to run.

        Raises
        ------
        DaskflowError
            The run cannot go on.
        """
        with self._flushing:
            with self._changed:
                if self.failure is not None:
                    raise self.failure
                new, self._new = self._new, []
                again = [self.jobs[key] for key in asked if self.jobs[key].state is JobState.created]
            again = [job for job in again if job.key not in {n.key for n in new}] if again else []
            try:
                self._check_order(new)
            except JobCycle:
                self._new = [*new, *self._new]  # else the next flush would go on as if they had never been made
                raise
            if new or again:
                self._plan([*again, *new], asked)
            elif self._due:
                self._dispatch()

    def _plan(self, jobs: list[Job], asked: Sequence[str]) -> None:
        try:
            planned = plan(jobs, self._project.journal, self._project.present, asked)
            self._queue(jobs, planned)
        except Exception as error:  # half planned jobs would never be final
            self.fail(error)
            raise
        self._dispatch()

    def _queue(self, jobs: list[Job], planned: Planned) -> None:
        with self._changed:
            if self.failure is not None:  # stopped meanwhile: the jobs have their final states
                raise self.failure
            self._roster.cached(planned.cached)
        both = {job.key: job for job in [*planned.needed, *recalled(planned.needed)]}
        needed = sorted(both.values(), key=lambda job: job.number)
        found = priors(needed, self._project.journal, self._project.file_digest)
        self._fetch_upstream(needed)
        unknown = self._roster.pace.unknown(needed)
        seconds = self._project.journal.durations(unknown) if unknown else {}
        with self._changed:
            if self.failure is not None:
                raise self.failure
            self._roster.pace.learn(seconds)
            self._roster.queue(jobs, needed, found, self._site)
            self._changed.notify_all()

    def _check_order(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            for up in job.upstream:
                if isinstance(up, Job) and not 0 <= up.number < job.number:
                    raise JobCycle(f"{job.key} depends on {up.key}, which was not made before it.")

    def _fetch_upstream(self, needed: Sequence[Job]) -> None:
        known = [
            up
            for job in needed
            for up in job.upstream
            if isinstance(up, Job) and up.state.good and up.key in self._roster.stored
        ]
        self._complete(list({job.key: job for job in known}.values()))

    def _site_of(self, job: Job) -> Site:
        name = job.site or self._site
        site = self._sites.get(name)
        if site is None:
            site = self._sites[name] = self._project.site(name)
        return site

    def _dispatch(self) -> None:
        """Submit those of the held jobs whose upstream values are there or on their way."""
        # One thread at a time, so that shipments leave in the order in which they refer to each other. Whoever comes
        # while another is at it leaves the work to that one: it may take long where the site is synchronous.
        self._due = True
        while self._due and self._dispatching.acquire(blocking=False):
            try:
                self._due = False
                self._dispatch_once()
            finally:
                self._dispatching.release()

    def _dispatch_once(self) -> None:
        try:
            with self._changed:
                shipments = self._roster.pack() if self.failure is None else []
                self._changed.notify_all()
            for site, shipment in shipments:
                site.submit(shipment.nodes, shipment.kept, self, shipment.foreign)
        except Exception as error:  # whatever it is, those who wait must hear of it
            self.fail(error)
        except BaseException:
            # Ctrl-C on a synchronous site. Who asks again gets what was not performed.
            with self._changed:
                self._handle_inbox()
                self._roster.hold(self._roster.flights.recall())
                self._due = True
            raise
        finally:
            with self._changed:
                self._roster.flights.arrived()

    # What sites tell: the listener.

    def performed(self, records: Sequence[bytes]) -> None:
        """Take records of what was performed; returns at once."""
        self._post(lambda: self._take(records))

    def lost(self, key: str, reason: str, culprit: str) -> None:
        """Take note that a node will not be performed; returns at once."""
        self._post(lambda: self._lose(key, reason, culprit))

    def fail(self, error: Exception) -> None:
        """Stop: the run cannot go on."""
        with self._changed:
            self.failure = self.failure or error
            self._changed.notify_all()

    def _post(self, action: Callable[[], None]) -> None:
        with self._changed:
            self._inbox.append(action)
            self._changed.notify_all()

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._inbox or self._stopping)
                if not self._inbox and self._stopping:
                    return
            try:
                self._handle_inbox()
                if self._roster.held:
                    self._dispatch()
            except Exception as error:  # whatever it is, those who wait must hear of it
                self.fail(error)

    def _handle_inbox(self) -> None:
        with self._changed:
            actions, self._inbox = self._inbox, []
        for action in actions:
            action()

    def _take(self, records: Sequence[bytes]) -> None:
        outcomes = [outcome for record in records for outcome in pickle.loads(record)]
        with self._changed:
            self._roster.take(outcomes)
            self._changed.notify_all()

    def _lose(self, key: str, reason: str, culprit: str) -> None:
        with self._changed:
            self._roster.lose(key, reason, culprit)
            self._changed.notify_all()

    # The end.

    def note_running(self) -> None:
        """Bring the state `running` up to date."""
        for site in list(self._sites.values()):
            keys = site.running()
            with self._changed:
                self._roster.running(keys)

    def stop(self, state: JobState | None = None) -> None:
        """Let go of everything that is not final; jobs get the given state, or stay as they are to be resumed."""
        with self._changed:
            self.failure = self.failure or RunInterrupted(
                f"The run {self.id} was stopped; `daskflow resume {self.id}` goes on where it was."
            )
            self._roster.stop(state)
            self._changed.notify_all()

    def close(self) -> None:
        """End the engine's thread and write what is left.

        Raises
        ------
        StoreError
            Not everything could be written.
        """
        with self._changed:
            self._stopping = True
            self.failure = self.failure or RunInterrupted(f"The run {self.id} has ended: it takes no jobs any more.")
            self._changed.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join()
        for site in list(self._sites.values()):
            site.leave(self)
        if not isinstance(self.failure, StoreError):
            self._project.writer.flush()


def _apart(job: Job) -> bool:
    """Whether the value of a good job lies in the artifact store, when its bytes are not at hand."""
    return not isinstance(job.record, Known) or job.record.apart
