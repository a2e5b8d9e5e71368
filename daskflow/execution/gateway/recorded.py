"""What a server does with runs and their questions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from daskflow.errors import AnswerRefused, NotFound
from daskflow.execution.asking.answers import as_answer
from daskflow.execution.asking.forms import checked_answer, takes
from daskflow.execution.insight.recorded import await_end, cancel
from daskflow.execution.insight.summary import Summary, summarize
from daskflow.execution.project import Project
from daskflow.model.records import EventRecord, JobRecord, QuestionRecord, ReportRecord, RunRecord

_PATIENCE = 3.0
"""So long it is waited for the end of a run that is cancelled [s]."""


class RunDesk:
    """Runs and questions, for those who ask over a network.

    Parameters
    ----------
    project
        Where they are recorded.
    let_go
        Cancels the batch job of the driver of a run that was cancelled; it is told whether the run has ended.
    """

    def __init__(self, project: Project, let_go: Callable[[RunRecord, bool], object]) -> None:
        self._project = project
        self._journal = project.journal
        self._let_go = let_go

    def runs(self, limit: int, flow: str | None = None) -> list[RunRecord]:
        """Runs, the newest first."""
        return self._journal.runs(limit, flow)

    def run(self, ident: str) -> Summary:
        """One run, by its id, by what only one id begins or ends with, or the `last`. Raises NotFound."""
        with self._discreet():
            return summarize(self._journal, ident)

    def jobs(self, ident: str, state: str | None = None, task: str | None = None) -> list[JobRecord]:
        """The jobs of a run. Raises NotFound."""
        with self._discreet():
            return self._journal.jobs(self._journal.run(ident).id, state, task)

    def events(
        self, ident: str, kind: str = "*", after: int = 0, most: int | None = None
    ) -> list[tuple[int, EventRecord]]:
        """What was recorded of a run, and of those that it started, after the event of an ordinal; each with its own.

        Parameters
        ----------
        most
            So many of them, the first ones; None: all.

        Raises
        ------
        NotFound
        """
        with self._discreet():
            return self._journal.events_since(self._journal.run(ident).id, after, kind, tree=True, most=most)

    def reports(self, ident: str) -> list[ReportRecord]:
        """What a run reported. Raises NotFound."""
        with self._discreet():
            return self._journal.reports(self._journal.run(ident).id)

    def cancel(self, ident: str) -> tuple[RunRecord, bool]:
        """Cancel a run, and those that it started; the run, and whether it has ended by now.

        Raises
        ------
        NotFound
        UsageError
            It had ended before.
        """
        with self._discreet():
            record = cancel(self._journal, ident)
            ended = await_end(self._journal, record.id, _PATIENCE)
            self._let_go(record, ended)
            return self._journal.run(record.id), ended

    def questions(self, run: str | None = None, *, open_only: bool = True) -> list[QuestionRecord]:
        """What runs ask, or one and those that it started. Raises NotFound."""
        with self._discreet():
            found = None if run is None else self._journal.run(run).id
            return self._journal.questions(found, open_only=open_only, tree=True)

    def question(self, ident: str) -> QuestionRecord:
        """One question. Raises NotFound."""
        with self._discreet():
            return self._journal.question(ident)

    def answer(self, ident: str, given: Mapping[str, Any], who: str) -> QuestionRecord:
        """Answer a question.

        Parameters
        ----------
        given
            The whole answer as `value`, or some of its `fields`; nothing: the default.

        Raises
        ------
        NotFound
        AnswerRefused
            It does not fit, or the question is closed.
        """
        with self._discreet():
            question = self._journal.question(ident)
            return self._journal.answer_question(question.id, _answer(question, given), who)

    def close(self) -> None:
        """Close what is open."""
        self._project.close()

    @contextmanager
    def _discreet(self) -> Iterator[None]:
        """Where the journal lies is nothing for a network."""
        try:
            yield
        except NotFound as error:
            raise NotFound(str(error).replace(f" in {self._journal.database.place}", "")) from None


def _answer(question: QuestionRecord, given: Mapping[str, Any]) -> str:
    fields = given.get("fields") or {}
    if "value" in given and fields:
        raise AnswerRefused("Give the whole answer as `value`, or some of its `fields`, not both.")
    if not question.form:
        if given.get("value") is not None or fields:
            raise AnswerRefused(f"The question {question.id} takes {takes('')}.")
        return "null"
    if "value" in given:
        return checked_answer(question, given["value"])
    if not fields and question.preset is None:
        raise AnswerRefused(f"The question {question.id} has no default. It takes: {takes(question.form)}.")
    return checked_answer(question, json.loads(as_answer(question, None, fields)))
