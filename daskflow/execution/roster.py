"""Keeps where each job of one run stands, and decides which go next and what becomes of them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from daskflow.execution.book import Book
from daskflow.execution.holding.losses import lost, numbered, outgrown
from daskflow.execution.holding.races import Races
from daskflow.execution.holding.sequels import Sequels
from daskflow.execution.holding.skipping import bad_upstream, cause_of, skipped, supplied
from daskflow.execution.holding.taints import Taints
from daskflow.execution.holding.tally import Tally
from daskflow.execution.holding.waiting import Waiting
from daskflow.execution.plan import Prior
from daskflow.execution.sending.bundles import Group, bundle
from daskflow.execution.sending.dispatch import Packer, Shipment
from daskflow.execution.sending.flights import Flights
from daskflow.execution.sending.needing import Needing
from daskflow.execution.sending.pace import Pace
from daskflow.execution.worker.failures import describe
from daskflow.graph.job import Job
from daskflow.model.outcome import Known, Outcome, Stored
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
    needing
        Says what jobs need.
    bundling
        Whether tiny jobs share a node.

    Notes
    -----
    Not safe for threads, and asks neither sites nor the store: its engine calls it with its lock held. Jobs that are
    queued are held here, or perform on a site (`flights`), until they are final.
    """

    def __init__(
        self, book: Book, packer: Packer, site_of: Callable[[Job], Site], needing: Needing, *, bundling: bool
    ) -> None:
        self.jobs: dict[str, Job] = {}
        """All jobs by key."""
        self.stored: dict[str, Stored] = {}
        """The results that are there, by key."""
        self.open = 0
        """How many jobs were queued and are not final."""
        self.flights = Flights()
        self.pace = Pace()
        self.waiting = Waiting()
        self.races = Races()
        self.sequels = Sequels()
        self.taints = Taints(self.jobs)
        self.tally = Tally()
        self.barred: Callable[[Site], bool] = lambda site: False
        """Whether nothing goes to a site at the moment."""
        self._book = book
        self._packer = packer
        self._site_of = site_of
        self._needing = needing
        self._bundling = bundling
        self._held: dict[str, Job] = {}
        self._priors: dict[str, Prior] = {}

    @property
    def held(self) -> bool:
        """Whether some jobs wait for others."""
        return bool(self._held)

    def next_at(self) -> set[Site]:
        """The sites of the held jobs that wait for no other job; none where something goes on without these."""
        if self.flights.by_site() or self.waiting.outward or self.sequels.changed or self.races.open:
            return set()
        return {self._site_of(job) for job in self._held.values() if supplied(job)}

    def cached(self, found: Iterable[tuple[Job, Known]]) -> None:
        """Jobs whose results are known."""
        for job, known in found:
            if job.state.final:  # cancelled while it was looked up
                continue
            job.state, job.reason, job.record = JobState.cached, f"known since run {known.run}", known
            self.stored[job.key] = known.stored
            self._note(job)

    def replace(self, keys: Collection[str]) -> None:
        """New results of these keys take the places of those that are recorded, and whose bytes are gone."""
        self._book.replaced.update(keys)

    def doubt(self, jobs: Sequence[Job]) -> tuple[list[Job], list[Job]]:
        """Keep those new jobs that may have to be skipped; gives the others, and those that are kept."""
        free, kept = self.waiting.doubt(jobs)
        for job in kept:
            job.state = JobState.waiting
        self.open += len(kept)
        return free, kept

    def freed(self) -> list[Job]:
        """The jobs that wait no more and are to be planned; those that can never start are skipped."""
        ready: list[Job] = []
        while True:
            freed = self.waiting.freed()
            if not freed.ready and not freed.refused:
                return ready
            for job, why in freed.refused:
                if not job.state.final:
                    self._settle(skipped(job, why))
            for job in freed.ready:
                bad = bad_upstream(job)
                if bad is not None:
                    self._settle(skipped(job, cause_of(bad)))
                elif not job.state.final:
                    job.state = JobState.created  # still counted as open, until `note_planned`
                    ready.append(job)
                    self.taints.inherit(job)

    def queue(self, jobs: Sequence[Job], needed: Sequence[Job], priors: Mapping[str, Prior], site: str) -> list[Job]:
        """Jobs were planned, and some of them, or of earlier ones, have to run.

        Parameters
        ----------
        jobs
            Those that are not recorded yet.
        needed
            Upstream first.
        priors
            What early cutoff knows.
        site
            Name of the default site.

        Returns
        -------
        list of jobs
            Those that the run has to perform itself.
        """
        self._priors.update(priors)
        for job in needed:
            job.state = JobState.waiting
        going, begun = self.waiting.hold(needed)
        for job in going:
            job.state = JobState.queued
        for job in begun:
            job.state = JobState.running
        self.open += len(needed)
        self._held.update((job.key, job) for job in going)
        self._book.planned(jobs, needed, site)
        return begun

    def note_planned(self, jobs: Iterable[Job]) -> None:
        """Jobs that waited were planned: those that have to run are counted anew by that, and their states recorded."""
        for job in jobs:
            self.open -= 1
            self._book.state(job)

    def write(self) -> None:
        """Hand over to the journal what was collected."""
        self._book.write(self._priors)

    def retreat(self, nodes: Iterable[str]) -> None:
        """Nodes were taken back: their jobs wait again."""
        for key in nodes:
            self.hold(self.flights.lose(key))
        self._book.write(self._priors)

    def end(self, outcome: Outcome) -> None:
        """The run has performed a job itself."""
        job = self.jobs[outcome.key]
        if not job.state.final:
            if any(up.key in self.taints.keys for up in job.upstream if isinstance(up, Job)):
                self.taints.spread(job)
            self._settle(outcome)
        self._book.write(self._priors)

    def withdraw(self, jobs: Iterable[Job]) -> dict[Site, list[str]]:
        """Take jobs out that are to be cancelled: the nodes that have to be killed, by site.

        What does not run is cancelled at the second step, too: `cancel`.
        """
        nodes: dict[Site, list[str]] = {}
        doomed = {job.key for job in jobs}
        for key in doomed:
            self._held.pop(key, None)
            found = self.flights.withdraw(self.jobs[key])
            if found is not None:
                site, node, others = found
                nodes.setdefault(site, []).append(node)
                self.hold([job for job in others if job.key not in doomed])
                for job in others:
                    self._book.alone.add(job.key)
        return nodes

    def cancel(self, jobs: Iterable[Job], reason: str) -> None:
        """Jobs that were withdrawn are not alive any more."""
        now = time.time()
        for job in jobs:
            if not job.state.final:
                counted = job.state not in (JobState.created,)
                self.open += 0 if counted else 1
                self._settle(Outcome(job.key, "cancelled", max(job.attempts, 1), now, now, reason=reason))
        self._book.write(self._priors)

    def pack(self) -> list[tuple[Site, Shipment]]:
        """What is to be submitted now: those held jobs whose upstream values are there or on their way."""
        shipments: list[tuple[Site, Shipment]] = []
        refused = False
        for site, going in self._ready().items():
            bundling = site.bundles and self._bundling
            groups = bundle(going, self._tiny(going) if bundling else {}, site.slots)
            shipment = self._shipment(groups)
            if isinstance(shipment, Exception):
                self._refuse(going, shipment)
                refused = True
            else:
                shipments.append((site, shipment))
                self.flights.depart(site, shipment)
        self._book.write(self._priors)
        return [*shipments, *self.pack()] if refused else shipments

    def _tiny(self, jobs: Sequence[Job]) -> dict[str, float]:
        tiny = self.pace.tiny(jobs, self._book.alone)
        return {job.key: tiny[job.key] for job in jobs if job.key in tiny and not job.terms.isolated}

    def _shipment(self, groups: Sequence[Group]) -> Shipment | Exception:
        try:
            return self._packer.ship(groups, self.stored, self.flights.kept, self._priors, self.tally.failures)
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
            bad = bad_upstream(job)
            if bad is not None:
                self._settle(skipped(job, cause_of(bad)))
                continue
            site = self._site_of(job)
            if self.barred(site) or not all(self.flights.reaches(up, site, going) for up in job.upstream):
                continue
            if self._bundling and site.bundles and self.pace.waits(job, site.slots, counts[job.task.policy.name]):
                continue
            ready.setdefault(site, []).append(job)
            going[job.key] = site
            del self._held[job.key]
        return ready

    def observe(self, key: str, name: str, value: float) -> None:
        """A job reported a number."""
        self.waiting.observe(key, name, value)
        self.races.observe(key, name, value)

    def take(self, outcomes: Sequence[Outcome]) -> None:
        """Attempts ended."""
        for outcome in outcomes:
            job = self.jobs.get(outcome.key)
            if job is not None and not job.state.final:
                self.tally.note(outcome)
                ended = numbered(job, outcome)
                if outgrown(job, ended, self._site_of(job), self._needing):
                    self._settle(ended._replace(final=False, reason="it gets more memory"))
                    self.tally.forgive(job.key)
                    ended = ended._replace(state="waiting", value=None)
                # Who needs a job that is performed once more was told that it failed, and is not skipped.
                wait = ended.state == JobState.waiting or (
                    ended.state == JobState.skipped and bad_upstream(job) is None
                )
                self._defer(job, ended) if wait else self._settle(ended)
        self._book.write(self._priors)
        for outcome in outcomes:
            if outcome.final:
                self._priors.pop(outcome.key, None)

    def _defer(self, job: Job, outcome: Outcome) -> None:
        """A job returned others, or it needs one that did: its node ended, and the job has not."""
        self.flights.land(job)
        if outcome.value is None:
            self._needing.handed_over(job, outcome)
            job.state = JobState.queued
            self.hold([job])
        else:
            job.state = JobState.waiting
            self.sequels.add(job, outcome)
        self._book.state(job)

    def _settle(self, outcome: Outcome) -> None:
        """An attempt ended; where it was the last one, so did the job."""
        job = self.jobs[outcome.key]
        # Of the two texts that are equal one goes: there may be very many jobs.
        job.record = outcome = self.tally.whole(outcome._replace(key=job.key))
        if outcome.state != JobState.skipped:
            job.attempts = outcome.attempt
        self._book.ended(
            job, outcome, self.pace.usual(job), remember=not self.taints.keys or job.key not in self.taints.keys
        )
        if not outcome.final:
            return
        job.state, job.reason = JobState(outcome.state), outcome.reason
        self._held.pop(job.key, None)
        self.open -= 1
        if outcome.value is not None:
            self.stored[job.key] = outcome.value
        self.pace.ended(job, outcome)
        self._needing.ended(job, outcome)
        self.flights.land(job)
        self._note(job)

    def _note(self, job: Job) -> None:
        self.waiting.note(job)
        self.races.note(job)
        self.sequels.note(job)

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
        bad = bad_upstream(job)
        if bad is not None:
            self._settle(skipped(job, cause_of(bad)))
        elif guilty and supplied(job):
            self._blame(job, reason)
        else:
            # Another member of the bundle did it, or a node that this one depends on, or nobody knows which; alone,
            # only that one will be lost again.
            self._book.alone.add(job.key)
            self.hold([job])

    def _blame(self, job: Job, reason: str) -> None:
        """A job has lost its worker; where its policy allows another attempt, it gets one."""
        outcome = lost(job, reason, self.tally.failures[job.key])
        self.tally.note(outcome)
        self._settle(outcome)
        if not outcome.final:
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
        self.waiting.clear()
        self.sequels.clear()
        for job in self.jobs.values():
            if state is not None and not job.state.final:
                job.state = state
                self._book.state(job)
        self._book.write(self._priors)
