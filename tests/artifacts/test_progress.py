"""Bars are shown where somebody sees them, and cost nothing elsewhere."""

from __future__ import annotations

import io
import sys
import threading
import types
from typing import Any

import pytest

from daskflow.artifacts import progress
from daskflow.artifacts.progress import Counter, NotebookBar, TerminalBar, showing

MIB = 1 << 20


class Recorder:
    """A bar that notes what it is told."""

    def __init__(self) -> None:
        self.drawn: list[int] = []
        self.closed = False

    def draw(self, done: int) -> None:
        self.drawn.append(done)

    def close(self) -> None:
        self.closed = True


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    return made


def at_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """From now on standard error is a terminal. No fixture: pytest captures anew when a test begins."""
    made = Terminal()
    monkeypatch.setattr(sys, "stderr", made)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    return made


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What a notebook displays."""
    shown: list[Any] = []
    ipython = pytest.importorskip("IPython")
    pytest.importorskip("ipywidgets")
    monkeypatch.setattr(ipython, "get_ipython", lambda: types.SimpleNamespace(kernel=True))
    monkeypatch.setattr("IPython.display.display", shown.append)
    return shown


def test_a_bar_is_drawn_now_and_then(clock: Clock) -> None:
    bar = Recorder()
    counter = Counter(lambda: bar, patience=0.5)
    for _ in range(1000):
        clock.now += 0.01
        counter(1)
    counter.close()
    assert 40 < len(bar.drawn) < 60
    assert bar.drawn[-1] == 1000
    assert bar.drawn[0] >= 49
    assert bar.closed


def test_what_is_over_soon_shows_none(clock: Clock) -> None:
    counter = Counter(lambda: pytest.fail("too early"), patience=0.5)
    counter(1)
    counter.close()


def test_no_byte_is_lost_among_threads() -> None:
    bar = Recorder()
    counter = Counter(lambda: bar, patience=0.0)

    def count() -> None:
        for _ in range(2000):
            counter(1)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counter.close()
    assert bar.drawn[-1] == 16_000
    assert bar.drawn == sorted(bar.drawn)


def test_a_terminal_shows_name_and_amount(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    terminal = at_terminal(monkeypatch)
    with showing("raw/[deep] field.h5", 4 * MIB) as told:
        clock.now += 1.0
        told(2 * MIB)
        told(2 * MIB)
    text = terminal.getvalue()
    assert "raw/[deep] field.h5" in text
    assert "4.0/4.0 MiB" in text


def test_elsewhere_nothing_is_shown(capfd: pytest.CaptureFixture[str], clock: Clock) -> None:
    with showing("map", MIB) as told:
        clock.now += 10.0
        told(MIB)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("wanted", [False, True])
def test_a_bar_can_be_forced_and_forbidden(monkeypatch: pytest.MonkeyPatch, wanted: bool) -> None:
    terminal = at_terminal(monkeypatch)
    if wanted:  # where nobody would see it
        monkeypatch.setattr(terminal, "isatty", lambda: False)
    with showing("map", MIB, wanted) as told:
        told(MIB)
    assert ("map" in terminal.getvalue()) is wanted


def test_a_function_is_told_itself() -> None:
    heard: list[int] = []
    with showing("map", MIB, heard.append) as told:
        told(5)
    assert heard == [5]


def test_a_failure_leaves_the_terminal_as_it_was(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    terminal = at_terminal(monkeypatch)
    with pytest.raises(OSError, match="full"), showing("map", None) as told:  # noqa: PT012
        clock.now += 1.0
        told(MIB)
        raise OSError("full")
    hidden, shown = "\x1b[?25l", "\x1b[?25h"
    assert terminal.getvalue().count(hidden) == terminal.getvalue().count(shown) == 1


def test_a_notebook_shows_a_widget(notebook: list[Any], clock: Clock) -> None:
    with showing("map", 4 * MIB) as told:
        clock.now += 1.0
        told(MIB)
        assert notebook[0].children[1].value == MIB
    title, bar, text = notebook[0].children
    assert (title.value, bar.bar_style, text.value) == ("map", "success", "1 MiB of 4 MiB")


def test_a_notebook_without_widgets_shows_nothing(
    notebook: list[Any], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with showing("map", None) as told:
        clock.now += 1.0
        told(MIB)
    assert notebook == []


def test_a_bar_without_an_end_shows_what_came(monkeypatch: pytest.MonkeyPatch, notebook: list[Any]) -> None:
    terminal = at_terminal(monkeypatch)
    for bar in (TerminalBar("map", None), NotebookBar("map", None)):
        bar.draw(3 * MIB)
        bar.close()
    assert "3.0/? MiB" in terminal.getvalue()
    assert notebook[0].children[2].value == "3 MiB"
