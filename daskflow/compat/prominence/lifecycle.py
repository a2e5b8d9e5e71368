"""How jobs and workflows are created, waited for, ended and forgotten."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

from daskflow import Artifact as Stored
from daskflow.compat.prominence import starting
from daskflow.compat.prominence.documents import JobDocument
from daskflow.compat.prominence.errors import DeletionError, JobGetError
from daskflow.compat.prominence.expanding import expand
from daskflow.compat.prominence.ledger import Entry, is_id
from daskflow.compat.prominence.workflowdocuments import WorkflowDocument
from daskflow.errors import DaskflowError

_SOON, _LATER = 0.05, 1.0
"""Between two looks at what is waited for [s]."""


def launch(entry: Entry, document: dict[str, Any], error: type[DaskflowError]) -> None:
    """Write down what is asked for, and have it performed; where that fails nothing is left."""
    try:
        entry.write("request", {"document": document, "createTime": time.time()})
        starting.start(entry)
    except DaskflowError as wrong:
        entry.remove()
        raise error(f"The {entry.kind} cannot be started: {wrong}") from wrong


def check_surroundings(jobs: list[JobDocument], error: type[DaskflowError]) -> None:
    """See that the artifacts are there that jobs need."""
    for name in sorted({artifact.url for job in jobs for artifact in job.artifacts if not artifact.remote}):
        try:
            there = Stored(name).exists()
        except DaskflowError as wrong:
            raise error(f"The artifact {name!r} cannot be looked for: {wrong}") from wrong
        if not there:
            raise error(f"There is no artifact {name!r}. Upload it first: Artifact({name!r}).upload(path).")
    if any(job.notifications for job in jobs):
        warnings.warn("PROMINENCE notifications are not sent: see `notifications` in the configuration.", stacklevel=4)


def end(entry: Entry) -> None:
    """End the process of something."""
    try:
        starting.stop(entry)
    except DaskflowError as error:
        raise DeletionError(f"The {entry.kind} {entry.id} cannot be ended: {error}") from error


def forget(entry: Entry) -> None:
    """Forget something, and its processes."""
    try:
        starting.forget(entry)
    except DaskflowError as error:
        raise DeletionError(f"The {entry.kind} {entry.id} cannot be removed: {error}") from error
    entry.remove()


def document_of(entry: Entry) -> tuple[JobDocument, float]:
    """What was asked for, and when.

    Raises
    ------
    JobGetError
        There is no such job.
    """
    owner = entry.workflow
    request = (owner or entry).read("request") if is_id(entry.id) else None
    if request is None:
        raise JobGetError(f"There is no job {entry.id}. Look where it was created: each store has its own.")
    if owner is None:
        return JobDocument.model_validate(request["document"]), request["createTime"]
    children = expand(WorkflowDocument.model_validate(request["document"]))
    if entry.number >= len(children):
        raise JobGetError(f"The workflow {owner.id} has {len(children)} jobs, and none of the number {entry.number}.")
    return children[entry.number].job, request["createTime"]


def wait_for(done: Callable[[], bool], timeout: float) -> bool:
    """Wait until something is done; whether it is."""
    deadline = time.monotonic() + timeout
    pause = _SOON
    while not done():
        if timeout > 0 and time.monotonic() >= deadline:
            return False
        time.sleep(min(pause, max(0.0, deadline - time.monotonic())) if timeout > 0 else pause)
        pause = min(1.5 * pause, _LATER)
    return True
