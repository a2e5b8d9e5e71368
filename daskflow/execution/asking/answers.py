"""Answers a question from the process of its run."""

from __future__ import annotations

import getpass
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import PydanticSerializationError, to_jsonable_python

from daskflow.errors import AnswerRefused, NotFound
from daskflow.model.records import QuestionRecord


def chosen(questions: Sequence[QuestionRecord], run: str) -> QuestionRecord:
    """The only open question.

    Raises
    ------
    NotFound
        There is none, or there are several; the message lists them.
    """
    if len(questions) == 1:
        return questions[0]
    if not questions:
        raise NotFound(f"The run {run} asks nothing at the moment.")
    listed = "; ".join(f"{question.id}: {question.prompt:.60}" for question in questions[:10])
    raise NotFound(f"The run {run} asks several questions, say which one you answer: {listed}.")


def as_answer(question: QuestionRecord, value: Any, fields: Mapping[str, Any]) -> str:
    """The JSON text of an answer.

    Parameters
    ----------
    value
        None stands for the default, where there is one.
    fields
        The answer by its fields, in place of a value; others are those of the default.

    Raises
    ------
    AnswerRefused
        JSON cannot say it.
    """
    if fields:
        preset = json.loads(question.preset or "{}")
        value = {**(preset if isinstance(preset, dict) else {}), **fields}
    if value is None and question.preset is not None:
        return question.preset
    try:
        return json.dumps(to_jsonable_python(value))
    except (PydanticSerializationError, ValueError, TypeError) as error:
        raise AnswerRefused(f"{value!r:.100} is no answer to {question.id}: {error}. Give plain data.") from None


def who_answers() -> str:
    """Who sits here."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user without a name, as in some containers
        return "somebody"
