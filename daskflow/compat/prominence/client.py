"""The calls of the PROMINENCE client that are no methods of jobs and workflows."""

from __future__ import annotations

import fnmatch
import os
import re
from typing import Any

import daskflow
from daskflow.artifacts.names import Names
from daskflow.compat.prominence import starting
from daskflow.compat.prominence.attending import snapshot
from daskflow.compat.prominence.errors import (
    JobGetError,
    KeyValueError,
    NoSuchKey,
    ProminenceError,
    SnapshotGetError,
    StdStreamsError,
    UsageError,
)
from daskflow.compat.prominence.files import Artifact
from daskflow.compat.prominence.job import Job
from daskflow.compat.prominence.ledger import FINAL, Entry, Kind, Output
from daskflow.compat.prominence.workflow import Workflow
from daskflow.errors import DaskflowError, NameRefused

_NAME = re.compile(r"^prominence-(job|workflow)-(\d{8}-\d{6}-[0-9a-f]{8})$")
_ACTIVE = "active"
_ALL = "all"
_STATUSES = (_ACTIVE, _ALL, "idle", "running", *sorted(FINAL))
_FIRST = -1
_OWN = "prominence/"
"""Begins the names of what is kept of jobs, workflows and values themselves."""
_VALUES = f"{_OWN}values/"


class ProminenceClient:
    """The calls of the PROMINENCE client. Nobody has to log in: what is configured here is used.

    Parameters
    ----------
    authenticated, timeout
        Taken, and without effect.
    """

    def __init__(self, authenticated: bool = False, timeout: float = 150) -> None:
        self.authenticated = authenticated
        self.timeout = timeout

    def authenticate_user(self, token: str | None = None) -> None:
        """There is nobody to prove anything to."""

    # Jobs and workflows.

    def create_job(self, data: dict[str, Any]) -> str:
        """Create a job from its description; its id."""
        return Job.from_dict(data).create()

    def create_workflow(self, data: dict[str, Any]) -> str:
        """Create a workflow from its description; its id."""
        return Workflow.from_dict(data).create()

    def describe_job(self, id: str, input_only: bool = False) -> dict[str, Any]:
        """What was asked for, and unless `input_only` how it stands."""
        job = Job(id)
        return job.to_dict() if input_only else _described(job, Entry("job", id))

    def describe_workflow(self, id: str, input_only: bool = False) -> dict[str, Any]:
        """What was asked for, and unless `input_only` how it stands."""
        workflow = Workflow(id)
        if input_only:
            return workflow.to_dict()
        return {**_described(workflow, Entry("workflow", id)), "progress": workflow.progress}

    def list_jobs(
        self,
        status: str | None = _ACTIVE,
        num: int | None = None,
        constraint: dict[str, str] | None = None,
        name_constraint: str | None = None,
        workflow_id: str | None = None,
        detail: bool = False,
    ) -> list[dict[str, Any]]:
        """Jobs, the latest first.

        Parameters
        ----------
        status
            Only those in this state; `active`: those that have not ended; `all` or None: whatever their states.
        num
            So many at most.
        constraint
            Only those with these labels.
        name_constraint
            Only those with such a name, as `fit-*`.
        workflow_id
            The jobs of this workflow.
        detail
            All of the description.

        Raises
        ------
        ProminenceError
            There is no such status.
        """
        found: list[Any] = Workflow(workflow_id).get_jobs() if workflow_id else _known("job")
        wanted = _Wanted(status, constraint or {}, name_constraint)
        return _listed(found, "job", wanted, num, detail=detail)

    def list_workflows(
        self,
        status: str | None = _ACTIVE,
        num: int | None = None,
        constraint: dict[str, str] | None = None,
        name_constraint: str | None = None,
        detail: bool = False,
    ) -> list[dict[str, Any]]:
        """Workflows, the latest first; see `list_jobs`."""
        wanted = _Wanted(status, constraint or {}, name_constraint)
        return _listed(_known("workflow"), "workflow", wanted, num, detail=detail)

    def delete_job(self, id: str) -> bool:
        """End a job."""
        return Job(id).delete()

    def delete_workflow(self, id: str) -> bool:
        """End a workflow."""
        return Workflow(id).delete()

    def remove(self, type: str, id: str) -> bool:
        """Forget a `job` or `workflow` that has ended."""
        return (Job(id) if type == "job" else Workflow(id)).remove()

    def rerun(self, id: str) -> str:
        """Begin again what did not complete of a workflow; its id, which stays."""
        return Workflow(id).rerun()

    def clone(self, type: str, id: str) -> str:
        """Create a `job` or `workflow` like one that there is; its id."""
        if type == "job":
            return self.create_job(Job(id).to_dict())
        return self.create_workflow(Workflow(id).to_dict())

    def stdout_job(self, id: str, node: int = 0, offset: int = 0) -> str:
        """What a job wrote to standard output."""
        return Job(id).stdout(node, offset)

    def stderr_job(self, id: str, node: int = 0, offset: int = 0) -> str:
        """What a job wrote to standard error."""
        return Job(id).stderr(node, offset)

    def stdout_workflow(self, id: str, node: int, job: str, instance: int = -1) -> str:
        """What a job of a workflow wrote to standard output.

        Parameters
        ----------
        node
            0; see `Job.stdout`.
        job
            Its name.
        instance
            Which of those that a factory made of it; -1: the first.

        Raises
        ------
        StdStreamsError, JobGetError
            There is no such node, or no such job.
        """
        return _one_of(id, node, job, instance).stdout(node)

    def stderr_workflow(self, id: str, node: int, job: str, instance: int = -1) -> str:
        """What a job of a workflow wrote to standard error; see `stdout_workflow`."""
        return _one_of(id, node, job, instance).stderr(node)

    def execute_command(self, id: str, command: str) -> str:
        """What a command writes to standard output, beside the tasks of a job that runs; see `Job.execute`."""
        return Job(id).execute(command)

    def create_snapshot(self, id: str, path: str) -> None:
        """Keep a file or directory of a job that runs, as it is now; see `Job.get_snapshot`."""
        snapshot(Entry("job", str(Job(id).id)), path)

    def get_snapshot_url(self, id: str) -> str:
        """Where the latest snapshot of a job can be downloaded, for some time and without any key.

        Raises
        ------
        SnapshotGetError
            There is none; or it is a directory, or the store is no object store: `Job.get_snapshot` gives it then.
        """
        kept = Entry("job", str(Job(id).id)).read("snapshot")
        if kept is None:
            raise SnapshotGetError(f"There is no snapshot of the job {id}. Make one: create_snapshot(id, path).")
        try:
            return str(Output(*kept["output"]).artifact("snapshot").url())
        except DaskflowError as error:
            raise SnapshotGetError(f"The snapshot of the job {id} has no URL: {error}") from error

    # Objects.

    def upload(self, file: str, filename: str | os.PathLike[str], checksum: str | None = None) -> None:
        """Bring a file into the object store.

        Parameters
        ----------
        file
            The name that it has there.
        filename
            Where it is here.
        checksum
            Taken, and not needed: what is uploaded is verified in any case.
        """
        Artifact(file).upload(filename)

    def list_objects(self, path: str = "") -> list[dict[str, Any]]:
        """The objects whose names begin with a path, by their names: `name`, `size` [bytes] and `lastModified` [s]."""
        return [
            {"name": found.name, "size": found.size, "lastModified": found.time}
            for found in _names().all(path)
            if not found.name.startswith(_OWN)
        ]

    def delete_object(self, name: str) -> None:
        """Take the name of an object away. Raises ArtifactMissing."""
        daskflow.Artifact(name).remove()

    # Values by their names.

    def kv_set(self, key: str, value: str | bytes) -> None:
        """Keep a value.

        Raises
        ------
        KeyValueError
            It cannot be kept.
        """
        try:
            _value(key).upload(value.encode() if isinstance(value, str) else value)
        except DaskflowError as error:
            raise KeyValueError(f"{key!r} cannot be kept: {error}") from error

    def kv_get(self, key: str) -> str | bytes:
        """A value that was kept.

        Raises
        ------
        NoSuchKey
            There is none of that name.
        """
        with _kept(key).open() as file:
            data = bytes(file.read())
        try:
            return data.decode()
        except UnicodeDecodeError:
            return data

    def kv_delete(self, key: str) -> None:
        """Forget a value.

        Raises
        ------
        NoSuchKey
            There is none of that name.
        """
        _kept(key).remove()

    def kv_list(self, prefix: str = "") -> list[str]:
        """The names of the values that are kept, those that begin with a prefix."""
        return [name.removeprefix(_VALUES) for name in _names().list(_VALUES + prefix)]

    # What there is not.

    def resources(self) -> None:
        """Not to be had: raises ProminenceError."""
        raise ProminenceError(
            "Nobody counts here what all sites have free. `daskflow site ls` names the sites that are configured."
        )

    def get_usage(self, *_: object) -> None:
        """Not to be had: raises UsageError."""
        raise UsageError


class _Wanted:
    """Which of them are listed."""

    def __init__(self, status: str | None, labels: dict[str, str], name: str | None) -> None:
        if status is not None and status not in _STATUSES:
            raise ProminenceError(f"There is no status {status!r}. Ask for one of {', '.join(_STATUSES)}.")
        self._status, self._labels, self._name = status, labels, name

    def has(self, one: Any) -> bool:
        """By what was asked for."""
        if self._name is not None and not fnmatch.fnmatchcase(one.name, self._name):
            return False
        labels = {name: str(value) for name, value in one.labels.items()}
        return all(name in labels and fnmatch.fnmatchcase(labels[name], value) for name, value in self._labels.items())

    def stands(self, status: str) -> bool:
        """By how it stands."""
        if self._status == _ACTIVE:
            return status not in FINAL
        return self._status in (None, _ALL, status)


def _known(kind: Kind) -> list[Any]:
    """What was created here and not removed, the latest first."""
    names = [one.name for site in starting.sites() for one in starting.services(site).ls("^prominence-")]
    found = [match for name in names if (match := _NAME.match(name))]
    ids = sorted({match[2] for match in found if match[1] == kind}, reverse=True)
    return [Job(id) if kind == "job" else Workflow(id) for id in ids if Entry(kind, id).has("request")]


def _listed(given: list[Any], kind: Kind, wanted: _Wanted, num: int | None, *, detail: bool) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for one in given:
        if num is not None and len(found) >= num:
            break
        if not wanted.has(one):
            continue
        state = starting.look(Entry(kind, one.id))
        if wanted.stands(state["status"]):
            described = {"id": one.id, "name": one.name, "status": state["status"], "labels": one.labels}
            found.append(_described(one, Entry(kind, one.id)) if detail else described)
    return found


def _described(one: Any, entry: Entry) -> dict[str, Any]:
    state = {name: value for name, value in starting.look(entry).items() if name not in ("begun", "output")}
    events = {"createTime": one.events.create, **state.pop("events", {})}
    return {"id": entry.id, **one.to_dict(), **state, "events": events}


def _one_of(id: str, node: Any, job: str, instance: int) -> Job:
    if isinstance(node, str):
        raise StdStreamsError(f"{node!r} is no number of a node. The order is: workflow, node, job, instance.")
    found = Workflow(id).get_jobs(job)
    number = 0 if instance == _FIRST else instance
    if not 0 <= number < len(found):
        raise JobGetError(f"The workflow {id} has {len(found)} jobs of the name {job!r}, and no number {number}.")
    return found[number]


def _names() -> Names:
    return Names(daskflow.Artifact(_OWN.rstrip("/")).store)


def _value(key: str) -> daskflow.Artifact:
    try:
        return daskflow.Artifact(f"{_VALUES}{key}")
    except NameRefused as error:
        raise KeyValueError(f"{key!r} is no name of a value: {error}") from None


def _kept(key: str) -> daskflow.Artifact:
    found = _value(key)
    if not found.exists():
        raise NoSuchKey(f"There is no value {key!r}.")
    return found
