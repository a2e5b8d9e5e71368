"""Hears what running jobs tell, and looks at sites, for those who wait for it."""

from __future__ import annotations

import json
import math
import weakref
from typing import Any

from daskflow.execution.book import Book
from daskflow.execution.project import Project
from daskflow.execution.roster import Roster
from daskflow.graph.facts import AvailableFact
from daskflow.graph.metrics import MetricFact
from daskflow.model.outcome import Live
from daskflow.model.policy import Resources


class Observer:
    """What one run learns from outside its own bookkeeping.

    Parameters
    ----------
    project
        Has the sites.
    roster
        Has the conditions and races that may be decided by it.
    """

    def __init__(self, project: Project, roster: Roster) -> None:
        self._project = project
        self._roster = roster
        self._watched: weakref.WeakSet[MetricFact] = weakref.WeakSet()
        self._heard: dict[tuple[str, str], list[float]] = {}
        """Of each metric that a job told the smallest and the largest value: these decide any comparison."""

    def hear(self, live: Live, book: Book) -> None:
        """A running job told something; to be called with the lock held."""
        if live.kind == "metric":
            self.observe(live.key, live.name, json.loads(live.data)["value"])
        else:
            book.emitted(live.key, live.name, live.data, live.time)

    def observe(self, key: str, name: str, told: Any) -> None:
        """A job has reported a number; what is no number, such as NaN, decides nothing."""
        value = float(told)
        if math.isnan(value):
            return
        seen = self._heard.setdefault((key, name), [value, value])
        seen[:] = [min(seen[0], value), max(seen[1], value)]
        self._roster.observe(key, name, value)
        for fact in list(self._watched):
            if fact.job.key == key and fact.name == name:
                fact.observe(value)

    def watch(self, fact: Any) -> None:
        """Tell a fact what is known of it already, and what becomes known."""
        if isinstance(fact, AvailableFact):
            fact.probe = self._has_room
        elif isinstance(fact, MetricFact):
            self._watched.add(fact)
            for value in self._heard.get((fact.job.key, fact.name), ()):
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
