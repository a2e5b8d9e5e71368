"""Forms for questions: made from their schemas, and at work in a real kernel."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Literal

import nbformat
import pytest
from nbclient import NotebookClient
from pydantic import BaseModel, Field, TypeAdapter

from daskflow.errors import AnswerRefused
from daskflow.model.records import QuestionRecord
from daskflow.views.widgets import Form
from tests.acceptance.shell import environment

pytest.importorskip("ipywidgets")


class Beam(BaseModel):
    major: float
    minor: float = 1.0


class Clean(BaseModel):
    niter: int = Field(gt=0, default=100)
    threshold: float
    action: Literal["continue", "stop"]
    interactive: bool = True
    title: str = ""
    beam: Beam = Beam(major=2.0)


class Answers(list[Any]):
    """Stands for a run: keeps what it is answered, and refuses -1."""

    def __call__(self, question: str, value: Any) -> None:
        if value == -1:
            raise AnswerRefused("-1 is <too> small.")
        self.append(value)


def form(schema: Any, preset: Any = None) -> tuple[Form, Answers]:
    question = QuestionRecord(
        id="q-1",
        run="r",
        prompt="What now?",
        form="" if schema is None else json.dumps(TypeAdapter(schema).json_schema()),
        preset=None if preset is None else json.dumps(preset),
    )
    answers = Answers()
    return Form(question, answers), answers


def test_a_model_has_a_control_for_each_field() -> None:
    made, answers = form(Clean)
    kinds = {name: type(control).__name__ for name, control in made.controls.items()}
    assert kinds == {
        "niter": "IntText",
        "threshold": "Text",
        "action": "Dropdown",
        "interactive": "ToggleButtons",
        "title": "Text",
        "beam": "Textarea",
    }
    made.send()
    assert "required property" in made.message.value
    made.controls["threshold"].value = "0.5"
    made.controls["action"].value = "stop"
    made.controls["beam"].value = '{"major": 3}'
    made.button.click()
    assert answers == [
        {"niter": 100, "interactive": True, "beam": {"major": 3}, "threshold": 0.5, "action": "stop"},
    ]
    assert made.button.disabled


@pytest.mark.parametrize(
    ("schema", "preset", "filled", "answer"),
    [
        (bool, None, False, False),
        (bool, True, None, True),
        (Literal["a", 1], None, 1, 1),
        (int, 5, 7, 7),
        (int, None, "7", 7),
        (float, None, "1e-3", 0.001),
        (str, None, "7", "7"),
        (list[int], None, "[1, 2]", [1, 2]),
        (int | None, 3, "", 3),
    ],
)
def test_a_single_value_has_one_control(schema: Any, preset: Any, filled: Any, answer: Any) -> None:
    made, answers = form(schema, preset)
    if filled is not None:
        made.controls[""].value = filled
    made.send()
    assert answers == [answer], made.message.value


def test_a_question_that_takes_nothing_has_a_button_only() -> None:
    made, answers = form(None)
    assert (made.controls, made.button.description) == ({}, "Go on")
    made.send()
    assert answers == [None]


def test_a_refusal_is_shown_and_the_form_can_be_sent_again() -> None:
    made, answers = form(int, 1)
    made.controls[""].value = -1
    made.send()
    assert "-1 is &lt;too&gt; small." in made.message.value
    made.controls[""].value = 2
    made.send()
    assert answers == [2]


SUBMITTED = [
    "from daskflow import ask, flow\n@flow\ndef study():\n    return ask('How many?', schema=int, default=5)",
    "run = study.submit()\nwhile not run.questions():\n    pass\nrun.questions()",
    # A click, as the notebook's page sends it.
    "from ipywidgets import Button, Widget, IntText\n"
    "widgets = list(__import__('ipywidgets').widgets.widget._instances.values())\n"
    "[number] = [w for w in widgets if isinstance(w, IntText)]\n"
    "[button] = [w for w in widgets if isinstance(w, Button)]\n"
    "number.value = 7\nbutton.click()",
    "assert run.result() == 7\nrun.questions()",
]
FOREGROUND = [SUBMITTED[0], "study()"]


def executed(directory: Path, *cells: str) -> list[Any]:
    """The outputs of each cell, from a kernel of its own."""
    book: Any = nbformat.v4.new_notebook()  # type: ignore[no-untyped-call]
    book.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]  # type: ignore[no-untyped-call]
    NotebookClient(book, timeout=120, resources={"metadata": {"path": str(directory)}}).execute()
    return [cell.outputs for cell in book.cells]


def texts(outputs: list[Any]) -> str:
    return str([output.get("data", output.get("text")) for output in outputs])


def test_a_notebook_shows_forms_of_a_submitted_run(tmp_path: Path) -> None:
    outputs = executed(tmp_path, *SUBMITTED)
    assert "application/vnd.jupyter.widget-view+json" in texts(outputs[1])
    assert "No open questions" in texts(outputs[3])


def test_a_cell_that_waits_shows_the_form_and_takes_an_answer_from_a_shell(tmp_path: Path) -> None:
    found: list[str] = []

    def answer() -> None:
        deadline = time.monotonic() + 60
        while not found and time.monotonic() < deadline:
            found.extend([question["id"] for question in json.loads(shell("questions", "--json") or "[]")])
        shell("answer", found[0], "8")

    def shell(*arguments: str) -> str:
        command = [sys.executable, "-m", "daskflow", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
        return done.stdout

    person = threading.Thread(target=answer)
    person.start()
    try:
        outputs = executed(tmp_path, *FOREGROUND)[1]
    finally:
        person.join()
    assert f"daskflow answer {found[0]}" in texts(outputs)
    assert "application/vnd.jupyter.widget-view+json" in texts(outputs)
    assert outputs[-1]["data"]["text/plain"] == "8"
