"""How open questions are shown where no form can be."""

from __future__ import annotations

import pytest

from daskflow.execution.asking.asked import Asked
from daskflow.model.records import QuestionRecord


def test_html_tells_how_to_answer_and_escapes() -> None:
    question = QuestionRecord(
        id="q-1", run="r", prompt="<b>How many?</b>", form='{"type": "integer"}', preset="5", note="<i>no</i>"
    )
    shown = Asked([question], print)._repr_html_()
    for told in ("&lt;b&gt;How many?", "&lt;i&gt;no", "integer", "daskflow answer q-1", 'run.answer("q-1"'):
        assert told in shown


def test_it_is_a_list_that_answers(capsys: pytest.CaptureFixture[str]) -> None:
    asked = Asked([], print)
    assert asked == []
    assert asked._repr_html_() == "No open questions."
    asked.answer("q-1", 3)
    assert capsys.readouterr().out == "q-1 3\n"
