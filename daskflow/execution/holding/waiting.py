"""Keeps the jobs of one run that may not be planned or performed yet, and tells which of them may."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import NamedTuple

from daskflow.execution.holding.skipping import cause_of, supplied
from daskflow.graph.conditions import Fact
from daskflow.graph.decision import Decision
from daskflow.graph.facts import AvailableFact, TimeFact
from daskflow.graph.job import PLAIN, Job
from daskflow.graph.metrics import MetricFact
from daskflow.graph.race import Racer
from daskflow.graph.verdict import Verdict

_LOOK = 1.0
"""How often it is looked whether a site has become free [s]."""


class Freed(NamedTuple):
    """Jobs that wait no more."""

    ready: list[Job]
    """To be planned now, upstream first."""
    refused: list[tuple[Job, str]]
    """Those that can never start, and why."""


class _Held:
    """A job that waits."""

    __slots__ = ("blockers", "decision", "job", "told")

    def __init__(self, job: Job) -> None:
        self.job = job
        condition = job.terms.condition
        self.decision = None if condition is None else Decision(condition)
        self.blockers = 0
        """How many upstream jobs have to leave, or to end, before it may."""
        self.told = False
        """Whether it was given out as freed."""

    @property
    def open(self) -> bool:
        """Whether its condition is not decided."""
        return self.decision is not None and self.decision.truth is None

    @property
    def hopeless(self) -> bool:
        """Whether its condition can never hold."""
        return self.decision is not None and self.decision.truth is False

    @property
    def answerable(self) -> bool:
        """Whether somebody else gives its result: a person, another run."""
        return self.told and isinstance(self.job.task, Verdict) and not isinstance(self.job.task, Racer)


class Waiting:
    """The waiting jobs of one run.

    A job is in doubt when its condition is not decided, when it takes an upstream job that has not ended as it may be,
    or when one of its upstream jobs is in doubt: then it waits even where its result is known, since it may have to be
    skipped today. A job that has to be performed waits as well while an upstream one waits, or is one that the run
    performs itself: no site can refer to its value.

    Notes
    -----
    Not safe for threads, and asks neither sites nor the store: its engine calls it with its lock held. What a job's end
    costs here is linear in what waits for just that job; nothing is polled but clocks and sites.
    """

    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}
        self._doubtful: set[str] = set()
        self._users: dict[str, list[_Held]] = {}
        self._heirs: dict[str, list[_Held]] = {}
        self._needy: dict[str, list[_Held]] = {}
        self._facts: dict[str, list[tuple[_Held, Fact]]] = {}
        self._watched: list[tuple[_Held, Fact]] = []
        self._freed = Freed([], [])

    def __contains__(self, key: str) -> bool:
        return key in self._held

    def __len__(self) -> int:
        return len(self._held)

    def jobs(self) -> list[Job]:
        """All that wait."""
        return [held.job for held in self._held.values()]

    def doubt(self, jobs: Iterable[Job]) -> tuple[list[Job], list[Job]]:
        """Keep those of some new jobs that are in doubt, upstream first; gives the others, and those that are kept."""
        free: list[Job] = []
        kept: list[Job] = []
        for job in jobs:
            if job.terms is PLAIN and not self._doubtful:
                free.append(job)
            elif self._doubts(job):
                kept.append(job)
            else:
                free.append(job)
        return free, kept

    def _doubts(self, job: Job) -> bool:
        lenient = job.terms.lenient
        above = [up for up in job.upstream if isinstance(up, Job)]
        held = _Held(job)
        if isinstance(job.task, Verdict):
            lenient = frozenset()  # a race waits for its members in its own way
        unclear = any(up.key in self._doubtful or (up.key in lenient and not up.state.final) for up in above)
        if not (held.open or held.hopeless or unclear):
            return False
        self._doubtful.add(job.key)
        self._keep(held)
        return True

    def hold(self, jobs: Iterable[Job]) -> tuple[list[Job], list[Job]]:
        """Keep those of the jobs to be performed that a site cannot be given yet.

        Returns
        -------
        tuple of lists of jobs
            The others; and those that the run has to perform itself now, which stay here until they are final.
        """
        going: list[Job] = []
        begun: list[Job] = []
        for job in jobs:
            if isinstance(job.task, Verdict):
                self._held.setdefault(job.key, _Held(job)).told = True
                begun.append(job)
            elif self._held and any(isinstance(up, Job) and up.key in self._held for up in job.upstream):
                self._keep(_Held(job))
            else:
                going.append(job)
        return going, begun

    def _keep(self, held: _Held) -> None:
        self._held[held.job.key] = held
        if not isinstance(held.job.task, Verdict):
            self._block(held)
        if held.open and held.decision is not None:
            self._watch(held, held.decision)
        self._release(held)

    def _block(self, held: _Held) -> None:
        lenient = held.job.terms.lenient
        for up in held.job.upstream:
            if not isinstance(up, Job):
                continue
            if up.key in lenient:
                if not up.state.final:
                    self._heirs.setdefault(up.key, []).append(held)
                    held.blockers += 1
                continue
            if up.key in self._held:
                self._users.setdefault(up.key, []).append(held)
                held.blockers += 1
            if not up.state.final:
                self._needy.setdefault(up.key, []).append(held)

    def _watch(self, held: _Held, decision: Decision) -> None:
        for fact in decision.facts:
            job = getattr(fact, "job", None)
            if job is not None:
                self._facts.setdefault(job.key, []).append((held, fact))
            else:
                self._watched.append((held, fact))

    def _release(self, first: _Held) -> None:
        """Let a job go that waits for nothing more, and those that waited for just that."""
        stack = [first]
        while stack:
            held = stack.pop()
            if held.told:
                continue
            if held.hopeless:
                self._refuse(held, held.decision.why() if held.decision is not None else "")
            elif not held.open and not held.blockers:
                held.told = True
                self._freed.ready.append(held.job)
                self._doubtful.discard(held.job.key)
                if not isinstance(held.job.task, Verdict):
                    del self._held[held.job.key]
                    stack.extend(reversed(_unblocked(self._users.pop(held.job.key, ()))))

    def _refuse(self, held: _Held, why: str) -> None:
        # It stays here until its end is noted: what depends on it is to be skipped, not planned.
        held.told = True
        self._freed.refused.append((held.job, why))

    def note(self, job: Job) -> None:
        """A job is final."""
        self._doubtful.discard(job.key)
        for held in self._needy.pop(job.key, ()):
            if not job.state.good and not held.told:
                self._refuse(held, cause_of(job))
        for held, fact in self._facts.pop(job.key, ()):
            self._hear(held, fact)
        users = self._users.pop(job.key, ()) if self._held.pop(job.key, None) is not None else ()
        for held in _unblocked([*users, *self._heirs.pop(job.key, ())]):
            self._release(held)

    def _hear(self, held: _Held, fact: Fact) -> None:
        if held.decision is not None and held.open:
            held.decision.note(fact)
            self._release(held)

    def observe(self, key: str, name: str, value: float) -> None:
        """A running job reported a number."""
        for held, fact in list(self._facts.get(key, ())):
            if isinstance(fact, MetricFact) and fact.name == name:
                fact.observe(value)
                self._hear(held, fact)

    def reconsider(self, job: Job) -> None:
        """The condition of a job was replaced by a wider one."""
        held = self._held.get(job.key)
        if held is not None and not held.told:
            held.told = True  # what refers to it finds the new one by the key
            self._keep(_Held(job))

    @property
    def changed(self) -> bool:
        """Whether jobs wait no more, and nobody has asked for them yet."""
        return bool(self._freed.ready or self._freed.refused)

    @property
    def outward(self) -> bool:
        """Whether one of them waits for what no site performs: a person, another run, a clock, room at a site."""
        if self.changed or any(held.answerable for held in self._held.values()):
            return True
        return any(held.open and supplied(held.job) for held, _ in self._watched)

    def sites(self) -> list[AvailableFact]:
        """The facts about sites that somebody waits for."""
        return [fact for _, fact in self._watched if isinstance(fact, AvailableFact)]

    def look(self) -> None:
        """Look at clocks, at sites, and at other runs."""
        watched, self._watched = self._watched, []
        # What is known need not be looked at again, also where the condition waits for more than that.
        unknown = [(held, fact) for held, fact in watched if fact.truth() is None]
        for held, fact in watched:
            self._hear(held, fact)
        self._watched += [(held, fact) for held, fact in unknown if held.open and held.job.key in self._held]

    @property
    def patience(self) -> float | None:
        """How long nothing needs to be looked at [s]; None: until something happens."""
        times = [fact.due - time.time() for _, fact in self._watched if isinstance(fact, TimeFact)]
        times += [_LOOK for _, fact in self._watched if isinstance(fact, AvailableFact)]
        return max(0.0, min(times)) if times else None

    def freed(self) -> Freed:
        """The jobs that wait no more since this was asked last."""
        freed, self._freed = self._freed, Freed([], [])
        return freed

    def clear(self) -> None:
        """Forget all."""
        self.__dict__.update(Waiting().__dict__)


def _unblocked(users: Iterable[_Held]) -> list[_Held]:
    found = []
    for held in users:
        held.blockers -= 1
        if not held.blockers:
            found.append(held)
    return found
