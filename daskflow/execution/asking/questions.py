"""Asks the questions of one run, and looks for answers."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from daskflow.errors import AnswerRefused, QuestionExpired
from daskflow.graph.job import Job
from daskflow.graph.question import Inquiry
from daskflow.model.records import QuestionRecord
from daskflow.model.states import QuestionState
from daskflow.stores import Journal

LOOK = 0.5
"""How often it is looked whether another process wrote an answer [s]."""


class Answered(NamedTuple):
    """A question that is closed."""

    job: Job
    value: Any
    error: Exception | None = None
    """Why there is no answer."""
    event: str = "question.answered"
    """Kind of the event that tells it."""
    told: Mapping[str, str] = MappingProxyType({})
    """What the event says: the id of the question, and who answered it."""


class Questions:
    """The open questions of one run.

    Parameters
    ----------
    journal
        Where questions are asked and answered.
    run
        Id of the run.

    Notes
    -----
    Not safe for threads; asks the store, so that its engine calls it without its lock.
    """

    def __init__(self, journal: Journal, run: str) -> None:
        self._journal = journal
        self._run = run
        self._open: dict[str, tuple[Job, Inquiry, float | None]] = {}

    def __len__(self) -> int:
        return len(self._open)

    @property
    def releasing(self) -> bool:
        """Whether one of them lets idle workers go."""
        return any(inquiry.release for _, inquiry, _ in list(self._open.values()))

    def ask(self, job: Job) -> QuestionRecord:
        """Ask. A run that is resumed asks again, and finds what was answered meanwhile."""
        inquiry: Inquiry = job.arguments[0]
        now = time.time()
        found = self._journal.add_question(
            QuestionRecord(
                id=f"q-{hashlib.sha256(f'{self._run} {job.key}'.encode()).hexdigest()[:12]}",
                run=self._run,
                key=job.key,
                prompt=inquiry.prompt,
                form=inquiry.form,
                preset=inquiry.preset,
                created=now,
                deadline=None if inquiry.timeout is None else now + inquiry.timeout,
            )
        )
        self._open[found.id] = (job, inquiry, found.deadline)
        return found

    def check(self, ident: str, answer: str) -> None:
        """See whether an answer fits; AnswerRefused says why it does not."""
        known = self._open.get(ident)
        if known is not None:
            known[1].read(answer)

    def look(self) -> list[Answered]:
        """The questions that were answered, or that nobody answered in time."""
        found = []
        # What is cancelled meanwhile, by another thread, is withdrawn.
        for ident, asked in list(self._open.items()):
            answered = self._look(ident, *asked)
            if answered is not None:
                found.append(answered)
                self._open.pop(ident, None)
        return found

    def _look(self, ident: str, job: Job, inquiry: Inquiry, deadline: float | None) -> Answered | None:
        record = self._journal.question(ident)
        if record.state is QuestionState.open and deadline is not None and time.time() > deadline:
            # An answer that came in the last moment counts.
            record = self._journal.close_question(ident, QuestionState.expired)
        if record.state is QuestionState.expired:
            return _expired(job, inquiry)._replace(event="question.expired", told={"id": ident})
        if record.state is QuestionState.answered:
            try:
                value = inquiry.read(record.answer or "null")
            except AnswerRefused as error:
                self._journal.refuse_answer(ident, str(error))
                return None
            self._journal.accept_answer(ident)
            return Answered(job, value, told={"id": ident, "by": record.who})
        return None

    def withdraw(self, jobs: set[str] | None = None) -> None:
        """Nobody needs the answers any more: of all questions, or of those of some jobs."""
        for ident, (job, _, _) in list(self._open.items()):
            if jobs is None or job.key in jobs:
                self._journal.close_question(ident, QuestionState.withdrawn)
                self._open.pop(ident, None)


def _expired(job: Job, inquiry: Inquiry) -> Answered:
    if inquiry.on_timeout == "default":
        return Answered(job, inquiry.read(inquiry.preset or "null"))
    text = f"Nobody answered {inquiry.prompt!r:.200} within {inquiry.timeout:g} s."
    return Answered(job, None, QuestionExpired(text))
