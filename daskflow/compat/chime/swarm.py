"""Jobs of an analysis cluster, by their names: batch jobs of a site."""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import daskflow
from daskflow.compat.chime.fields import tell
from daskflow.errors import NotFound

log = logging.getLogger(__name__)

STATES = {
    "new": "It is written down, and the batch system has not confirmed that it took it.",
    "pending": "It waits for its turn.",
    "assigned": "Does not occur here: it is `pending` until it runs.",
    "accepted": "Does not occur here: it is `pending` until it runs.",
    "preparing": "Does not occur here: it is `pending` until it runs.",
    "starting": "Does not occur here: it is `pending` until it runs.",
    "running": "Its command runs, or its image is made ready.",
    "complete": "Its command ended with exit code 0.",
    "failed": "Its command ended with another exit code, or its walltime or its memory ended it.",
    "shutdown": "It was killed by its name.",
    "rejected": "The batch system will never start it.",
    "orphaned": "Its node failed.",
    "remove": "Does not occur here: what is removed is not listed any more.",
}
"""The states of jobs, and what they mean on a site."""
_LIVING = ("new", "pending", "assigned", "accepted", "preparing", "starting", "running")
_AGAIN = ("failed", "orphaned")
"""Those that may come out better the next time; what was killed or rejected will not."""
_TOKENS = {"FRB_MASTER_ACCESS_TOKEN": "access_token", "FRB_MASTER_REFRESH_TOKEN": "refresh_token"}
"""Variables that a baseband job finds its tokens in, and where an API object has them."""


class Swarm:
    """Spawns, watches and kills jobs of a site.

    Parameters
    ----------
    API
        Name of a site; or an object with the name in its attribute `site`, and with `access_token` and
        `refresh_token` for baseband jobs, if it has them. Without a name: the site of the variable `WORKFLOW_SITE`,
        else `local`.
    archivers
        Directories that jobs in images see where they are to see the archivers: `"/data"`, `"/data:/archive"`.

    Notes
    -----
    Jobs outlive this process; whoever opens the site again finds them by their names. Names of jobs are found by
    regular expressions, as `re.search` finds them, unless the text says `exactly`. All services of the site are jobs
    here, also those that were started otherwise.
    """

    def __init__(self, API: Any = None, *, archivers: Sequence[str] = ()) -> None:  # noqa: N803, as users write it
        self.API = API
        """What it was made with."""
        name = API if isinstance(API, str) else getattr(API, "site", None)
        self.site = daskflow.Site(str(name or os.environ.get("WORKFLOW_SITE") or "local"))
        """Where the jobs run."""
        self.archivers = tuple(archivers)
        """What jobs with `mount_archiver` see."""
        self._orders: dict[str, tuple[list[str], dict[str, Any]]] = {}
        """What was spawned by this object, and how, so that it can be spawned again."""

    def get_jobs(self) -> list[str]:
        """The names of all jobs."""
        return [one.name for one in self.site.batch.ls()]

    def get_job_status(self, job_name: str | None = None) -> dict[str, str]:
        """The states of the jobs whose names match; those of `STATES`.

        Raises
        ------
        ArgumentsInvalid
            This is no regular expression.
        """
        return {one.name: _state(one) for one in self.site.batch.ls(job_name)}

    def spawn_job(  # noqa: PLR0913, PLR0917, the signature that users know
        self,
        image_name: str,
        command: str | Sequence[str],
        arguments: Sequence[Any],
        job_name: str,
        mount_archiver: bool = True,
        swarm_network: bool = True,
        job_mem_limit: int = 4294967296,
        job_mem_reservation: int = 268435456,
        job_cpu_limit: float = 1,
        job_cpu_reservation: float = 1,
        environment: Mapping[str, str] | None = None,
    ) -> dict[str, str]:
        """Spawn a job, and return at once.

        Parameters
        ----------
        image_name
            Container image in which the command runs; empty: in none.
        command, arguments
            A program with its arguments, which no shell sees.
        job_name
            Unlike that of any job here that waits or runs.
        mount_archiver
            Whether it sees the `archivers`; without an image it sees all of its node.
        swarm_network
            Jobs have the network of their node, always.
        job_mem_limit, job_mem_reservation
            Memory over which it is killed, and at least this much of which is reserved [bytes].
        job_cpu_limit, job_cpu_reservation
            Cores that it can use at most, and that are reserved; parts of a core count as a whole one.
        environment
            Variables for it.

        Returns
        -------
        dict
            The id of its batch job as `ID`.

        Raises
        ------
        ArgumentsInvalid
            Something does not fit, or the name is taken.
        FitsNowhere
            No pool of the site holds it.
        BatchError
            The batch system does not take it. Nothing of it runs.
        """
        if not swarm_network:
            tell("swarm_network=False is not used: a job has the network of its node")
        program = [command] if isinstance(command, str) else list(command)
        words = [str(word) for word in (*program, *arguments)]
        options: dict[str, Any] = {
            "image": image_name,
            "binds": self.archivers if image_name and mount_archiver else (),
            "cores": max(1, math.ceil(job_cpu_reservation)),
            "core_limit": max(1, math.ceil(job_cpu_limit)),
            "memory": job_mem_reservation,
            "memory_limit": job_mem_limit,
            "env": {name: str(value) for name, value in (environment or {}).items()},
        }
        service = self.site.batch.spawn(words, name=job_name, **options)
        self._orders[job_name] = words, options
        return {"ID": service.id}

    def get_logs(self, job_name: str) -> dict[str, str]:
        """What the job of exactly this name printed.

        Raises
        ------
        NotFound
            There is none.
        """
        return {job_name: self.site.batch.logs(job_name)}

    def prune_jobs(self, job_name: str | None = None) -> dict[str, bool]:
        """Remove the jobs that are `complete` and whose names match."""
        done = [name for name, state in self.get_job_status(job_name).items() if state == "complete"]
        return self._remove(done)

    def kill_job(self, job_name: str) -> dict[str, bool]:
        """Remove the job of exactly this name in whatever state, and kill it before; False where there is none."""
        try:
            self.site.batch.kill(job_name)
        except NotFound:
            return {job_name: False}
        return self._remove([job_name])

    def kill_failed_jobs(self, job_name: str) -> dict[str, bool]:
        """Remove the jobs that failed, or will never run, and whose names match.

        A name is needed: at a site are services of others as well. `""` matches all of them.
        """
        return dict.fromkeys(self.site.batch.kill_failed(job_name), True)

    def jobs_running(self, job_names: str | Iterable[str]) -> bool:
        """Whether any job waits or runs whose name matches one of these."""
        names = [job_names] if isinstance(job_names, str) else list(job_names)
        return any(state in _LIVING for name in names for state in self.get_job_status(name).values())

    def monitor_jobs(self, job_name: str, error_logs: bool = False, *, respawn: int = 0) -> bool:
        """Wait until all jobs whose names match have ended, then remove them.

        Parameters
        ----------
        error_logs
            Log what those printed that did not complete.
        respawn
            Jobs that failed, or whose node did, are spawned again so many times, if this object has spawned them.

        Returns
        -------
        bool
            Whether all of them completed in the end.

        Raises
        ------
        NotFound
            There is no such job.

        Notes
        -----
        How they come on is logged at the level `INFO`, in percent, whenever it changes.
        """
        log.info("Monitoring the jobs %s", job_name)
        progress = self._watched(job_name)
        for left in reversed(range(respawn)):
            again = self._respawned(job_name, error_logs)
            if not again:
                break
            log.info("Spawned again, and %s times more at most: %s", left, ", ".join(again))
            progress = self._watched(job_name)
        share = progress.percent
        log.info("Completed: %s %%", share["completed"])
        log.info("Failed: %s %%", share["failed"])
        self.prune_jobs(job_name)
        left_over = self.get_job_status(job_name)
        for name, state in left_over.items():
            self._report(name, state, error_logs)
            log.error("The job %s is removed: %s", name, self.kill_job(name)[name])
        return not left_over

    def _watched(self, job_name: str) -> Any:
        """How all of some jobs have ended."""
        return self.site.batch.monitor(job_name, on_progress=lambda now: log.info("Jobs %s: %s", job_name, now))

    def _respawned(self, job_name: str, error_logs: bool) -> list[str]:
        """Names of the jobs that did not complete, and now are spawned again."""
        found = self.get_job_status(job_name).items()
        failed = {name: state for name, state in found if state in _AGAIN and name in self._orders}
        for name, state in failed.items():
            self._report(name, state, error_logs)
            self._remove([name])
            words, options = self._orders[name]
            self.site.batch.spawn(words, name=name, **options)
        return list(failed)

    def _report(self, name: str, state: str, error_logs: bool) -> None:
        log.error("The job %s is %s", name, state)
        if error_logs:
            log.error("The job %s printed:\n%s", name, self.get_logs(name)[name])

    def spawn_baseband_job(  # noqa: PLR0913, PLR0917, the signature that users know
        self,
        event_number: int,
        task_name: str,
        arguments: Sequence[Any] = (),
        job_id: int | None = None,
        image_name: str = "chimefrb/baseband-localization:latest",
        command: Sequence[str] = ("baseband_analysis/pipelines/cluster/cluster_cli.py",),
        job_name: str | None = None,
        job_mem_limit: int = 10 * 1024**3,
        job_mem_reservation: int = 10 * 1024**3,
        environment: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> dict[str, str]:
        """Spawn a job that works on the baseband data of an event.

        Parameters
        ----------
        task_name
            What is done, such as `localization`; comes after the command.
        arguments
            Of the task; they come after `--`.
        job_id
            Passed as `--job-id`, and part of the name where it is not negative.
        job_name
            None: `baseband-EVENT-TASK`, with the `job_id` after it.
        environment
            Variables for it. Tokens of the API object, else those of this process, are added where they are missing.
        **kwargs
            Those of `spawn_job`; two cores are reserved unless they say otherwise.
        """
        label = [] if job_id is None else ["--job-id", str(job_id)]
        name = f"baseband-{event_number}-{task_name}"
        if job_id is not None and job_id >= 0:
            name += f"-{job_id}"
        return self.spawn_job(
            image_name,
            [*([command] if isinstance(command, str) else command), task_name],
            ["--event-number", str(event_number), *label, "--", *arguments],
            job_name or name,
            job_mem_limit=job_mem_limit,
            job_mem_reservation=job_mem_reservation,
            environment={**self._tokens(), **(environment or {})},
            **{"job_cpu_limit": 2, "job_cpu_reservation": 2, **kwargs},
        )

    def _tokens(self) -> dict[str, str]:
        found = {name: getattr(self.API, place, None) or os.environ.get(name) for name, place in _TOKENS.items()}
        return {name: str(token) for name, token in found.items() if token}

    def _remove(self, names: list[str]) -> dict[str, bool]:
        """Remove jobs that have ended, with record and log; whether each is gone."""
        if not names:
            return {}
        pattern = f"^({'|'.join(map(re.escape, names))})$"
        gone = self.site.batch.prune(pattern, failed=True)
        return {name: name in gone for name in names}

    def __repr__(self) -> str:
        return f"Swarm({self.site.name!r})"


def _state(standing: Any) -> str:
    """The state of a service in the words of the cluster."""
    if standing.hopeless:
        return "rejected"
    if standing.state == "pending":
        return "pending" if standing.id else "new"
    if standing.state == "failed":
        return "orphaned" if standing.error == "NodeFailure" else "failed"
    return {"running": "running", "completed": "complete", "killed": "shutdown"}[standing.state]
