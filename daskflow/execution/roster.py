"""Keeps where each job of one run stands, and decides which go next and what becomes of them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from daskflow.execution.book import Book
from daskflow.execution.bundles import Group, bundle
from daskflow.execution.dispatch import Packer, Shipment
from daskflow.execution.failures import describe
from daskflow.execution.flights import Flights
from daskflow.execution.pace import Pace
from daskflow.execution.plan import Prior
from daskflow.graph.job import Job
from daskflow.model.outcome import Failure, Known, Outcome, Stored
from daskflow.model.states import JobState
from daskflow.sites import Site


class Roster:
    """The jobs of one run.

    Parameters
    ----------
    book
        Gets what is to be recorded.
    packer
        Makes what sites get.
    site_of
        Gives the site of a job.
    bundling
        Whether tiny jobs share a node.

    Notes
    -----
    Not safe for threads, and asks neither sites nor the store: its engine calls it with its lock held. Jobs that are
    queued are held here, or perform on a site (`flights`), until they are final.
    """

    def __init__(self, book: Book, packer: Packer, site_of: Callable[[Job], Site], *, bundling: bool) -> None:
        self.jobs: dict[str, Job] = {}
        """All jobs by key."""
        self.stored: dict[str, Stored] = {}
        """The results that are there, by key."""
        self.open = 0
        """How many jobs were queued and are not final."""
        self.flights = Flights()
        self.pace = Pace()
        self._book = book
        self._packer = packer
        self._site_of = site_of
        self._bundling = bundling
        self._held: dict[str, Job] = {}
        self._priors: dict[str, Prior] = {}

    @property
    def held(self) -> bool:
        """Whether some jobs wait for others."""
        return bool(self._held)

    def cached(self, found: Iterable[tuple[Job, Known]]) -> None:
        """Jobs whose results are known."""
        for job, known in found:
            job.state, job.reason, job.record = JobState.cached, f"known since run {known.run}", known
            self.stored[job.key] = known.stored

    def queue(self, jobs: Sequence[Job], needed: Sequence[Job], priors: Mapping[str, Prior], site: str) -> None:
        """Jobs were planned, and some of them, or of earlier ones, have to run.

        Parameters
        ----------
        needed
            Upstream first.
        priors
            What early cutoff knows.
        site
            Name of the default site.
        """
        self._priors.update(priors)
        for job in needed:
            job.state = JobState.queued
        self.open += len(needed)
        self._held.update((job.key, job) for job in needed)
        self._book.planned(jobs, needed, site)

    def pack(self) -> list[tuple[Site, Shipment]]:
        """What is to be submitted now: those held jobs whose upstream values are there or on their way."""
        shipments: list[tuple[Site, Shipment]] = []
        refused = False
        for site, going in self._ready().items():
            bundling = site.bundles and self._bundling
            groups = bundle(going, self.pace.tiny(going, self._book.alone) if bundling else {}, site.slots)
            shipment = self._shipment(groups)
            if isinstance(shipment, Exception):
                self._refuse(going, shipment)
                refused = True
            else:
                shipments.append((site, shipment))
                self.flights.depart(site, shipment)
        self._book.write(self._priors)
        return [*shipments, *self.pack()] if refused else shipments

    def _shipment(self, groups: Sequence[Group]) -> Shipment | Exception:
        try:
            return self._packer.ship(groups, self.stored, self.flights.kept, self._priors)
        except Exception as error:  # what is to be packed is the user's: it may raise whatever it likes
            return error

    def _refuse(self, jobs: Sequence[Job], error: Exception) -> None:
        """Some of these jobs cannot be packed: they fail, the others go next."""
        faults = {job.key: fault for job in jobs if (fault := self._packer.fault(job)) is not None}
        if not faults:
            raise error
        self.hold([job for job in jobs if job.key not in faults])
        now = time.time()
        for key, fault in faults.items():
            number = self.jobs[key].attempts + 1
            self._settle(Outcome(key, "failed", number, now, now, failure=describe(fault), reason="cannot be sent"))

    def hold(self, jobs: Iterable[Job]) -> None:
        """Jobs that departed, or nearly, wait again."""
        for job in jobs:
            self.pace.returned(job)
            self._held[job.key] = job
            if job.state is JobState.running:
                job.state = JobState.queued
                self._book.state(job)

    def _ready(self) -> dict[Site, list[Job]]:
        ready: dict[Site, list[Job]] = {}
        going: dict[str, Site] = {}
        counts = Counter(job.task.policy.name for job in self._held.values())
        for job in list(self._held.values()):
            bad = _bad_upstream(job)
            if bad is not None:
                self._settle(_skipped(job, bad))
                continue
            site = self._site_of(job)
            if not all(self._reachable(up, site, going) for up in job.upstream):
                continue
            if self._bundling and site.bundles and self.pace.waits(job, site.slots, counts[job.task.policy.name]):
                continue
            ready.setdefault(site, []).append(job)
            going[job.key] = site
            del self._held[job.key]
        return ready

    def _reachable(self, up: Any, site: Site, going: dict[str, Site]) -> bool:
        if not isinstance(up, Job) or up.state.good:
            return True
        return going[up.key] is site if up.key in going else self.flights.reaches(up, site)

    def take(self, outcomes: Sequence[Outcome]) -> None:
        """Attempts ended."""
        for outcome in outcomes:
            job = self.jobs.get(outcome.key)
            if job is not None and not job.state.final:
                self._settle(outcome)
        self._book.write(self._priors)
        for outcome in outcomes:
            if outcome.final:
                self._priors.pop(outcome.key, None)

    def _settle(self, outcome: Outcome) -> None:
        """An attempt ended; where it was the last one, so did the job."""
        job = self.jobs[outcome.key]
        # Of the two texts that are equal one goes: there may be very many jobs.
        job.record = outcome = outcome._replace(key=job.key)
        if outcome.state != JobState.skipped:
            job.attempts = outcome.attempt
        self._book.ended(job, outcome, self.pace.usual(job))
        if not outcome.final:
            return
        job.state, job.reason = JobState(outcome.state), outcome.reason
        self._held.pop(job.key, None)
        self.open -= 1
        if outcome.value is not None:
            self.stored[job.key] = outcome.value
        self.pace.ended(job, outcome)
        self.flights.land(job)

    def lose(self, key: str, reason: str, culprit: str) -> None:
        """A node will not be performed any more.

        Parameters
        ----------
        culprit
            Key of the job that did it; empty where that is not known.
        """
        group = self.flights.lose(key)
        for job in group:
            self._lose_job(job, reason, guilty=job.key == culprit or len(group) == 1)
        self._book.write(self._priors)

    def _lose_job(self, job: Job, reason: str, *, guilty: bool) -> None:
        bad = _bad_upstream(job)
        if bad is not None:
            self._settle(_skipped(job, bad))
        elif guilty and all(up.state.good for up in job.upstream if isinstance(up, Job)):
            now = time.time()
            failure = Failure("daskflow.errors.WorkerLost", reason, "")
            self._settle(Outcome(job.key, "failed", job.attempts + 1, now, now, failure=failure, reason="worker lost"))
        else:
            # Another member of the bundle did it, or a node that this one depends on, or nobody knows which; alone,
            # only that one will be lost again.
            self._book.alone.add(job.key)
            self.hold([job])

    def running(self, keys: Iterable[str]) -> None:
        """Nodes are being performed."""
        fresh = [job for job in self.flights.performed_now(keys) if job.state is JobState.queued]
        for job in fresh:
            job.state = JobState.running
        self._book.running(fresh)

    def stop(self, state: JobState | None) -> None:
        """Let go of everything that is not final; jobs get the given state, or stay as they are."""
        self.flights.clear()
        self._held.clear()
        for job in self.jobs.values():
            if state is not None and not job.state.final:
                job.state = state
                self._book.state(job)
        self._book.write(self._priors)


def _bad_upstream(job: Job) -> Job | None:
    return next((up for up in job.upstream if isinstance(up, Job) and up.state.final and not up.state.good), None)


def _skipped(job: Job, bad: Job) -> Outcome:
    now = time.time()
    cause = bad.reason if bad.state is JobState.skipped and bad.reason else f"{bad.key} {bad.state}"
    return Outcome(job.key, "skipped", 1, now, now, reason=cause)
