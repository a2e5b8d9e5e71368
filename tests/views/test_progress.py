"""How a run goes on, on a terminal and elsewhere."""

from __future__ import annotations

import io
import itertools
import sys
import threading
from typing import Any

import pytest

from daskflow.model.records import QuestionRecord
from daskflow.model.states import RunState
from daskflow.views.progress import Progress, _Lines, _Live, columns, counted, summed


class Shown:
    """Stands in for a run."""

    flow = "study"
    id = "run-1"
    state = RunState.running

    def __init__(self) -> None:
        self.children: list[Shown] = []
        self.asked: list[QuestionRecord] = []
        self.states: dict[str, dict[str, int]] = {"load": {"queued": 2, "running": 1, "cached": 3}}

    def counts(self) -> dict[str, dict[str, int]]:
        return self.states

    def questions(self) -> list[QuestionRecord]:
        return self.asked

    def dashboards(self) -> dict[str, str]:
        return {"local": "http://127.0.0.1:1/status"}


def test_states_are_gathered_in_columns() -> None:
    found = columns({"created": 1, "queued": 2, "waiting": 6, "succeeded": 3, "cancelled": 4, "skipped": 5})
    assert found == {"waiting": 6, "queued": 3, "running": 0, "done": 3, "cached": 0, "failed": 0, "skipped": 9}
    assert summed({"a": {"failed": 1}, "b": {"failed": 2}})["failed"] == 3


def test_jobs_of_the_runs_below_count_too() -> None:
    run: Any = Shown()
    run.children = [Shown(), Shown()]
    run.children[0].states = {"load": {"queued": 1}, "fit": {"waiting": 4}}
    assert counted(run) == {"load": {"queued": 5, "running": 2, "cached": 6}, "fit": {"waiting": 4}}


def test_what_a_run_asks_is_told_once_and_that_it_is_paused(capsys: pytest.CaptureFixture[str]) -> None:
    lines, run = _Lines(), Shown()
    asked = QuestionRecord(id="q-1", run="run-1", prompt="How many?", form='{"type": "integer"}', preset="5")
    for state, questions in [("running", []), ("running", [asked]), ("paused", [asked]), ("running", [asked])]:
        run.state, run.asked = RunState(state), questions
        lines.draw(run, 1.0)  # type: ignore[arg-type]
    run.asked = [asked.model_copy(update={"note": "too many"})]
    lines.draw(run, 1.0)  # type: ignore[arg-type]
    asks = "asks: How many? Answer: daskflow answer q-1 VALUE, that is integer; without VALUE: 5"
    assert capsys.readouterr().out.splitlines()[1:] == [
        asks,
        "Paused. Go on: daskflow resume run-1",
        "It goes on.",
        f"{asks}; refused: too many",
    ]


def test_lines_are_sparse(capsys: pytest.CaptureFixture[str]) -> None:
    lines, run = _Lines(), Shown()
    for seconds in (0.5, 2.5, 3.0, 13.0):
        lines.draw(run, seconds)  # type: ignore[arg-type]
    run.states["load"]["succeeded"] = 1
    lines.draw(run, 14.0)  # type: ignore[arg-type]
    lines.close()
    assert capsys.readouterr().out.splitlines() == [
        "Dashboard of local: http://127.0.0.1:1/status",
        "2.5 s: 3 of 6 jobs finished (3 cached, 1 running)",
        "14.0 s: 4 of 7 jobs finished (3 cached, 1 running)",
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_terminal_gets_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    live, run = _Live(), Shown()
    run.state = RunState.paused
    run.asked = [QuestionRecord(id="q-1", run="run-1", prompt="Stop?")]
    live.draw(run, 3.0)  # type: ignore[arg-type]
    live.close()
    text = terminal.getvalue()
    for told in ("study", "load", "waiting", "http://127.0.0.1:1/status", "paused", "asks: Stop?"):
        assert told in text


@pytest.mark.parametrize("quiet", [True, False])
def test_quiet_or_not_questions_are_told(quiet: bool, capsys: pytest.CaptureFixture[str]) -> None:
    run: Any = Shown()
    run.asked = [QuestionRecord(id="q-1", run="run-1", prompt="Stop?")]
    progress = Progress(quiet=quiet, error=quiet)
    heard = threading.Event()
    asked, looks = run.asked, itertools.count()

    def questions() -> list[QuestionRecord]:
        # The second look comes after the first was told.
        if next(looks):
            heard.set()
        return list(asked)

    run.questions = questions
    progress.begin(run)
    assert heard.wait(30)
    progress.end()
    out, error = capsys.readouterr()
    assert progress.run is run
    assert ("Dashboard" in out) is not quiet
    assert "asks: Stop?" in (error if quiet else out)
