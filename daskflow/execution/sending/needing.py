"""Says what nodes need of the place that performs them: as declared, as learned, or more after it was too little."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Protocol

from daskflow.graph.job import Job
from daskflow.model.needs import Needs
from daskflow.model.outcome import Outcome

_STEPS = 4
"""What was learned is rounded up to so many steps within each factor of two: nodes of equal needs are placed together,
and there would be as many needs as nodes."""


class Learned(Protocol):
    """Who knows how long jobs take."""

    def learn(self, tasks: Iterable[str]) -> None:
        """Look what is known of tasks; may ask the store."""

    def expected(self, job: Job) -> float | None:
        """How long a job takes at most [s]; None: nobody knows."""

    def ended(self, job: Job, outcome: Outcome) -> None:
        """An attempt at a job ended."""


class Needing:
    """What the nodes of one run need.

    Parameters
    ----------
    learned
        What earlier runs have taught, and this one teaches; None: nothing.
    """

    def __init__(self, learned: Learned | None = None) -> None:
        self.learned = learned
        self._raised: dict[str, int] = {}
        self._wanted: dict[str, float] = {}

    def of(self, job: Job) -> Needs:
        """What a job needs."""
        policy = job.task.policy
        resources = policy.resources
        seconds = resources.walltime
        declared = seconds is not None
        if seconds is None and self.learned is not None:
            seconds = _stepped(self.learned.expected(job))
        wanted = self._wanted.get(job.key, 0.0)
        if wanted > (seconds or 0.0):
            seconds, declared = wanted, False
        memory = self._raised.get(job.key, resources.memory) if self._raised else resources.memory
        return Needs(
            resources.cores,
            memory,
            resources.gpus,
            seconds,
            declared,
            policy.name,
            resources.nodes,
            resources.tasks,
            wanted,
        )

    def of_all(self, jobs: Sequence[Job]) -> Needs:
        """What a node needs that performs jobs one after the other."""
        if len(jobs) == 1:
            return self.of(jobs[0])
        each = [self.of(job) for job in jobs]
        memories = [needs.memory for needs in each if needs.memory is not None]
        return Needs(
            max(needs.cores for needs in each),
            max(memories) if memories else None,
            max(needs.gpus for needs in each),
            # A bundle takes a fraction of a second, whatever it is made of.
            None if any(needs.seconds is None for needs in each) else sum(needs.seconds or 0.0 for needs in each),
            kind=f"{each[0].kind}-bundle",
            at_least=max(needs.at_least for needs in each),
        )

    def ended(self, job: Job, outcome: Outcome) -> None:
        """An attempt at a job ended: it teaches how long the next ones take."""
        if self.learned is not None:
            self.learned.ended(job, outcome)

    def handed_over(self, job: Job, outcome: Outcome) -> None:
        """A job saved its state and goes on elsewhere: where less time is left than it wants it would get nowhere."""
        if outcome.wants:
            self._wanted[job.key] = outcome.wants

    def raise_memory(self, job: Job, memory: int) -> None:
        """A job gets so much memory from now on [bytes]."""
        self._raised[job.key] = memory

    def raised(self, job: Job) -> int | None:
        """The memory that a job gets because what it had was too little [bytes]; None where it was not."""
        return self._raised.get(job.key)


def size_above(job: Job) -> int:
    """How large the results are that a job gets [bytes], as far as they are there."""
    records = [up.record for up in job.upstream if isinstance(up, Job)]
    values = [one.value if isinstance(one, Outcome) else one.stored for one in records if one is not None]
    return sum(value.size for value in values if value is not None)


def _stepped(seconds: float | None) -> float | None:
    if seconds is None or seconds <= 0:
        return seconds
    return float(2.0 ** (math.ceil(_STEPS * math.log2(seconds)) / _STEPS))
