"""Jobs, as the PROMINENCE client has them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from daskflow import Artifact as Stored
from daskflow.compat.prominence import attending, driver, starting
from daskflow.compat.prominence.documents import JobDocument, parse
from daskflow.compat.prominence.errors import (
    DeletionError,
    JobCreationError,
    JobGetError,
    StdStreamsError,
)
from daskflow.compat.prominence.files import Artifact, InputFile
from daskflow.compat.prominence.ledger import FINAL, Entry, Output, new_id
from daskflow.compat.prominence.lifecycle import check_surroundings, document_of, end, forget, launch, wait_for
from daskflow.compat.prominence.policies import JobPolicies, Notification
from daskflow.compat.prominence.reading import as_wanted, given
from daskflow.compat.prominence.resources import Resources
from daskflow.compat.prominence.tasks import Task
from daskflow.errors import DaskflowError


class Events(NamedTuple):
    """When things happened; seconds since the epoch [s]."""

    create: float | None = None
    """It was created."""
    start: float | None = None
    """Its first task started."""
    end: float | None = None
    """It ended."""


class Job:
    """Tasks that run one after the other in one directory, with the files that they get and leave.

    Parameters
    ----------
    id
        Of a job that was created before, by whatever process; None: it is yet to be created.

    Raises
    ------
    JobGetError
        There is no job of that id.

    Notes
    -----
    A job is performed by a process of its own, which goes on when the one that created it has ended.

    Examples
    --------
    >>> job = Job()
    >>> job.tasks.append(Task(command="date"))
    >>> job.to_dict()["tasks"]
    [{'cmd': 'date', 'type': 'basic'}]
    """

    def __init__(self, id: str | int | None = None) -> None:
        self.name = ""
        """For people, and within a workflow for others to depend on."""
        self.labels: dict[str, Any] = {}
        """By which it is found."""
        self.tasks: list[Task] = []
        """One after the other in one directory."""
        self.resources = Resources()
        """What it needs."""
        self.input_files: list[Any] = []
        """Small files that it gets: `InputFile`s."""
        self.artifacts: list[Artifact] = []
        """Large files that it gets."""
        self.output_files: list[str] = []
        """Files that are kept, also where a task failed: paths or globs."""
        self.output_directories: list[str] = []
        """The same, of directories."""
        self.policies = JobPolicies()
        """How it is treated."""
        self.notifications: list[Notification] = []
        """Kept, and without effect."""
        self.parameters: dict[str, str] = {}
        """What a factory gave it."""
        self.id = None if id is None else str(id)
        """None until it is created."""
        self.made_several = False
        """Whether it is the pattern of jobs that a factory made of it, and is not performed itself."""
        if self.id is not None:
            self._take(document_of(Entry("job", self.id))[0])

    # Its description.

    def to_dict(self) -> dict[str, Any]:
        """As JSON describes it; needs neither a configuration nor a token."""
        files = [file if isinstance(file, dict) else file.to_dict() for file in self.input_files]
        optional = {
            "inputs": files,
            "artifacts": [artifact.to_dict() for artifact in self.artifacts],
            "outputFiles": list(self.output_files),
            "outputDirs": list(self.output_directories),
            "policies": self.policies.to_dict(),
            "notifications": [notification.to_dict() for notification in self.notifications],
            "labels": self.labels,
        }
        return {
            "name": self.name,
            "tasks": [task.to_dict() for task in self.tasks],
            "resources": self.resources.to_dict(),
            **{name: value for name, value in optional.items() if value},
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Job:
        """A job that is yet to be created, from its description.

        Raises
        ------
        JobCreationError
            It does not fit.
        """
        made = cls()
        made._take(parse(JobDocument, data, JobCreationError))
        return made

    def _take(self, document: JobDocument) -> None:
        data = document.model_dump(mode="json", by_alias=True, exclude_unset=True)
        self.name = document.name
        self.labels = dict(document.labels)
        self.tasks = [Task.from_dict(task) for task in data["tasks"]]
        self.resources = Resources.from_dict(data.get("resources", {}))
        self.input_files = [InputFile.from_dict(file) for file in data.get("inputs", [])]
        self.artifacts = [Artifact.from_dict(artifact) for artifact in data.get("artifacts", [])]
        self.output_files = list(document.output_files)
        self.output_directories = list(document.output_dirs)
        self.policies = JobPolicies.from_dict(data.get("policies", {}))
        self.notifications = [Notification.from_dict(each) for each in data.get("notifications", [])]
        self.parameters = dict(document.parameters)

    # Its life.

    def create(self) -> str:
        """Have it performed, from now on by a process of its own.

        Returns
        -------
        str
            Its id, at once.

        Raises
        ------
        JobCreationError
            It does not fit, or an artifact is not there, or nothing takes it. Nothing runs.
        """
        if self.id is not None:
            raise JobCreationError(f"The job {self.id} was created before. Make a new one: Job.from_dict(...).")
        document = parse(JobDocument, self.to_dict(), JobCreationError)
        check_surroundings([document], JobCreationError)
        entry = Entry("job", new_id())
        launch(entry, self.to_dict(), JobCreationError)
        self.id = entry.id
        return entry.id

    @property
    def status(self) -> str:
        """`idle`, `running`, `completed`, `failed`, `killed` (by a limit) or `deleted`; empty before it is created.

        Raises
        ------
        ConnectionError
            What is known of it cannot be read.
        """
        return "" if self.id is None else str(starting.look(self._entry())["status"])

    @property
    def status_reason(self) -> str:
        """Why it did not complete."""
        return "" if self.id is None else str(starting.look(self._entry()).get("statusReason", ""))

    def done(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self.status in FINAL

    def wait(self, timeout: float = 0) -> bool:
        """Wait until it has ended.

        Parameters
        ----------
        timeout
            So long at most [s]; 0: however long it takes.

        Returns
        -------
        bool
            Whether it has ended.
        """
        self._entry()
        return wait_for(self.done, timeout)

    @property
    def events(self) -> Events:
        """When it was created, started and ended."""
        entry = self._entry()
        found = starting.look(entry).get("events", {})
        return Events(document_of(entry)[1], found.get("startTime"), found.get("endTime"))

    @property
    def execution(self) -> dict[str, Any]:
        """What it used: `tasks` with their exit codes, `wallTimeUsage` and `cpuTimeUsage` [s], `maxMemoryUsageKB`."""
        return dict(starting.look(self._entry()).get("execution", {}))

    @property
    def error(self) -> str:
        """What it failed with, in full."""
        return str(starting.look(self._entry()).get("error", ""))

    def delete(self) -> bool:
        """End it; returns when nothing of it is alive any more. Whether it had not ended before."""
        entry = self._entry()
        if self.done():
            return False
        entry.write("deleted", time.time())
        if entry.workflow is not None:
            # The process of the workflow sees to it.
            entry.workflow.write("orders", time.time())
        else:
            end(entry)
        return True

    def remove(self) -> bool:
        """Forget it and what it left, once it has ended.

        Raises
        ------
        DeletionError
            It has not ended; or it belongs to a workflow, which is removed as a whole.
        """
        entry = self._entry()
        if entry.workflow is not None:
            raise DeletionError(f"The job {self.id} belongs to a workflow. Remove that.")
        if not self.done():
            raise DeletionError(f"The job {self.id} is {self.status}. Wait for its end, or delete it first.")
        forget(entry)
        return True

    # What it got and left.

    def stdout(self, node: int = 0, offset: int = 0) -> str:
        """What its tasks wrote to standard output so far.

        Parameters
        ----------
        node
            The first one is the only one of which it is known.
        offset
            Without the bytes before this one.

        Raises
        ------
        StdStreamsError
            There is no such node.
        """
        return self._stream("stdout", node, offset)

    def stderr(self, node: int = 0, offset: int = 0) -> str:
        """The same for standard error."""
        return self._stream("stderr", node, offset)

    def _stream(self, part: Any, node: int, offset: int) -> str:
        if node:
            raise StdStreamsError(f"The output of node {node} is not known apart: that of all nodes comes from node 0.")
        entry = self._entry()
        found = entry.read_bytes(part)
        if found is None:
            mark = starting.OUT if part == "stdout" else starting.ERR
            owner = entry.workflow
            found = (driver.lines_of(starting.said(entry), mark) if owner is None else "").encode()
        return found[offset:].decode(errors="replace")

    def execute(self, command: str) -> str:
        """What a command writes to standard output, beside the tasks that run, in a container like theirs.

        Raises
        ------
        ExecError
            The job does not run; or the command failed, with its exit code and what it wrote to standard error.
        """
        return attending.execute(self._entry(), command)

    def get_snapshot(self, path: str, save_as: str | os.PathLike[str] | None = None) -> bytes | Path:
        """A file or directory of the scratch directory while the job runs; given as `get_output_directory` does.

        Raises
        ------
        SnapshotCreateError
            The job does not run, or has no such file.
        """
        found = attending.snapshot(self._entry(), path).artifact(quote(Path(path).name, safe=" ") or "scratch")
        return given(found, save_as, f"The snapshot of {path!r} of the job {self.id}")

    def get_input_file(self, name: str, *, text: bool | None = None) -> str | bytes:
        """An input file: text where it is such, else bytes; `text` says which of both is wanted.

        Raises
        ------
        JobGetError
            It has none of that name.
        """
        for file in self.input_files:
            one = InputFile.from_dict(file) if isinstance(file, dict) else file
            if one.filename == name:
                return as_wanted(one.data, text)
        raise JobGetError(f"The job has no input file {name!r}.")

    def get_output_file(
        self, name: str, save_as: str | os.PathLike[str] | None = None, *, text: bool | None = None
    ) -> str | bytes | Path:
        """An output file, read into memory or saved.

        Parameters
        ----------
        name
            Its path in the scratch directory.
        save_as
            Where to save it.
        text
            True: as text; False: as bytes; None: as text where it is such, in UTF-8 and without zero bytes.

        Returns
        -------
        str, bytes or Path
            The content; where it was saved the path.

        Raises
        ------
        JobGetError
            The job has not ended, or left no such file; the message names those that it left.
        """
        found = self._output(name)
        try:
            if save_as is not None:
                return found.download(save_as)
            with found.open() as file:
                return as_wanted(bytes(file.read()), text)
        except DaskflowError as error:
            raise JobGetError(f"The output file {name!r} of the job {self.id} cannot be had: {error}") from error

    def get_output_directory(self, name: str, save_as: str | os.PathLike[str] | None = None) -> bytes | Path:
        """An output directory.

        Parameters
        ----------
        save_as
            Where to save it: as an archive if it ends with `.tgz` or `.tar.gz`, else as a directory.

        Returns
        -------
        bytes or Path
            The archive, gzipped tar; where it was saved the path.
        """
        return given(self._output(name), save_as, f"The directory {name!r} of the job {self.id}")

    @property
    def outputs(self) -> list[str]:
        """The paths of all files and directories that it left."""
        return sorted(starting.look(self._entry()).get("output", {}))

    def _output(self, name: str) -> Stored:
        state = starting.look(self._entry())
        files = state.get("output", {})
        if name not in files:
            left = f"it left {', '.join(map(repr, sorted(files)))}" if files else "it left none"
            what = left if state["status"] in FINAL else f"it is {state['status']}: wait for its end"
            raise JobGetError(f"The job {self.id} has no output {name!r}; {what}.")
        return Output(*files[name]).artifact(name)

    def _entry(self) -> Entry:
        if self.id is None and self.made_several:
            raise JobGetError(
                f"A factory made several jobs of {self.name!r}: workflow.get_jobs({self.name!r}) gives them."
            )
        if self.id is None:
            raise JobGetError("The job was not created yet: job.create().")
        return Entry("job", self.id)

    def __repr__(self) -> str:
        return f"<Job {self.id or 'yet to be created'} {self.name}>"
