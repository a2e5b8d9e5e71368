"""Learns how long the jobs of each task take, and holds many back until the first of them have shown it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from daskflow.execution.sending.bundles import TINY
from daskflow.graph.job import Job
from daskflow.model.outcome import Outcome
from daskflow.model.states import JobState

PROBES = 2
"""Of a task whose duration nobody knows, so many jobs for each slot go first; the others wait for what these teach."""
_WEIGHT = 0.05
"""How much one job counts against what was known before."""


class Pace:
    """How long the jobs of each task take.

    Notes
    -----
    Not safe for threads: its engine calls it with its lock held.
    """

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._probing: dict[str, int] = {}

    def unknown(self, jobs: Iterable[Job]) -> set[str]:
        """Names of the tasks of these jobs of which nothing is known."""
        return {job.task.policy.name for job in jobs} - self._seconds.keys()

    def learn(self, seconds: Mapping[str, float]) -> None:
        """Take over what earlier runs have shown [s]; what this one has shown counts more."""
        self._seconds = {**seconds, **self._seconds}

    def usual(self, job: Job) -> float:
        """How long a job like this one takes [s]; 0 where nothing is known."""
        return self._seconds.get(job.task.policy.name, 0.0)

    def ended(self, job: Job, outcome: Outcome) -> None:
        """A job was performed, or will not be."""
        name = job.task.policy.name
        seconds = outcome.stop - outcome.start
        # A job whose worker was lost has no worker to tell how long it took.
        if outcome.state not in (JobState.succeeded, JobState.failed) or not outcome.host:
            self.returned(job)
        else:
            known = self._seconds.get(name, seconds)
            self._seconds[name] = known + (seconds - known) * _WEIGHT

    def returned(self, job: Job) -> None:
        """A job comes back without having taught anything: another may go in its place."""
        name = job.task.policy.name
        if self._probing.get(name):
            self._probing[name] -= 1

    def waits(self, job: Job, slots: int, count: int) -> bool:
        """Whether a job waits for what others of its task teach; one that need not counts as gone.

        Parameters
        ----------
        slots
            How many jobs its site performs at a time.
        count
            How many jobs of the task are to go.
        """
        name = job.task.policy.name
        limit = PROBES * slots
        if name in self._seconds or count <= 2 * limit:
            return False
        if self._probing.get(name, 0) >= limit:
            return True
        self._probing[name] = self._probing.get(name, 0) + 1
        return False

    def tiny(self, jobs: Iterable[Job], alone: Collection[str]) -> dict[str, float]:
        """Those that may be bundled, by key, with how long each takes [s].

        Parameters
        ----------
        alone
            Keys of jobs that must not be bundled.
        """
        found = {}
        for job in jobs:
            policy = job.task.policy
            seconds = self._seconds.get(policy.name)
            if seconds is not None and seconds <= TINY and policy.timeout is None and job.key not in alone:
                found[job.key] = seconds
        return found
