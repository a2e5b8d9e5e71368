"""Workflows, as the PROMINENCE client has them."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from daskflow.compat.prominence import starting
from daskflow.compat.prominence.documents import parse
from daskflow.compat.prominence.errors import DeletionError, JobGetError, WorkflowCreationError, WorkflowGetError
from daskflow.compat.prominence.expanding import Child, expand
from daskflow.compat.prominence.factories import Factory, factory_from, job_name
from daskflow.compat.prominence.job import Events, Job
from daskflow.compat.prominence.ledger import FINAL, Entry, is_id, new_id
from daskflow.compat.prominence.lifecycle import check_surroundings, end, forget, launch, wait_for
from daskflow.compat.prominence.policies import Notification, WorkflowPolicies
from daskflow.compat.prominence.reasons import SKIPPED
from daskflow.compat.prominence.workflowdocuments import WorkflowDocument
from daskflow.errors import DaskflowError


class Dependency:
    """Jobs that run after another one has completed.

    Parameters
    ----------
    parent
        That other job, or its name.
    children
        Those that run after it, or their names.
    """

    def __init__(self, parent: Any, children: Iterable[Any]) -> None:
        self.parent = parent
        self.children = list(children)

    def to_dict(self) -> dict[str, list[str]]:
        """As JSON describes it."""
        return {job_name(self.parent): [job_name(child) for child in self.children]}


class Workflow:
    """Jobs that depend on each other, and factories that make several jobs of one.

    Parameters
    ----------
    id
        Of a workflow that was created before, by whatever process; None: it is yet to be created.

    Raises
    ------
    WorkflowGetError
        There is none of that id.
    """

    def __init__(self, id: str | int | None = None) -> None:
        self.name = ""
        """For people; the names of its jobs begin with it."""
        self.labels: dict[str, Any] = {}
        """By which it is found."""
        self.jobs: list[Job] = []
        """Each with a name of its own."""
        self.dependencies: list[Dependency] = []
        """Which wait for which; those of one parent add up."""
        self.factories: list[Factory] = []
        """What makes several jobs of one."""
        self.policies = WorkflowPolicies()
        """How it is treated."""
        self.notifications: list[Notification] = []
        """Kept, and without effect."""
        self.id = None if id is None else str(id)
        """None until it is created."""
        if self.id is not None:
            self._take(self._document())

    def to_dict(self) -> dict[str, Any]:
        """As JSON describes it; needs neither a configuration nor a token."""
        dependencies: dict[str, list[str]] = {}
        for dependency in self.dependencies:
            for parent, children in dependency.to_dict().items():
                known = dependencies.setdefault(parent, [])
                known += [child for child in children if child not in known]
        optional = {
            "dependencies": dependencies,
            "factories": [factory.to_dict() for factory in self.factories],
            "policies": self.policies.to_dict(),
            "notifications": [notification.to_dict() for notification in self.notifications],
            "labels": self.labels,
        }
        return {
            "name": self.name,
            "jobs": [job.to_dict() for job in self.jobs],
            **{name: value for name, value in optional.items() if value},
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Workflow:
        """A workflow that is yet to be created, from its description.

        Raises
        ------
        WorkflowCreationError
            It does not fit.
        """
        made = cls()
        made._take(parse(WorkflowDocument, data, WorkflowCreationError))
        return made

    def _take(self, document: WorkflowDocument) -> None:
        data = document.model_dump(mode="json", by_alias=True, exclude_unset=True)
        self.name = document.name
        self.labels = dict(document.labels)
        self.jobs = [Job.from_dict(job) for job in data["jobs"]]
        self.dependencies = [Dependency(parent, children) for parent, children in document.dependencies.items()]
        self.factories = [factory_from(factory) for factory in document.factories]
        self.policies = WorkflowPolicies.from_dict(data.get("policies", {}))
        self.notifications = [Notification.from_dict(each) for each in data.get("notifications", [])]
        if self.id is not None:
            self._name_jobs(expand(document))

    def _name_jobs(self, children: list[Child]) -> None:
        """Give those of the jobs that are no patterns of factories their ids."""
        made = {job_name(job) for factory in self.factories for job in factory.jobs}
        ids = {child.of: f"{self.id}.{child.number}" for child in children}
        for job in self.jobs:
            job.made_several = job.name in made
            if not job.made_several:
                job.id = ids[job.name]

    # Its life.

    def create(self) -> str:
        """Have it performed, from now on by a process of its own.

        Returns
        -------
        str
            Its id, at once. Its jobs, as far as they are no patterns of factories, have theirs then too.

        Raises
        ------
        WorkflowCreationError
            It does not fit: a circle, a name that there is not, or anything else. Nothing runs.
        """
        if self.id is not None:
            raise WorkflowCreationError(f"The workflow {self.id} was created before. Make a new one.")
        data = self.to_dict()
        document = parse(WorkflowDocument, data, WorkflowCreationError)
        children = expand(document)
        check_surroundings([child.job for child in children], WorkflowCreationError)
        entry = Entry("workflow", new_id())
        launch(entry, data, WorkflowCreationError)
        self.id = entry.id
        self._name_jobs(children)
        return entry.id

    @property
    def status(self) -> str:
        """`idle`, `running`, `completed`, `failed` or `deleted`; empty before it is created.

        Raises
        ------
        ConnectionError
            What is known of it cannot be read.
        """
        return "" if self.id is None else str(starting.look(self._entry())["status"])

    @property
    def status_reason(self) -> str:
        """Why it did not complete, where the jobs do not say it."""
        return "" if self.id is None else str(starting.look(self._entry()).get("statusReason", ""))

    @property
    def progress(self) -> dict[str, int]:
        """How many jobs there are in `total`, `done`, `failed`, `queued`, and `waiting` for others."""
        entry = self._entry()
        found = starting.look(entry)
        if found["status"] in FINAL and (entry.read("state") or {}).get("status") not in FINAL:
            # Its process was ended before it told this, and had not told the end of its jobs either.
            return self._ended(found)
        if "progress" in found:
            return dict(found["progress"])
        return self._ahead()

    def _ahead(self) -> dict[str, int]:
        """The progress of a workflow whose process has told nothing yet: all begins but what completed before."""
        children = expand(self._document())
        states = [Entry("job", f"{self.id}.{child.number}").read("state") or {} for child in children]
        good = [state.get("status") == "completed" for state in states]
        open = [child for child in children if not good[child.number]]
        queued = sum(all(good[number] for number in child.parents) for child in open)
        counts = {"done": len(children) - len(open), "failed": 0, "queued": queued, "waiting": len(open) - queued}
        return {"total": len(children), **counts}

    def _ended(self, above: dict[str, Any]) -> dict[str, int]:
        """The progress of a workflow that has ended so."""
        jobs = [
            starting.look_below(Entry("job", f"{self.id}.{child.number}"), above) for child in expand(self._document())
        ]
        done = sum(job["status"] == "completed" for job in jobs)
        skipped = sum(job.get("statusReason") == SKIPPED for job in jobs)
        failed = len(jobs) - done - skipped
        return {"total": len(jobs), "done": done, "failed": failed, "queued": 0, "waiting": skipped}

    @property
    def events(self) -> Events:
        """When it was created, started and ended."""
        found = starting.look(self._entry()).get("events", {})
        return Events(self._request()["createTime"], found.get("startTime"), found.get("endTime"))

    def done(self) -> bool:
        """Whether nothing more of it is performed."""
        return self.status in FINAL

    def wait(self, timeout: float = 0) -> bool:
        """Wait until it has ended, so long at most [s]; 0: however long it takes. Whether it has ended."""
        self._entry()
        return wait_for(self.done, timeout)

    def get_jobs(self, name: str | None = None) -> list[Job]:
        """The jobs that are performed: all, or those that were made of the job of a name, in their order.

        Raises
        ------
        JobGetError
            It has no job of that name; the message tells those that it has.
        """
        document = self._document()
        children = expand(document)
        names = [job.name for job in document.jobs]
        if name is not None and name not in names:
            raise JobGetError(f"The workflow {self.id} has no job {name!r}. It has {', '.join(map(repr, names))}.")
        return [Job(f"{self.id}.{child.number}") for child in children if name in (None, child.of)]

    def delete(self) -> bool:
        """End it with all its jobs; returns when nothing of it is alive any more. Whether it had not ended before."""
        entry = self._entry()
        if self.done():
            return False
        entry.write("deleted", time.time())
        end(entry)
        return True

    def remove(self) -> bool:
        """Forget it with its jobs, once it has ended.

        Raises
        ------
        DeletionError
            It has not ended.
        """
        entry = self._entry()
        if not self.done():
            raise DeletionError(f"The workflow {self.id} is {self.status}. Wait for its end, or delete it first.")
        for child in expand(self._document()):
            Entry("job", f"{self.id}.{child.number}").remove()
        forget(entry)
        return True

    def rerun(self) -> str:
        """Begin again what did not complete; the workflow keeps its id, and counts on.

        Raises
        ------
        WorkflowCreationError
            It has not ended, or nothing takes it.
        """
        entry = self._entry()
        if not self.done():
            raise WorkflowCreationError(f"The workflow {self.id} is {self.status}. Wait for its end before a rerun.")
        process = entry.read("process") or {}
        try:
            for child in [None, *expand(self._document())]:
                one = entry if child is None else Entry("job", f"{self.id}.{child.number}")
                one.undelete()
            starting.start(entry, process.get("begun", 0) + 1)
        except DaskflowError as error:
            raise WorkflowCreationError(f"The workflow {self.id} cannot be begun again: {error}") from error
        return entry.id

    def _entry(self) -> Entry:
        if self.id is None:
            raise WorkflowGetError("The workflow was not created yet: workflow.create().")
        return Entry("workflow", self.id)

    def _request(self) -> dict[str, Any]:
        found: dict[str, Any] | None = self._entry().read("request") if is_id(self.id) else None
        if found is None:
            raise WorkflowGetError(
                f"There is no workflow {self.id}. Look where it was created: each store has its own."
            )
        return found

    def _document(self) -> WorkflowDocument:
        return WorkflowDocument.model_validate(self._request()["document"])

    def __repr__(self) -> str:
        return f"<Workflow {self.id or 'yet to be created'} {self.name}>"
