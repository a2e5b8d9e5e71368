"""Chooses the site of each job of one run: as its call says, or one beside it, for batch jobs or buckets."""

from __future__ import annotations

from typing import Any

from daskflow.errors import FitsNowhere
from daskflow.execution.project import BATCH, BUCKET, Project
from daskflow.execution.sending.needing import Needing
from daskflow.graph.job import Job
from daskflow.sites import Site


class Places:
    """The sites of one run.

    Parameters
    ----------
    project
        Has them.
    default
        Name of the site of jobs that name none.
    needing
        Says what jobs need.
    """

    def __init__(self, project: Project, default: str, needing: Needing) -> None:
        self._project = project
        self.default = default
        """Name of the site of jobs that name none."""
        self.needing = needing
        """Says what jobs need."""
        self._sites: dict[str, Site] = {}
        # Tasks stand beside what was found for them: their ids are theirs as long as they live.
        self._found: dict[tuple[int, str | None], tuple[Any, Site]] = {}

    def of(self, job: Job) -> Site:
        """The site of a job.

        Raises
        ------
        SiteUnknown
        """
        found = self._found.get((id(job.task), job.site))
        if found is None:
            found = self._found[id(job.task), job.site] = (job.task, self._choose(job))
        return found[1]

    def _choose(self, job: Job) -> Site:
        name = job.site or self.default
        policy = job.task.policy
        if policy.placement == "bucket" and self._project.has_site(name + BUCKET):
            return self._named(name + BUCKET)
        site = self._named(name)
        if self._project.has_site(name + BATCH):
            needs = self.needing.of(job)
            wanted = policy.placement == "batch" or needs.nodes > 1
            # What takes longer than any pilot lives is a batch job where one may be as long.
            if wanted or (needs.declared and site.fit(needs) and not self._named(name + BATCH).fit(needs)):
                return self._named(name + BATCH)
        return site

    def _named(self, name: str) -> Site:
        site = self._sites.get(name)
        if site is None:
            site = self._sites[name] = self._project.site(name)
        return site

    def check(self, job: Job) -> None:
        """See that a job, which has to be performed, fits somewhere.

        Raises
        ------
        FitsNowhere
            It does not; the message says what comes nearest.
        """
        why = self.of(job).fit(self.needing.of(job))
        if why:
            raise FitsNowhere(f"{job.key}: {why}")

    def claim(self) -> None:
        """Note in the artifact store that results of the project are about to come."""
        self._project.claim()

    def all(self) -> list[Site]:
        """Those that jobs of the run were meant for so far."""
        return list(self._sites.values())
