"""Plans the jobs of one run: looks them up, keeps those that have to wait, queues those that have to be performed."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import NamedTuple

from daskflow.execution.observer import Observer
from daskflow.execution.placing import Places
from daskflow.execution.plan import Needs, Planned, plan, priors, recalled, remembered
from daskflow.execution.project import Project
from daskflow.execution.results import Results
from daskflow.execution.roster import Roster
from daskflow.graph.job import PLAIN, Job
from daskflow.graph.race import Racer
from daskflow.model.states import JobState


class Batch(NamedTuple):
    """Jobs that are planned together."""

    jobs: list[Job]
    """Upstream first."""
    asked: Sequence[str] = ()
    """Keys of those that somebody waits for."""
    freed: bool = False
    """Whether they were in doubt before, and are recorded already."""


class Planner:
    """Plans the jobs of one run.

    Parameters
    ----------
    project
        Where results are remembered.
    roster
        Keeps the jobs.
    results
        Gives the values that the queued ones need.
    observer
        Learns what cached jobs reported when they were performed.
    lock
        Guards the roster.
    places
        The sites of the run.

    Notes
    -----
    One batch at a time: its engine holds another lock meanwhile. The store is asked without the lock of the roster.
    """

    def __init__(
        self,
        project: Project,
        roster: Roster,
        results: Results,
        *,
        observer: Observer,
        lock: threading.Condition,
        places: Places,
    ) -> None:
        self._observer = observer
        self._journal = project.journal
        self._project = project
        self._roster = roster
        self._results = results
        self._lock = lock
        self._places = places
        self._wanted: set[str] = set()
        """Keys of waiting jobs that somebody needs."""

    def ask(self, keys: Sequence[str]) -> None:
        """Somebody waits for these jobs, which may have to wait themselves."""
        self._wanted.update(key for key in keys if key in self._roster.waiting)

    def plan(self, batch: Batch) -> list[Job]:
        """Plan jobs; gives those that the run has to perform itself now."""
        with self._lock:
            going = [job for job in batch.jobs if not job.state.final]
            free, doubtful = (going, []) if batch.freed else self._roster.doubt(going)
            for job in free:
                if job.terms is not PLAIN or self._roster.taints.keys:
                    self._roster.taints.inherit(job)
        unknown = self._unknown(doubtful)
        needs = self._needs(batch, free, doubtful, unknown)
        planned = plan(free, self._journal, self._project.lost, needs)
        # Those that nobody needed when they were planned, and somebody waits for now.
        now = {job.key for job in going} if needs.asked else set()
        named = [self._roster.jobs[key] for key in needs.asked if key in self._roster.jobs and key not in now]
        spared = [job for job in named if job.state is JobState.created]
        return self._queue(batch, planned, unknown, spared)

    def next(self) -> Batch:
        """The jobs that wait no more."""
        with self._lock:
            ready = self._roster.freed()
            self._roster.write()
            self._lock.notify_all()
        return Batch(ready, [job.key for job in ready if job.key in self._wanted], freed=True)

    def _unknown(self, doubtful: list[Job]) -> list[Job]:
        """Of the jobs in doubt those that will have to be performed, if they may start."""
        if not doubtful:
            return []
        known, _ = remembered(doubtful, self._journal, self._project.lost)
        return [job for job in doubtful if job.key not in known]

    def _needs(self, batch: Batch, free: list[Job], doubtful: list[Job], unknown: list[Job]) -> Needs:
        wanted = set(batch.asked)
        for job in doubtful:
            condition = job.terms.condition
            wanted.update(told.key for told in condition.jobs()) if condition is not None else None
            wanted.update(job.terms.lenient)
        wanted.update(up.key for job in unknown for up in job.upstream if isinstance(up, Job))
        spare = {up.key for job in doubtful for up in job.upstream if isinstance(up, Job)} - wanted
        with self._lock:
            self.ask(list(wanted))
        # A race whose members were in doubt may have another winner today.
        races = {job.key for job in free if isinstance(job.task, Racer)} if batch.freed else set()
        return Needs(wanted, spare, self._roster.taints.keys | races)

    def _queue(self, batch: Batch, planned: Planned, unknown: list[Job], spared: list[Job]) -> list[Job]:
        self._observer.learn([job for job, _ in planned.cached])
        with self._lock:
            self._roster.cached(planned.cached)
            self._roster.replace(planned.gone)
        needed = [*planned.needed, *spared]
        both = {job.key: job for job in [*needed, *recalled([*needed, *unknown])]}
        needed = sorted(both.values(), key=lambda job: job.number)
        found = priors(needed, self._journal, self._project.file_digest, self._project.values.readable)
        self._results.fetch_upstream(needed)
        if self._places.needing.learned is not None:
            self._places.needing.learned.learn({job.task.policy.name for job in needed})
        for job in needed:
            self._places.check(job)
        unlearned = self._roster.pace.unknown(needed)
        seconds = self._journal.durations(unlearned) if unlearned else {}
        with self._lock:
            self._roster.pace.learn(seconds)
            # What was cancelled meanwhile is not needed any more.
            needed = [job for job in needed if not job.state.final]
            begun = self._roster.queue([] if batch.freed else batch.jobs, needed, found, self._places.default)
            if batch.freed:
                self._roster.note_planned(batch.jobs)
            self._lock.notify_all()
        return begun
