"""The commands for what runs ask people: `questions` and `answer`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from daskflow.execution.asking.answers import who_answers
from daskflow.execution.asking.forms import read_answer, takes
from daskflow.execution.insight.recorded import await_verdict
from daskflow.execution.target import read_pairs
from daskflow.model.records import QuestionRecord
from daskflow.model.states import RunState
from daskflow.settings.parts import open_project
from daskflow.stores import Journal, this_host
from daskflow.views.options import ConfigOption, JsonOption, configured, reading
from daskflow.views.terminal import say, show_json, show_table
from daskflow.views.units import moment

_PATIENCE = 5.0

QuestionArgument = Annotated[str, typer.Argument(metavar="ID", help="The id of a question, or how only one begins.")]
ValueArgument = Annotated[
    str | None, typer.Argument(metavar="[VALUE]", help="The answer, as JSON or text; the default if left out.")
]
FieldOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A field of the answer; may be repeated.")
]
OfRunOption = Annotated[str | None, typer.Option("--run", help="Only of this run, and of those that it started.")]


def questions_command(run: OfRunOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List what runs ask: the open questions of all runs."""
    with reading(config) as project:
        journal = project.journal
        found = journal.questions(None if run is None else journal.run(run).id, tree=True)
        flows = {id: journal.run(id).flow for id in {question.run for question in found}}
    if as_json:
        show_json([_fields(question, flows[question.run]) for question in found])
    elif found:
        _show(found, flows)
    else:
        say("No run asks anything.")


def _fields(question: QuestionRecord, flow: str) -> dict[str, Any]:
    return question.model_dump() | {"flow": flow, "takes": takes(question.form)}


def _show(found: list[QuestionRecord], flows: dict[str, str]) -> None:
    show_table(
        ["id", "run", "flow", "question", "takes", "default", "until", "refused"],
        [
            [q.id, q.run, flows[q.run], q.prompt, takes(q.form), q.preset or "", moment(q.deadline), q.note]
            for q in found
        ],
    )
    say("Answer: daskflow answer ID VALUE, or daskflow answer ID --set NAME=VALUE")


def answer_command(
    id: QuestionArgument, value: ValueArgument = None, set_: FieldOption = None, config: ConfigOption = None
) -> None:
    """Answer a question of a run; without a value take its default, or let the run go on."""
    project = open_project(configured(config))
    try:
        question = project.journal.question(id)
        answer = read_answer(question, value, read_pairs(set_ or []))
        given = project.journal.answer_question(question.id, answer, f"{who_answers()}@{this_host()}")
        _tell(project.journal, given)
    finally:
        project.close()


def _tell(journal: Journal, given: QuestionRecord) -> None:
    """Tell what the run makes of an answer: where its driver is at work it takes or refuses it soon."""
    run = journal.run(given.run)
    lives = run.state in (RunState.running, RunState.paused)
    taken = lives and await_verdict(journal, given, _PATIENCE).accepted is not None
    say(f"The answer to {given.id} is {given.answer}.")
    if not lives:
        say(f"Run {run.id} is {run.state}. Let it go on: daskflow resume {run.id}")
    elif not taken:
        say(f"Run {run.id} has not taken it yet.")
