"""Forms by which questions are answered in a notebook; needs the extra `notebook`."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from daskflow.errors import DaskflowError
from daskflow.execution.asking.asked import Answer, Asked
from daskflow.execution.asking.forms import read_answer, resolved, takes
from daskflow.execution.run import Run
from daskflow.model.records import EventRecord, QuestionRecord
from daskflow.settings.front import launcher

_LABEL = {"description_width": "initial"}
_WIDE = {"width": "40em"}


def register() -> None:
    """Let the notebook that this process serves show forms; elsewhere, and without ipywidgets, nothing happens.

    Notes
    -----
    The front door calls it. A question of a flow that a cell performs is shown below that cell when it is asked.
    """
    from IPython.core.getipython import get_ipython

    shell: Any = get_ipython()
    if getattr(shell, "kernel", None) is None or launcher.watch is not None:
        return
    launcher.watch = _watch
    if find_spec("ipywidgets") is not None:
        shell.display_formatter.ipython_display_formatter.for_type(Asked, show)


def show(asked: Asked) -> None:
    """Display a form for each question."""
    if asked:
        _display(*[Form(question, asked.answer).box for question in asked])
    else:
        print("No open questions.")


def _watch(run: Run) -> None:
    """Display what a run asks, and the runs that it starts, while a cell waits for it."""
    run.tell(launcher.project().hub.subscribe("question.asked", lambda event: _tell(run, event)))


def _tell(run: Run, event: EventRecord) -> None:
    found = [question for question in run.questions() if question.id == event.data["id"]]
    if found:
        # An interface that sends clicks to the thread which performs the cell delivers them when the cell has ended.
        text = (
            "The cell waits for an answer. Where the form below does nothing, answer in a shell: "
            f"<code>daskflow answer {found[0].id}</code>. A flow that is started by <code>submit</code> leaves the "
            "notebook free: <code>run.questions()</code> shows its forms."
        )
        _display({"text/html": text, "text/plain": text}, raw=True)
        _display(Asked(found, run.answer))


def _display(*things: Any, **how: Any) -> None:
    from IPython.display import display

    display(*things, **how)  # type: ignore[no-untyped-call]  # IPython has no types for it


class Form:
    """A form for one question.

    Parameters
    ----------
    question
        What is asked.
    answer
        Takes the id of the question and the answer.
    """

    def __init__(self, question: QuestionRecord, answer: Answer) -> None:
        from ipywidgets import HTML, Button, VBox

        self.question = question
        self._answer = answer
        self.controls = _controls(question)
        """What is filled in, by the names of the fields; under an empty name the whole answer."""
        self.button = Button(description="Answer" if question.form else "Go on", button_style="primary")
        self.button.on_click(lambda _: self.send())
        self.message = HTML(html.escape(question.note))
        """What became of the answer."""
        title = HTML(f"<b>{html.escape(question.prompt)}</b> <code>{question.id}</code>")
        self.box = VBox([title, *self.controls.values(), self.button, self.message])

    def send(self) -> None:
        """Answer by what is filled in; a refusal is shown, and the form can be sent again."""
        fields = {name: text for name, text in _texts(self.controls).items() if text is not None}
        try:
            given = read_answer(self.question, fields.pop("", None), fields)
            self._answer(self.question.id, json.loads(given))
        except DaskflowError as error:
            self.message.value = f"<span style='color:firebrick'>{html.escape(str(error))}</span>"
            return
        self.message.value = f"The answer is <code>{html.escape(given)}</code>."
        for control in [self.button, *self.controls.values()]:
            control.disabled = True


def _controls(question: QuestionRecord) -> dict[str, Any]:
    if not question.form:
        return {}
    form = json.loads(question.form)
    preset = None if question.preset is None else json.loads(question.preset)
    fields = resolved(form, form).get("properties")
    if not fields:
        return {"": _control("", form, form, preset)}
    known = preset if isinstance(preset, Mapping) else {}
    return {name: _control(name, schema, form, known.get(name)) for name, schema in fields.items()}


def _control(name: str, schema: Any, form: Any, value: Any) -> Any:
    """What is filled in for a value of some schema; where it is left empty, the default holds."""
    import ipywidgets

    schema = resolved(schema, form)
    value = schema.get("default") if value is None else value
    about: dict[str, Any] = {"description": name, "style": _LABEL}
    choices = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if choices is not None:
        options = [(choice if isinstance(choice, str) else json.dumps(choice), choice) for choice in choices]
        return ipywidgets.Dropdown(options=options, value=value if value in choices else None, **about)
    kind = schema.get("type")
    if kind == "boolean":
        return ipywidgets.ToggleButtons(options=[("yes", True), ("no", False)], value=value, **about)
    if value is not None and kind in ("integer", "number"):
        made = ipywidgets.IntText if kind == "integer" else ipywidgets.FloatText
        return made(value=value, **about)
    about |= {"placeholder": takes(json.dumps({**schema, "$defs": form.get("$defs", {})})), "layout": _WIDE}
    if kind in ("string", "integer", "number"):
        return ipywidgets.Text(value=value or "", **about)
    return ipywidgets.Textarea(value="" if value is None else json.dumps(value), **about)


def _texts(controls: Mapping[str, Any]) -> dict[str, str | None]:
    """What is filled in, as on the command line; None where nothing is."""
    return {name: _text(control.value) for name, control in controls.items()}


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value or None
    return None if value is None else json.dumps(value)
