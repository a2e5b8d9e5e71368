"""Keeps the jobs of one run whose tasks returned jobs, until these are final."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from daskflow.errors import JobCycle
from daskflow.graph.job import Job, above
from daskflow.graph.sequel import jobs_of
from daskflow.model.outcome import Outcome


class Left(NamedTuple):
    """A job whose task returned jobs."""

    job: Job
    outcome: Outcome
    """What the attempt left; its value is a `Sequel`."""
    content: Any = None
    """The value with jobs in it, once they were made."""


class Sequels:
    """The jobs of one run whose results are made of those of other jobs.

    Notes
    -----
    Not safe for threads, and asks nobody: its engine calls it with its lock held.
    """

    def __init__(self) -> None:
        self._fresh: list[Left] = []
        self._open: dict[str, tuple[Left, dict[str, Job]]] = {}
        self._users: dict[str, list[str]] = {}
        self._ready: list[Left] = []

    def add(self, job: Job, outcome: Outcome) -> None:
        """A task returned jobs, which are to be made."""
        self._fresh.append(Left(job, outcome))

    def fresh(self) -> list[Left]:
        """Those whose jobs are to be made."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def begin(self, left: Left) -> None:
        """The jobs were made.

        Raises
        ------
        JobCycle
            One of them needs the job that returned it.
        """
        jobs = jobs_of(left.content)
        if left.job.key in self._below(jobs):
            raise JobCycle(f"{left.job.key} returned {jobs[0].key}, which cannot end before it.")
        waits = {job.key: job for job in jobs if not job.state.final}
        self._open[left.job.key] = left, waits
        for key in waits:
            self._users.setdefault(key, []).append(left.job.key)
        if not waits:
            self._end(left.job.key)

    def _below(self, jobs: Iterable[Job]) -> set[str]:
        """Keys of all that has to end before some jobs have."""
        seen: set[str] = set()
        stack = list(jobs)
        while stack:
            job = stack.pop()
            if job.key not in seen and not job.state.final:
                seen.add(job.key)
                stack.extend(above(job))
                stack.extend(self.made_by(job))
        return seen

    def made_by(self, job: Job) -> list[Job]:
        """The jobs that a job returned and waits for."""
        found = self._open.get(job.key)
        return list(found[1].values()) if found is not None else []

    def note(self, job: Job) -> None:
        """A job is final."""
        self._open.pop(job.key, None)  # it was cancelled
        for key in self._users.pop(job.key, ()):
            found = self._open.get(key)
            if found is not None:
                found[1].pop(job.key, None)
                if not found[1]:
                    self._end(key)

    def _end(self, key: str) -> None:
        self._ready.append(self._open.pop(key)[0])

    @property
    def changed(self) -> bool:
        """Whether there is something to make, or to complete."""
        return bool(self._fresh or self._ready)

    def ready(self) -> list[Left]:
        """Those whose jobs have all ended since this was asked last."""
        ready, self._ready = self._ready, []
        return ready

    def clear(self) -> None:
        """Forget all."""
        self.__dict__.update(Sequels().__dict__)
