"""The open questions of a run, as a notebook shows them."""

from __future__ import annotations

import html
import time
from collections.abc import Callable, Iterable

from daskflow.execution.asking.forms import takes
from daskflow.model.records import QuestionRecord

Answer = Callable[..., None]
"""Answers a question, as `Run.answer` does."""


class Asked(list[QuestionRecord]):
    """Open questions.

    Parameters
    ----------
    answer
        Answers one of them.

    Notes
    -----
    A notebook that has ipywidgets shows a form for each, one that has not shows how to answer.
    """

    def __init__(self, questions: Iterable[QuestionRecord], answer: Answer) -> None:
        super().__init__(questions)
        self.answer = answer

    def _repr_html_(self) -> str:
        if not self:
            return "No open questions."
        rows = "".join([_row(question) for question in self])
        head = "".join([f"<th>{name}</th>" for name in ("id", "question", "takes", "default", "until", "refused")])
        first = html.escape(self[0].id)
        return (
            f"<table><tr>{head}</tr>{rows}</table>"
            f'Answer: <code>run.answer("{first}", VALUE)</code>, <code>run.answer("{first}", NAME=VALUE)</code>, '
            f"or in a shell <code>daskflow answer {first} VALUE</code>. "
            "For forms here: <code>pip install 'daskflow[notebook]'</code>."
        )


def _row(question: QuestionRecord) -> str:
    until = "" if question.deadline is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(question.deadline))
    cells = [question.id, question.prompt, takes(question.form), question.preset or "", until, question.note]
    return f"<tr>{''.join([f'<td>{html.escape(cell)}</td>' for cell in cells])}</tr>"
