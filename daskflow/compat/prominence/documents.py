"""Jobs as JSON describes them: what may stand there, and what is refused."""

from __future__ import annotations

import base64
import binascii
import re
import shlex
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.alias_generators import to_camel

from daskflow.compat.prominence.errors import ProminenceError
from daskflow.model.mistakes import mistakes_in

D = TypeVar("D", bound=BaseModel)

NAME = r"^[a-zA-Z0-9\-_\s/.]*$"
"""What names of jobs and workflows are made of."""
_LABEL = re.compile(r"[a-zA-Z0-9]+")
_LABELLED = re.compile(r"[\w\-./]{1,512}")
_STARTERS = re.compile(r"^\s*(\S*/)?(mpirun|mpiexec|mpiexec\.hydra)(\s|$)")
_FILE = "file://"
_CURES = {
    "storage": ": let `binds` of the site show directories to containers, and keep other data as artifacts",
    "imagePullCredential": ": log in to the registry by what runs containers, as `apptainer registry login`",
    "imageSha256": ": write it into the name of the image, as name@sha256:...",
    "app": ": give the command that it stands for",
    "stdout": ": redirect it by a shell, as /bin/sh -c 'program > file', and name that among outputFiles",
}
"""What to do in place of what PROMINENCE has, and we have not."""
MPI = ("openmpi", "mpich", "intelmpi")
"""The types of tasks that are started once for each rank."""


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Text = Annotated[str, BeforeValidator(_text)]
Labels = dict[str, Text]


class Document(BaseModel):
    """A part of a description, in whose JSON the names of fields are in camel case."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
        defer_build=True,
    )


class TaskDocument(Document):
    """One command of a job."""

    cmd: str
    """A program with its arguments; no shell sees it."""
    image: str | None = None
    """The container image in which it runs; without one it runs on the node itself."""
    runtime: Literal["singularity", "udocker"] | None = None
    """Which runtime PROMINENCE would take; here the configuration of the site says it."""
    type: Literal["basic", "sidecar", "openmpi", "mpich", "intelmpi"] = "basic"
    """A sidecar runs beside the others; the last three are started once for each rank."""
    env: dict[str, Text] = {}
    """Variables of its environment."""
    workdir: str | None = None
    """Where it runs, in the scratch directory."""
    procs_per_node: int | None = Field(default=None, ge=1)
    """Ranks on each node; by default one for each CPU."""

    @model_validator(mode="before")
    @classmethod
    def _has_a_command(cls, given: Any) -> Any:
        if isinstance(given, dict) and not str(given.get("cmd") or "").strip():
            raise ValueError("the task needs a command: what an image would start by itself is not known here")
        return given

    @field_validator("cmd")
    @classmethod
    def _can_be_split(cls, given: str) -> str:
        try:
            shlex.split(given)
        except ValueError as error:
            raise ValueError(f"{given!r:.200} cannot be read as a program and its arguments: {error}") from None
        return given

    @field_validator("image")
    @classmethod
    def _lies_near(cls, given: str | None) -> str | None:
        if given is not None and given.startswith(("http://", "https://")):
            raise ValueError(
                f"the image {given:.200} lies on the web. Download it to where the nodes see it and give its path, or "
                "give the name that it has in a registry"
            )
        return given

    @model_validator(mode="after")
    def _starts_ranks_once(self) -> Self:
        if self.type in MPI and _STARTERS.match(self.cmd):
            raise ValueError(f"a task of type {self.type} is started by mpirun anyhow: leave that out of its command")
        return self


class ResourcesDocument(Document):
    """What a job needs."""

    nodes: int = Field(default=1, ge=1)
    """How many nodes."""
    cpus: int | None = Field(default=None, ge=1)
    """On each node."""
    cpus_range: tuple[int, int] | None = None
    """At least, and at most, on each node."""
    cpus_options: tuple[int, int] | None = None
    """Either, on each node."""
    total_cpus_range: tuple[int, int] | None = None
    """At least, and at most, on all nodes."""
    memory: float | None = Field(default=None, gt=0)
    """On each node [GiB]."""
    memory_per_cpu: float | None = Field(default=None, gt=0)
    """[GiB]"""
    disk: float = Field(default=10, gt=0)
    """[GiB]"""
    walltime: float | None = Field(default=None, ge=0)
    """[min]"""

    @model_validator(mode="after")
    def _said_once(self) -> Self:
        cpus = ("cpus", "cpus_range", "cpus_options", "total_cpus_range")
        for names in (cpus, ("memory", "memory_per_cpu")):
            given = [to_camel(name) for name in names if getattr(self, name) is not None]
            if len(given) > 1:
                raise ValueError(f"{' and '.join(given)} say the same: give one of them")
        for name in cpus[1:]:
            pair = getattr(self, name)
            if pair is not None and not 1 <= pair[0] <= pair[1]:
                raise ValueError(f"{to_camel(name)} is {list(pair)}, which is no range of CPUs")
        return self

    @property
    def cores(self) -> int:
        """How many CPUs a job gets on each node: of several numbers the smallest, which fits where the others do."""
        if self.total_cpus_range is not None:
            return -(-self.total_cpus_range[0] // self.nodes)
        pair = self.cpus_range or self.cpus_options
        return self.cpus or (pair[0] if pair else 1)

    @property
    def gigabytes(self) -> float:
        """How much memory a job gets on each node [GiB]."""
        if self.memory_per_cpu is not None:
            return self.memory_per_cpu * self.cores
        return self.memory or 1


class InputDocument(Document):
    """A small file that a job gets."""

    filename: str = Field(min_length=1)
    """Its path in the scratch directory."""
    content: str
    """In base64; or `file://` and a path, whose file is read when the description is."""
    executable: bool = False
    """Whether commands may execute it."""

    @field_validator("content", mode="before")
    @classmethod
    def _reads(cls, given: Any) -> Any:
        if not isinstance(given, str) or not given.startswith(_FILE):
            return given
        name = given.removeprefix(_FILE)
        try:
            path = Path(name).expanduser()
        except RuntimeError as error:  # of a user that there is not
            raise ValueError(f"{name} cannot be read: {error}") from None
        try:
            return base64.b64encode(path.read_bytes()).decode()
        except OSError as error:
            raise ValueError(f"{path} cannot be read: {error.strerror}") from None

    @field_validator("content")
    @classmethod
    def _decodes(cls, given: str) -> str:
        try:
            base64.b64decode(given, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("it is not in base64") from None
        return given

    @property
    def data(self) -> bytes:
        """Its bytes."""
        return base64.b64decode(self.content)


class ArtifactDocument(Document):
    """A file from the object store, or from a URL, that a job gets."""

    url: str = Field(min_length=1)
    """Name of the object, or where it is on the web."""
    mountpoint: str | None = None
    """`directory:/path`: where containers show a directory, or file, that comes of it."""
    executable: bool = False
    """Whether commands may execute it."""

    @field_validator("mountpoint")
    @classmethod
    def _leads(cls, given: str | None) -> str | None:
        name, _, target = (given or "").partition(":")
        leads_out = ":" in target or ".." in (*name.split("/"), *target.split("/")) or name.startswith("/")
        if given is not None and (leads_out or not name or not target.startswith("/") or not target.strip("/")):
            raise ValueError(
                f"{given!r:.200} is no mount point: it needs the name of a directory of the artifact and an absolute "
                "path in the container, without '..' and ':', as in data:/mnt"
            )
        return given

    @property
    def mount(self) -> tuple[str, str] | None:
        """The path in the container, and the directory."""
        name, _, target = (self.mountpoint or "").partition(":")
        return (target, name) if target else None

    @property
    def remote(self) -> bool:
        """Whether it is on the web."""
        return self.url.startswith(("http://", "https://"))


class WhereDocument(Document):
    """Some places."""

    sites: tuple[str, ...] = ()
    """Names of sites, as configured."""
    regions: tuple[str, ...] = ()
    """Kept, and without effect: sites have no regions here."""


class PlacementDocument(Document):
    """Where jobs may run, and where they should."""

    requirements: WhereDocument = WhereDocument()
    """Nowhere else."""
    preferences: WhereDocument = WhereDocument()
    """Where there is a choice."""

    @property
    def site(self) -> str | None:
        """The site that is taken; None: that of the configuration."""
        wanted = [name for name in self.preferences.sites if name in self.requirements.sites]
        return next(iter([*wanted, *self.requirements.sites, *self.preferences.sites]), None)


class JobPoliciesDocument(Document):
    """How a job is treated."""

    maximum_retries: int = Field(default=0, ge=0)
    """So often a job that failed is tried again."""
    maximum_task_retries: int = Field(default=0, ge=0)
    """So often a task that failed is started again in the same scratch directory."""
    maximum_time_in_queue: float = Field(default=-1, ge=-1, le=44640)
    """So long it may wait [min]; -1 and 0: for ever."""
    ignore_task_failures: bool = False
    """Whether the tasks after one that failed are run all the same, and the job completes."""
    report_job_success_on_task_failure: bool = False
    """Whether a job completes in which a task failed, after which no other is run."""
    run_serial_tasks_on_all_nodes: Literal[False] = False
    """Refused: start what is to run on all nodes as a task of an MPI type."""
    placement: PlacementDocument = PlacementDocument()
    """Where it runs."""
    maximum_idle_time_per_resource: float | None = None
    """Kept, and without effect."""
    leave_in_queue: bool | None = None
    """Kept, and without effect: what is known of a job stays until it is removed."""
    priority: int | None = None
    """Kept, and without effect."""
    auto_scaling_type: Literal["none", "dedicated", "shared"] | None = None
    """Kept, and without effect: the configuration of the site says how it grows."""
    preemptible: bool | None = None
    """Kept, and without effect."""


class NotificationDocument(Document):
    """Who is told of an end."""

    event: Literal["jobFinished", "workflowFinished"]
    """Of which."""
    type: Literal["email"] = "email"
    """How."""


class JobDocument(Document):
    """A job."""

    name: str = Field(default="", max_length=512, pattern=NAME)
    """For people, and within a workflow for others to depend on."""
    labels: Labels = {}
    """By which it is found."""
    tasks: tuple[TaskDocument, ...]
    """One after the other in one directory."""
    resources: ResourcesDocument = ResourcesDocument()
    """What it needs."""
    inputs: tuple[InputDocument, ...] = ()
    """Small files."""
    artifacts: tuple[ArtifactDocument, ...] = ()
    """Large files."""
    output_files: tuple[str, ...] = ()
    """What is kept: paths or globs."""
    output_dirs: tuple[str, ...] = ()
    """The same, of directories."""
    policies: JobPoliciesDocument = JobPoliciesDocument()
    """How it is treated."""
    notifications: tuple[NotificationDocument, ...] = ()
    """Kept, and without effect."""
    parameters: dict[str, Text] = {}
    """What a factory gave it."""

    @field_validator("labels")
    @classmethod
    def _labels(cls, given: Labels) -> Labels:
        return check_labels(given)

    @field_validator("tasks")
    @classmethod
    def _tasks(cls, given: tuple[TaskDocument, ...]) -> tuple[TaskDocument, ...]:
        if not given:
            raise ValueError("a job needs at least one task")
        if all(task.type == "sidecar" for task in given):
            raise ValueError("all tasks are sidecars: there is nothing that they run beside")
        return given

    @property
    def mounts(self) -> list[tuple[str, str]]:
        """Paths in containers, and what of the artifacts is shown there."""
        return [artifact.mount for artifact in self.artifacts if artifact.mount is not None]

    @model_validator(mode="after")
    def _mounts_are_seen(self) -> Self:
        mounts = self.mounts
        if mounts and not any(task.image for task in self.tasks):
            raise ValueError(
                f"{mounts[0][0]} is a mount point, and no task has an image: on the node itself nothing is mounted. "
                "Leave directory_name and mount_point out: what was staged is in the directory where tasks start"
            )
        if len({target for target, _ in mounts}) < len(mounts):
            raise ValueError("several artifacts have one mount point")
        return self

    @model_validator(mode="after")
    def _ranks_fit(self) -> Self:
        cores = self.resources.cores
        for task in self.tasks:
            if task.type in MPI and task.image and self.resources.nodes > 1:
                raise ValueError(
                    f"a task of the type {task.type} on {self.resources.nodes} nodes has an image: ranks on several "
                    "nodes are started outside of containers. Let each start its own, without `image`, as by the "
                    f"command: apptainer exec {task.image:.200} {task.cmd:.200}"
                )
            if task.procs_per_node is not None and task.procs_per_node > cores:
                raise ValueError(f"a task has {task.procs_per_node} processes per node, and the node {cores} CPUs")
        return self


def check_labels(given: Labels) -> Labels:
    """Labels, if they are such."""
    for name, value in given.items():
        if not _LABEL.fullmatch(name) or not _LABELLED.fullmatch(value):
            raise ValueError(f"{name}={value!r:.100} is no label: letters and digits, and in values '-', '_', '.', '/'")
    return given


def parse(kind: type[D], given: Any, error: type[ProminenceError]) -> D:
    """Read a description.

    Parameters
    ----------
    error
        What is raised where it does not fit; the message says what does not.
    """
    try:
        return kind.model_validate(given)
    except ValidationError as wrong:
        raise error(_told(wrong, given)) from None


def _told(wrong: ValidationError, given: Any) -> str:
    parts = [
        each._replace(text=f"is not known here{_CURES.get(str(each.place[-1]), '')}") if each.strange else each
        for each in mistakes_in(wrong, given)
    ]
    return f"This does not fit: {'; '.join(map(str, parts))}."
