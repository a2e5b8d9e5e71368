"""Hears what running jobs tell, and looks at sites, for those who wait for it."""

from __future__ import annotations

import json
import math
import threading
import weakref
from collections.abc import Iterable, Sequence
from typing import Any

from daskflow.execution.book import Book
from daskflow.execution.project import Project
from daskflow.execution.roster import Roster
from daskflow.graph.facts import AvailableFact
from daskflow.graph.job import Job
from daskflow.graph.metrics import MetricFact
from daskflow.graph.race import Racer
from daskflow.model.outcome import Live, Outcome
from daskflow.model.policy import Resources


class Observer:
    """What one run learns from outside its own bookkeeping.

    Parameters
    ----------
    project
        Has the sites.
    roster
        Has the conditions and races that may be decided by it.
    lock
        Guards them.
    """

    def __init__(self, project: Project, roster: Roster, lock: threading.Condition) -> None:
        self._lock = lock
        self._project = project
        self._roster = roster
        self._watched: dict[str, weakref.WeakSet[MetricFact]] = {}
        """By the key of the job."""
        self._heard: dict[str, dict[str, list[float]]] = {}
        """Of each metric that a job told the smallest and the largest value, by key and name: these decide any
        comparison."""
        self._metered: set[str] = set()
        """Keys of jobs whose metrics somebody asks for."""

    def hear(self, live: Live, book: Book) -> None:
        """A running job told something; to be called with the lock held."""
        if live.kind == "metric":
            self.observe(live.key, live.name, json.loads(live.data)["value"])
        else:
            book.emitted(live.key, live.name, live.data, live.time)

    def take(self, outcome: Outcome) -> None:
        """An attempt ended: what it told last may not have been heard before."""
        for item in outcome.reports:
            if item.kind == "metric":
                self.observe(outcome.key, item.title, json.loads(item.data)["value"])

    def observe(self, key: str, name: str, told: Any) -> None:
        """A job has reported a number; what is no number, such as NaN, decides nothing."""
        value = float(told)
        if math.isnan(value):
            return
        seen = self._heard.setdefault(key, {}).setdefault(name, [value, value])
        seen[:] = [min(seen[0], value), max(seen[1], value)]
        self._roster.observe(key, name, value)
        for fact in list(self._watched.get(key, ())):
            if fact.name == name:
                fact.observe(value)

    def meter(self, jobs: Iterable[Job]) -> None:
        """Somebody asks for metrics of these jobs; what was recorded of those that have ended is looked up."""
        jobs = list(jobs)
        self._metered.update(job.key for job in jobs)
        self.learn([job for job in jobs if job.state.good])

    def learn(self, jobs: Sequence[Job]) -> None:
        """Jobs are known: what they reported when they were performed counts; to be called without the lock."""
        keys = [job.key for job in jobs if job.key in self._metered] if self._metered else []
        for key, name, data in self._project.journal.metrics(keys) if keys else ():
            with self._lock:
                self.observe(key, name, json.loads(data)["value"])

    def replay(self, race: Job) -> None:
        """A race begins: what its members told before counts; to be called without the lock."""
        if not isinstance(race.task, Racer):
            return
        with self._lock:
            for member in [up for up in race.upstream if isinstance(up, Job)]:
                for name, values in self._heard.get(member.key, {}).items():
                    for value in values:
                        self._roster.observe(member.key, name, value)

    def watch(self, fact: Any) -> None:
        """Tell a fact what is known of it already, and what becomes known; to be called without the lock."""
        if isinstance(fact, AvailableFact):
            fact.probe = self._has_room
        elif isinstance(fact, MetricFact):
            self.meter([fact.job])
            with self._lock:
                self._watched.setdefault(fact.job.key, weakref.WeakSet()).add(fact)
                for value in self._heard.get(fact.job.key, {}).get(fact.name, ()):
                    fact.observe(value)

    def ask_sites(self) -> None:
        """Ask the sites that somebody waits for; to be called without the lock."""
        for fact in self._roster.waiting.sites():
            fact.probe = self._has_room
            fact.ask()

    def _has_room(self, name: str, resources: Resources) -> bool:
        site = self._project.site(name)
        # What other runs have sent is known only once it runs; what this one has sent counts from then on.
        busy = max(len(site.running()), self._roster.flights.count(site))
        return site.slots - busy >= resources.cores
