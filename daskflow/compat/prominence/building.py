"""A PROMINENCE job as a command job."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from daskflow import Artifact, Command, CommandJob, InputFile, Resources, fetch
from daskflow.compat.prominence.documents import MPI, ArtifactDocument, JobDocument, PlacementDocument, TaskDocument
from daskflow.compat.prominence.factories import shown, substituted

_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".gz", ".tar.bz2", ".bz2", ".zip")
_WALLTIME = 720.0
"""What a job may take that says nothing of it [min]."""
_MINUTE = 60.0
_GIB = 1 << 30
# What PROMINENCE calls home is where the job runs, which only the node knows.
_HOMED = 'export HOME="$DASKFLOW_SCRATCH_DIR" TMP="$DASKFLOW_SCRATCH_DIR" TEMP="$DASKFLOW_SCRATCH_DIR"; exec "$@"'
_OPEN_MPI = {
    # It refuses to start as root, who runs containers on many a laptop; and takes hyperthreads for no CPUs.
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
}


class Terms(NamedTuple):
    """What a job has from its surroundings."""

    id: str
    workflow: str = ""
    """Id of its workflow; empty: it has none."""
    retries: int = 0
    """So often its workflow has what failed tried again."""
    placement: PlacementDocument = PlacementDocument()
    """Where jobs of its workflow run."""
    round: int = 0
    """How often the workflow was begun again."""


def build(job: JobDocument, terms: Terms, when: Any = None) -> CommandJob:
    """A command job that does what is asked for.

    Parameters
    ----------
    when
        The condition under which it starts.

    Raises
    ------
    DaskflowError
        Something does not fit; the message says what.
    """
    needs, policies = job.resources, job.policies
    return CommandJob(
        [_command(task, place, job, terms) for place, task in enumerate(job.tasks)],
        input_files=[InputFile(file.filename, file.data, executable=file.executable) for file in job.inputs],
        artifacts=[_staged(artifact) for artifact in job.artifacts],
        output_files=job.output_files,
        output_directories=job.output_dirs,
        network=True,
        check=not policies.ignore_task_failures,
        when=when,
        site=site_of(job, terms),
        name="job",
        # Each job is performed, however often it was created; what was begun is gone on with.
        cache="run",
        retries=max(policies.maximum_retries, terms.retries),
        timeout=_MINUTE * (needs.walltime or _WALLTIME),
        resources=resources_of(job),
        # `execute` and `get_snapshot` ask.
        attended=True,
    )


def site_of(job: JobDocument, terms: Terms) -> str | None:
    """The site where a job is performed; None: that of the configuration."""
    return job.policies.placement.site or terms.placement.site


def resources_of(job: JobDocument) -> Resources:
    """What a job needs, in our words."""
    needs = job.resources
    return Resources(
        cores=needs.cores,
        memory=int(needs.gigabytes * _GIB),
        nodes=needs.nodes,
        walltime=_MINUTE * needs.walltime if needs.walltime else None,
        tasks=_ranks(job) if needs.nodes > 1 else None,
    )


def _command(task: TaskDocument, place: int, job: JobDocument, terms: Terms) -> Command:
    told = {"PROMINENCE_JOB_ID": terms.id, "PROMINENCE_WORKFLOW_ID": terms.workflow}
    argv = shlex.split(substituted(task.cmd, told))
    if task.type in MPI:
        argv = [*_mpirun(task, job), *argv]
    return Command(
        homed(argv),
        env={**variables(job, terms), **_own(task, place), **task.env},
        workdir=substituted(task.workdir or "", told),
        retries=job.policies.maximum_task_retries,
        sidecar=task.type == "sidecar",
        image=_image(task.image),
        mounts=dict(job.mounts) if task.image else {},
    )


def homed(argv: Sequence[str]) -> list[str]:
    """A command whose home is the directory in which its job runs."""
    return ["/bin/sh", "-c", _HOMED, "sh", *argv]


def as_given(text: str) -> str:
    """What is said of commands, with these as they were given.

    Examples
    --------
    >>> as_given(f"`{shlex.join(homed(['date', '-u']))}` ended with exit code 1.")
    '`date -u` ended with exit code 1.'
    """
    return text.replace(f"{shlex.join(homed([]))} ", "")


def variables(job: JobDocument, terms: Terms) -> dict[str, str]:
    """The variables that each task of a job finds."""
    needs = job.resources
    found = {
        "PROMINENCE_CPUS": str(needs.cores),
        "PROMINENCE_MEMORY": shown(needs.gigabytes),
        "PROMINENCE_NODES": str(needs.nodes),
        "PROMINENCE_NODE_NUM": "0",
        "PROMINENCE_JOB_ID": terms.id,
        **{f"PROMINENCE_PARAMETER_{name}": value for name, value in job.parameters.items()},
    }
    if terms.workflow:
        found["PROMINENCE_WORKFLOW_ID"] = terms.workflow
    if terms.round:
        found["PROMINENCE_RERUN"] = str(terms.round)
    return found


def _own(task: TaskDocument, place: int) -> dict[str, str]:
    """The variables that only one task finds."""
    runtime = {"PROMINENCE_CONTAINER_RUNTIME": task.runtime} if task.runtime else {}
    return {"PROMINENCE_TASK_NUM": str(place), **runtime, **(_OPEN_MPI if task.type == "openmpi" else {})}


def _mpirun(task: TaskDocument, job: JobDocument) -> list[str]:
    """What starts the ranks, on each of several nodes equally many."""
    each, nodes = _each(task, job), job.resources.nodes
    if nodes == 1:
        return ["mpirun", "-n", str(each)]
    spread = ["--map-by", f"ppr:{each}:node"] if task.type == "openmpi" else ["-ppn", str(each)]
    return ["mpirun", "-n", str(each * nodes), *spread]


def _each(task: TaskDocument, job: JobDocument) -> int:
    return task.procs_per_node or job.resources.cores


def _ranks(job: JobDocument) -> int:
    return job.resources.nodes * max(_each(task, job) for task in job.tasks)


def _image(image: str | None) -> str | None:
    """The image, by a path that holds wherever the job is performed."""
    return str(Path(image).absolute()) if image and "://" not in image and Path(image).exists() else image or None


def _staged(artifact: ArtifactDocument) -> Any:
    source = fetch(artifact.url) if artifact.remote else Artifact(artifact.url)
    if artifact.url.endswith(_ARCHIVES):
        return CommandJob.staged(source, unpack=True)
    # Every job has its own copy, with which it may do what it wants.
    name = artifact.url.rstrip("/").rpartition("/")[2]
    return CommandJob.staged(source, "" if artifact.remote else name, writable=True, executable=artifact.executable)
