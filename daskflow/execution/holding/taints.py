"""Knows which results of one run are made of failures: they are not remembered for other runs."""

from __future__ import annotations

from collections.abc import Mapping

from daskflow.graph.job import Job
from daskflow.graph.verdict import Verdict


class Taints:
    """The jobs of one run that got, or whose upstream jobs got, a failure as a value.

    Parameters
    ----------
    jobs
        All jobs of the run by key.
    """

    def __init__(self, jobs: Mapping[str, Job]) -> None:
        self.keys: set[str] = set()
        self._jobs = jobs

    def inherit(self, job: Job) -> None:
        """A job is about to start: its upstream jobs have ended."""
        lenient = job.terms.lenient if not isinstance(job.task, Verdict) else ()
        above = [up for up in job.upstream if isinstance(up, Job)]
        if any(up.key in self.keys or (up.key in lenient and not up.state.good) for up in above):
            self.keys.add(job.key)

    def spread(self, job: Job) -> None:
        """It was found only now that a job is tainted: so is what is made of it."""
        self.keys.add(job.key)
        for below in sorted(self._jobs.values(), key=lambda job: job.number):
            if any(isinstance(up, Job) and up.key in self.keys for up in below.upstream):
                self.keys.add(below.key)
