"""Whether a site can ever hold a job: what it cannot is refused, and takes nothing else along."""

from __future__ import annotations

from daskflow import CommandJob, Resources
from daskflow.errors import FitsNowhere
from daskflow.execution.project import BATCH
from daskflow.model.needs import Needs


def check_fit(resources: Resources, site: str | None) -> None:
    """See that a site has what a job needs.

    Parameters
    ----------
    site
        Name of the site; None: that of the configuration.

    Raises
    ------
    FitsNowhere
        It has not; the message says what comes nearest.
    SiteUnknown
        There is no such site.

    Notes
    -----
    The workers of this machine would take any job, and try; here it counts what the machine has. Of a cluster that runs
    already nobody knows what its workers have.
    """
    project = CommandJob.launcher.project()
    name = site or project.default_site
    # Its batch jobs hold whatever its workers do, and more: several nodes, and all of the walltime.
    beside = project.site(name + BATCH if project.has_site(name + BATCH) else name)
    seconds = resources.walltime
    needs = Needs(
        resources.cores,
        resources.memory,
        resources.gpus,
        seconds,
        declared=seconds is not None,
        nodes=resources.nodes,
        tasks=resources.tasks,
    )
    if reason := beside.fit(needs):
        raise FitsNowhere(reason)
