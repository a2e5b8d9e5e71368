"""What can be done with a run that is recorded: cancel it, go on with it, read what its jobs left."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from daskflow.errors import TargetInvalid, UsageError
from daskflow.execution.capture import read_log
from daskflow.execution.project import Project
from daskflow.execution.target import Target, fit_again, load_flow
from daskflow.model.records import AttemptRecord, JobRecord, RunRecord
from daskflow.model.states import RunState
from daskflow.stores import Journal

_POLL = 0.2


def cancel(journal: Journal, ident: str) -> RunRecord:
    """Cancel a run, in whatever process its driver is; that one sees it within some seconds.

    Raises
    ------
    NotFound
        No such run.
    UsageError
        It has ended already.
    """
    with journal.database.transaction():
        record = journal.run(ident)
        if record.state.final:
            raise UsageError(f"The run {record.id} has ended already ({record.state}); there is nothing to cancel.")
        fields: dict[str, Any] = {"state": RunState.cancelled}
        if record.state is RunState.interrupted:
            fields["stopped"] = time.time()
        return journal.update_run(record.id, **fields)


def await_end(journal: Journal, run: str, patience: float) -> bool:
    """Wait for some time [s] until the driver of a cancelled run has written its end; returns whether it has."""
    deadline = time.monotonic() + patience
    while journal.run(run).stopped is None:
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    return True


class Continuation(NamedTuple):
    """What is needed to go on with a run."""

    record: RunRecord
    target: Target
    arguments: dict[str, Any]


def continuation(journal: Journal, ident: str) -> Continuation:
    """Find what is needed to go on with a run.

    Raises
    ------
    NotFound
        No such run.
    UsageError
        It is being performed, or cannot be begun anew from what is recorded; the message says why, and what to do.
    """
    record = journal.run(ident)
    if record.state in (RunState.running, RunState.paused):
        raise UsageError(
            f"The run {record.id} is {record.state}, by process {record.pid} on {record.host}. "
            f"Wait for it, or stop it first: daskflow cancel {record.id}"
        )
    cure = "What it finished is remembered: call the flow again there, and it goes on from there."
    if not record.target:
        raise UsageError(
            f"The run {record.id} cannot be resumed by its id: its flow {record.flow!r} was declared in a notebook, "
            f"in an interactive session or inside a function, where it cannot be found. {cure}"
        )
    if record.payload is None:
        raise UsageError(f"The run {record.id} cannot be resumed by its id: its arguments could not be pickled. {cure}")
    target = load_flow(record.target)
    return Continuation(record, target, fit_again(target.flow, _unpickled(record, record.payload)))


def _unpickled(record: RunRecord, payload: bytes) -> dict[str, Any]:
    try:
        return dict(pickle.loads(payload))
    except Exception as error:
        raise TargetInvalid(
            f"The arguments of the run {record.id} cannot be read any more: {type(error).__name__}: {error}. "
            f"Run {record.target} anew; what was finished is remembered."
        ) from error


class JobLog(NamedTuple):
    """What one job left in a run."""

    job: JobRecord
    attempts: list[AttemptRecord]
    text: str
    """What it printed and logged, all attempts after each other; the traceback where it failed."""


def logs(project: Project, run: str, ident: str | None = None) -> Iterator[JobLog]:
    """What the jobs of a run printed and logged: of all that left something, or of one.

    Raises
    ------
    NotFound
        No such job.
    """
    jobs = project.journal.jobs(run) if ident is None else [project.journal.job(run, ident)]
    made: dict[int, list[AttemptRecord]] = {}
    for attempt in project.journal.attempts(run, None if ident is None else jobs[0].number):
        made.setdefault(attempt.number, []).append(attempt)
    for job in jobs:
        attempts = made.get(job.number, [])
        text = "".join([_text(project, attempt) for attempt in attempts])
        if text or ident is not None:
            yield JobLog(job, attempts, text)


def _text(project: Project, attempt: AttemptRecord) -> str:
    if not attempt.log_file:
        return attempt.traceback
    text = read_log(project.logs / attempt.run, attempt.log_file, attempt.log_start, attempt.log_stop)
    return text or attempt.traceback
