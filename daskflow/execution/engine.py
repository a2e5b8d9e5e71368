"""The engine of one run: takes jobs, plans and submits them, and settles what becomes of them."""

from __future__ import annotations

import itertools
import pickle
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from daskflow.errors import DaskflowError, ForeignJob, JobCycle, StoreError
from daskflow.execution.book import Book
from daskflow.execution.bundles import TINY, bundle
from daskflow.execution.dispatch import Packer, Shipment
from daskflow.execution.package import Bench
from daskflow.execution.plan import Prior, plan, priors, recalled
from daskflow.execution.project import BOXES, Project
from daskflow.graph.job import Job, lineage
from daskflow.model.outcome import Failure, Known, Outcome, Stored
from daskflow.model.states import JobState
from daskflow.sites import Site

FLUSH_AT = 5000
"""So many new jobs are planned and submitted together at the latest."""
PROBES = 2
"""Of a task whose duration nobody knows, so many jobs for each slot go first; the others wait for what these teach."""


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
        self.jobs: dict[str, Job] = {}
        self.failure: Exception | None = None
        """Why the run cannot go on; None as long as it can."""
        self.handled: set[str] = set()
        """Keys of failed jobs whose failure the flow has taken note of."""
        self._project = project
        self._site = site
        self._book = Book(project.writer, run, project.journal.numbers(run))
        self._attempts = project.journal.attempts_made(run)
        bench = Bench(run, project.values, str(project.logs / run), str(project.logs / BOXES))
        self._packer = Packer(pickle.dumps(bench, protocol=5))
        self._changed = threading.Condition(threading.RLock())
        self._flushing = threading.Lock()
        self._dispatching = threading.Lock()
        self._due = False
        self._occasions: dict[str, itertools.count[int]] = {}
        self._new: list[Job] = []
        self._held: dict[str, Job] = {}
        self._stored: dict[str, Stored] = {}
        self._priors: dict[str, Prior] = {}
        self._nodes: dict[str, tuple[Site, list[Job], int]] = {}
        self._flying: dict[str, str] = {}
        self._node_of: dict[str, str] = {}
        self._seconds: dict[str, float] = {}
        self._probing: dict[str, int] = {}
        self._open = 0
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
        """
        known = self.jobs.get(job.key)
        if known is not None:
            return known
        for up in job.upstream:
            if isinstance(up, Job) and up.host is not self:
                self._adopt(up, job)
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

    def _adopt(self, up: Job, user: Job) -> None:
        for job in lineage([up]):
            if job.host is None:
                self.admit(job)
            elif job.host is not self:
                raise ForeignJob(
                    f"{user.key} uses {job.key}, a job of the run {job.host.id}; this is the run {self.id}. "
                    "Call the task again here (what is remembered is not done again), or pass its result."
                )

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
        self.flush([job.key])
        self._wait_until(lambda: job.state.final, timeout, job.key)
        if not job.state.good:
            self.handled.add(job.key)

    def wait_all(self) -> None:
        """Flush, then block until everything that was submitted is final."""
        self.flush()
        self._wait_until(lambda: self._open == 0, None, "the run")

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
            bare = [job for job in jobs if self._stored[job.key].inline is None and not _apart(job)]
        if bare:
            found = self._project.journal.values([job.key for job in bare])
            with self._changed:
                self._stored.update(found)
        return {job.key: self._stored[job.key] for job in jobs}

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
        if self.failure is not None:
            raise self.failure
        with self._flushing:
            with self._changed:
                new, self._new = self._new, []
                again = [self.jobs[key] for key in asked if self.jobs[key].state is JobState.created]
            again = [job for job in again if job.key not in {n.key for n in new}] if again else []
            if new or again:
                self._plan([*again, *new], asked)

    def _plan(self, jobs: list[Job], asked: Sequence[str]) -> None:
        self._check_order(jobs)
        planned = plan(jobs, self._project.journal, self._project.present, asked)
        with self._changed:
            for job, known in planned.cached:
                job.state, job.reason, job.record = JobState.cached, f"known since run {known.run}", known
                self._stored[job.key] = known.stored
        both = {job.key: job for job in [*planned.needed, *recalled(planned.needed)]}
        needed = sorted(both.values(), key=lambda job: job.number)
        self._priors.update(priors(needed, self._project.journal))
        self._learn_durations(needed)
        with self._changed:
            for job in needed:
                job.state = JobState.queued
            self._open += len(needed)
            self._held.update((job.key, job) for job in needed)
            self._book.planned(jobs, needed, self._site)
        self._fetch_upstream(needed)
        self._dispatch()
        with self._changed:
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
            if isinstance(up, Job) and up.state.good and up.key in self._stored
        ]
        self._complete(list({job.key: job for job in known}.values()))

    def _learn_durations(self, jobs: Sequence[Job]) -> None:
        unknown = {job.task.policy.name for job in jobs} - self._seconds.keys()
        if unknown:
            self._seconds.update(self._project.journal.durations(unknown))

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
        shipments: list[tuple[Site, Shipment]] = []
        with self._changed:
            if self.failure is not None:
                return
            for site, going in self._ready().items():
                seconds = self._tiny(going) if site.bundles and self._project.bundling else {}
                groups = bundle(going, seconds, site.slots)
                shipment = self._packer.ship(groups, self._stored, self._flying, self._priors)
                shipments.append((site, shipment))
                self._depart(site, shipment)
        for site, shipment in shipments:
            try:
                site.submit(shipment.nodes, shipment.kept, self, shipment.foreign)
            except DaskflowError as error:
                self.fail(error)
                return

    def _ready(self) -> dict[Site, list[Job]]:
        ready: dict[Site, list[Job]] = {}
        going: dict[str, Site] = {}
        counts: dict[str, int] = {}
        for job in self._held.values():
            counts[job.task.policy.name] = counts.get(job.task.policy.name, 0) + 1
        for job in list(self._held.values()):
            bad = _bad_upstream(job)
            if bad is not None:
                self._settle(_skipped(job, bad))
                continue
            site = self._site_of(job)
            if all(self._reachable(up, site, going) for up in job.upstream) and not self._waits(job, site, counts):
                ready.setdefault(site, []).append(job)
                going[job.key] = site
                del self._held[job.key]
        return ready

    def _reachable(self, up: Any, site: Site, going: dict[str, Site]) -> bool:
        if not isinstance(up, Job) or up.state.good:
            return True
        if up.key in going:
            return going[up.key] is site
        return up.key in self._flying and self._nodes[self._flying[up.key]][0] is site

    def _waits(self, job: Job, site: Site, counts: dict[str, int]) -> bool:
        """Whether a job is held until the first ones of its task have shown how long they take."""
        name = job.task.policy.name
        limit = PROBES * site.slots
        if not site.bundles or not self._project.bundling or name in self._seconds or counts[name] <= 2 * limit:
            return False
        if self._probing.get(name, 0) >= limit:
            return True
        self._probing[name] = self._probing.get(name, 0) + 1
        return False

    def _tiny(self, jobs: Sequence[Job]) -> dict[str, float]:
        found = {}
        for job in jobs:
            policy = job.task.policy
            seconds = self._seconds.get(policy.name)
            if seconds is not None and seconds <= TINY and policy.timeout is None and job.key not in self._book.alone:
                found[job.key] = seconds
        return found

    def _depart(self, site: Site, shipment: Shipment) -> None:
        kept = set(shipment.kept)
        for key, group in shipment.members.items():
            self._nodes[key] = (site, group, len(group))
            self._node_of.update((job.key, key) for job in group)
            if len(group) == 1 and key in kept:
                self._flying[group[0].key] = key

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
                actions, self._inbox = self._inbox, []
                if not actions and self._stopping:
                    return
            try:
                for action in actions:
                    action()
                if self._held:
                    self._dispatch()
            except Exception as error:  # whatever it is, those who wait must hear of it
                self.fail(error)

    def _take(self, records: Sequence[bytes]) -> None:
        outcomes = [outcome for record in records for outcome in pickle.loads(record)]
        with self._changed:
            for outcome in outcomes:
                job = self.jobs.get(outcome.key)
                if job is not None and not job.state.final:
                    self._settle(outcome)
            self._book.write(self._priors)
            self._changed.notify_all()

    def _settle(self, outcome: Outcome) -> None:
        """An attempt ended; where it was the last one, so did the job."""
        job = self.jobs[outcome.key]
        job.record = outcome
        if outcome.state != JobState.skipped:
            job.attempts = outcome.attempt
        self._book.ended(job, outcome)
        if not outcome.final:
            return
        job.state, job.reason = JobState(outcome.state), outcome.reason
        self._held.pop(job.key, None)
        self._open -= 1
        if outcome.value is not None:
            self._stored[job.key] = outcome.value
        name = job.task.policy.name
        if outcome.state in (JobState.succeeded, JobState.failed):
            self._learn(name, outcome.stop - outcome.start)
        elif self._probing.get(name):
            self._probing[name] -= 1
        self._land(job)

    def _learn(self, name: str, seconds: float) -> None:
        known = self._seconds.get(name)
        self._seconds[name] = seconds if known is None else known + (seconds - known) * 0.05

    def _land(self, job: Job) -> None:
        """A job needs its node no more; when all jobs of the node are final, nor does the site."""
        self._flying.pop(job.key, None)
        node = self._node_of.pop(job.key, "")
        found = self._nodes.get(node)
        if found is None:
            return
        site, group, left = found
        if left > 1:
            self._nodes[node] = (site, group, left - 1)
            return
        del self._nodes[node]
        site.release([node])

    def _lose(self, key: str, reason: str, culprit: str) -> None:
        with self._changed:
            site, group, _ = self._nodes.pop(key, (None, [], 0))
            if site is not None:
                site.release([key])
            for job in [job for job in group if not job.state.final]:
                self._flying.pop(job.key, None)
                self._lose_job(job, reason, guilty=job.key == culprit or len(group) == 1)
            self._book.write(self._priors)
            self._changed.notify_all()

    def _lose_job(self, job: Job, reason: str, *, guilty: bool) -> None:
        bad = _bad_upstream(job)
        if bad is not None:
            self._settle(_skipped(job, bad))
        elif guilty:
            now = time.time()
            failure = Failure("daskflow.errors.WorkerLost", reason, "")
            self._settle(Outcome(job.key, "failed", job.attempts + 1, now, now, failure=failure, reason="worker lost"))
        else:
            # Another member of the bundle did it, or nobody knows which; alone, only that one will be lost again.
            self._book.alone.add(job.key)
            self._held[job.key] = job

    # The end.

    def running(self) -> list[Job]:
        """The jobs that are being performed now."""
        found = []
        for site in list(self._sites.values()):
            for key in site.running():
                node = self._nodes.get(key)
                found.extend([job for job in node[1] if not job.state.final][:1] if node else [])
        return found

    def note_running(self) -> None:
        """Bring the state `running` up to date."""
        jobs = self.running()
        with self._changed:
            self._book.running([job for job in jobs if job.state is JobState.queued])
            for job in jobs:
                if job.state is JobState.queued:
                    job.state = JobState.running

    def stop(self, state: JobState | None = None) -> None:
        """Let go of everything that is not final; jobs get the given state, or stay as they are to be resumed."""
        with self._changed:
            nodes, self._nodes = self._nodes, {}
            self._held.clear()
            for key, (site, _, _) in nodes.items():
                site.release([key])
            for job in self.jobs.values():
                if state is not None and not job.state.final:
                    job.state = state
                    self._book.state(job)
            self._book.write(self._priors)
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
            self._changed.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join()
        for site in self._sites.values():
            site.leave(self)
        self._book.write(self._priors)
        if not isinstance(self.failure, StoreError):
            self._project.writer.flush()


def _bad_upstream(job: Job) -> Job | None:
    return next((up for up in job.upstream if isinstance(up, Job) and up.state.final and not up.state.good), None)


def _apart(job: Job) -> bool:
    """Whether the value of a good job lies in the artifact store, when its bytes are not at hand."""
    return not isinstance(job.record, Known) or job.record.apart


def _skipped(job: Job, bad: Job) -> Outcome:
    now = time.time()
    cause = bad.reason if bad.state is JobState.skipped and bad.reason else f"{bad.key} {bad.state}"
    return Outcome(job.key, "skipped", 1, now, now, reason=cause)
