"""How a run goes on, on a terminal and elsewhere."""

from __future__ import annotations

import io
import sys
import time
from typing import Any

import pytest

from daskflow.views.progress import Progress, _Lines, _Live, columns, summed


class Shown:
    """Stands in for a run."""

    flow = "study"

    def __init__(self) -> None:
        self.states: dict[str, dict[str, int]] = {"load": {"queued": 2, "running": 1, "cached": 3}}

    def counts(self) -> dict[str, dict[str, int]]:
        return self.states

    def dashboards(self) -> dict[str, str]:
        return {"local": "http://127.0.0.1:1/status"}


def test_states_are_gathered_in_columns() -> None:
    found = columns({"created": 1, "queued": 2, "succeeded": 3, "cancelled": 4, "skipped": 5})
    assert found == {"queued": 3, "running": 0, "done": 3, "cached": 0, "failed": 0, "skipped": 9}
    assert summed({"a": {"failed": 1}, "b": {"failed": 2}})["failed"] == 3


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
    live = _Live()
    live.draw(Shown(), 3.0)  # type: ignore[arg-type]
    live.close()
    text = terminal.getvalue()
    assert all(word in text for word in ("study", "load", "queued", "http://127.0.0.1:1/status"))


@pytest.mark.parametrize("quiet", [True, False])
def test_watching_ends(quiet: bool, capsys: pytest.CaptureFixture[str]) -> None:
    run: Any = Shown()
    progress = Progress(quiet=quiet)
    progress.begin(run)
    time.sleep(0.6)
    progress.end()
    assert progress.run is run
    assert ("Dashboard" in capsys.readouterr().out) is not quiet
