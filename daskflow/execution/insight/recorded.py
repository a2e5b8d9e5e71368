"""What can be done with a run that is recorded: cancel, pause, go on with it, read what its jobs left."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from daskflow.errors import AnswerRefused, TargetInvalid, UsageError
from daskflow.execution.insight.arguments import opened_arguments
from daskflow.execution.project import Project
from daskflow.execution.target import Target, fit_again, load_flow
from daskflow.execution.worker.capture import read_log
from daskflow.model.records import AttemptRecord, JobRecord, QuestionRecord, RunRecord
from daskflow.model.states import QuestionState, RunState
from daskflow.stores import Journal

_POLL = 0.2


def cancel(journal: Journal, ident: str) -> RunRecord:
    """Cancel a run and those that it started, in whatever process their driver is; it sees that within some seconds.

    Raises
    ------
    NotFound
        No such run.
    UsageError
        They have all ended already.
    """
    with journal.database.transaction():
        record = journal.run(ident)
        going = [each for each in journal.trees([record.id]) if not each.state.final]
        if not going:
            raise UsageError(f"The run {record.id} has ended already ({record.state}); there is nothing to cancel.")
        for each in going:
            alone = each.state in (RunState.created, RunState.interrupted)
            journal.update_run(each.id, state=RunState.cancelled, **({"stopped": time.time()} if alone else {}))
            for question in journal.questions(each.id):
                journal.close_question(question.id, QuestionState.withdrawn)
        return journal.run(record.id)


def await_end(journal: Journal, run: str, patience: float) -> bool:
    """Wait for some time [s] until the driver of cancelled runs has written their ends; returns whether it has."""
    deadline = time.monotonic() + patience
    while any(record.stopped is None for record in journal.trees([run])):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    return True


def pause(journal: Journal, ident: str) -> RunRecord:
    """Let a run, and those that it started, start no further jobs; its driver hears of it within some seconds.

    Raises
    ------
    NotFound
        No such run.
    UsageError
        Nobody performs it.
    """
    with journal.database.transaction():
        record = journal.run(ident)
        if record.state not in (RunState.running, RunState.paused):
            raise UsageError(f"The run {record.id} is {record.state}; only a run that is performed can be paused.")
        _turn(journal, record, RunState.running, RunState.paused)
        return journal.run(record.id)


def unpause(journal: Journal, ident: str) -> RunRecord | None:
    """Let a paused run, and those that it started, go on; None where it is not paused, or has lost its driver.

    Raises
    ------
    NotFound
        No such run.
    """
    with journal.database.transaction():
        record = journal.run(ident)
        if record.state is not RunState.paused:
            return None
        _turn(journal, record, RunState.paused, RunState.running)
        return journal.run(record.id)


def _turn(journal: Journal, record: RunRecord, before: RunState, after: RunState) -> None:
    for each in journal.trees([record.id]):
        if each.state is before:
            journal.update_run(each.id, state=after)


def await_verdict(journal: Journal, question: QuestionRecord, patience: float) -> QuestionRecord:
    """Wait for some time [s] until a run has taken the answer to a question, or has refused it.

    Raises
    ------
    AnswerRefused
        The run refused it; the message says why. The question is open again.
    """
    deadline = time.monotonic() + patience
    while True:
        found = journal.question(question.id)
        if found.state is QuestionState.open:
            raise AnswerRefused(f"{found.note or 'The run refused the answer.'} The question {found.id} is open again.")
        if found.accepted is not None or time.monotonic() > deadline:
            return found
        time.sleep(_POLL)


def in_trees(journal: Journal, limit: int) -> list[tuple[int, RunRecord]]:
    """The newest runs that people started, each followed by those that it started, with their depths in the tree."""
    return with_trees(journal, journal.runs(limit, top=True))


def with_trees(journal: Journal, tops: Sequence[RunRecord]) -> list[tuple[int, RunRecord]]:
    """Some runs, each followed by those that it started, with their depths below it."""
    below: dict[str, list[RunRecord]] = {}
    for record in journal.trees([top.id for top in tops]):
        below.setdefault(record.parent, []).append(record)

    def walk(record: RunRecord, depth: int) -> Iterator[tuple[int, RunRecord]]:
        yield depth, record
        for child in sorted(below.get(record.id, ()), key=lambda child: (child.ordinal, child.created)):
            yield from walk(child, depth + 1)

    return [found for top in tops for found in walk(top, 0)]


class Continuation(NamedTuple):
    """What is needed to go on with a run."""

    record: RunRecord
    target: Target
    arguments: dict[str, Any]


def continuation(project: Project, ident: str) -> Continuation:
    """Find what is needed to go on with a run.

    Raises
    ------
    NotFound
        No such run.
    UsageError
        It is being performed, or cannot be begun anew from what is recorded; the message says why, and what to do.
    SignatureWrong
        Somebody else began it; nothing of it was loaded.
    """
    record = project.journal.run(ident)
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
    # First of all: to find the flow is to run its module.
    pickled = opened_arguments(record.payload, record.target, project.values.signer, record.id)
    target = load_flow(record.target)
    return Continuation(record, target, fit_again(target.flow, _unpickled(record, pickled)))


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
