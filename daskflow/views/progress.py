"""Shows how a run goes on: a live table on a terminal, now and then a line anywhere else."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from daskflow.errors import StoreError
from daskflow.execution.run import Run
from daskflow.model.states import RunState
from daskflow.views.terminal import STYLES, asks, console, say
from daskflow.views.units import duration

if TYPE_CHECKING:
    from rich.console import Group

_COLUMNS = {
    "waiting": ("waiting",),
    "queued": ("created", "queued"),
    "running": ("running",),
    "done": ("succeeded",),
    "cached": ("cached",),
    "failed": ("failed",),
    "skipped": ("skipped", "cancelled"),
}
"""The columns of the table, and the states that each counts."""
_FINAL = ("done", "cached", "failed", "skipped")
_TOLD = ("cached", "failed", "skipped", "running", "waiting")
_PERIOD = 0.25
_FIRST_LINE, _LINES_APART = 2.0, 10.0
_BAR = 24
_LAST = 5.0


class Display(Protocol):
    """Something that can be drawn anew."""

    def draw(self, run: Run, seconds: float) -> None:
        """Show how things stand."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class Progress:
    """Watches a run from a thread of its own while the main thread executes the flow's body.

    Parameters
    ----------
    quiet
        Show only what the run asks: where the user's own prints and breakpoints have the terminal, or JSON is wanted.
    error
        Write to standard error.
    """

    def __init__(self, *, quiet: bool = False, error: bool = False) -> None:
        self.run: Run | None = None
        """The run, as soon as it has begun."""
        self._quiet = quiet
        self._error = error
        self._began = time.monotonic()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def seconds(self) -> float:
        """Time since the beginning [s]."""
        return time.monotonic() - self._began

    def begin(self, run: Run) -> None:
        """The run begins."""
        self.run = run
        self._thread = threading.Thread(target=self._watch, args=(run,), name="daskflow-progress", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """The run has ended, or nobody wants to see it any more."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_LAST)  # it may ask a store whose server hangs

    def _watch(self, run: Run) -> None:
        display = self._display()
        pause = _PERIOD
        try:
            while not self._stop.wait(pause):
                began = time.monotonic()
                with suppress(StoreError):  # the run itself says so
                    display.draw(run, self.seconds)
                # Counting 100,000 jobs takes time that the run would miss.
                pause = max(_PERIOD, 20 * (time.monotonic() - began))
        finally:
            display.close()

    def _display(self) -> Display:
        if self._quiet:
            return _Asking(error=self._error)
        return _Live() if sys.stdout.isatty() else _Lines()


class _Asking:
    """Lines about what a person may do: what the run asks, and that it is paused."""

    def __init__(self, *, error: bool = False) -> None:
        self._error = error
        self._told: set[str] = set()
        self._paused = False

    def draw(self, run: Run, seconds: float) -> None:
        for line in [asks(question) for question in run.questions()]:
            if line not in self._told:
                self._told.add(line)
                say(line, error=self._error)
        paused = run.state is RunState.paused
        if paused is not self._paused:
            self._paused = paused
            say(f"Paused. Go on: daskflow resume {run.id}" if paused else "It goes on.", error=self._error)

    def close(self) -> None:
        """Nothing to put back."""


class _Live:
    """A table that is drawn over itself; what the flow prints appears above it."""

    def __init__(self) -> None:
        from rich.live import Live

        self._live = Live(console=console(), auto_refresh=False, transient=True)
        self._live.start()

    def draw(self, run: Run, seconds: float) -> None:
        self._live.update(_table(run, seconds), refresh=True)

    def close(self) -> None:
        self._live.stop()


class _Lines:
    """Sparse lines, each when something changed."""

    def __init__(self) -> None:
        self._last = ""
        self._due = _FIRST_LINE
        self._shown: set[str] = set()
        self._asking = _Asking()

    def draw(self, run: Run, seconds: float) -> None:
        for name, address in run.dashboards().items():
            if name not in self._shown:
                self._shown.add(name)
                say(f"Dashboard of {name}: {address}")
        self._asking.draw(run, seconds)
        if seconds < self._due:
            return
        total = summed(counted(run))
        done = sum(total[name] for name in _FINAL)
        parts = [f"{total[name]} {name}" for name in _TOLD if total[name]]
        line = f"{done} of {sum(total.values())} jobs finished" + (f" ({', '.join(parts)})" if parts else "")
        if line != self._last and any(total.values()):
            say(f"{duration(seconds)}: {line}")
            self._last, self._due = line, seconds + _LINES_APART

    def close(self) -> None:
        """Nothing to put back."""


def counted(run: Run) -> dict[str, dict[str, int]]:
    """How many jobs of each task are in each state, in a run and in those that its flow started."""
    found = run.counts()
    for child in run.children:
        for task, states in counted(child).items():
            known = found.setdefault(task, {})
            for state, count in states.items():
                known[state] = known.get(state, 0) + count
    return found


def columns(states: Mapping[str, int]) -> dict[str, int]:
    """The numbers of jobs by column of the table."""
    return {name: sum(states.get(state, 0) for state in members) for name, members in _COLUMNS.items()}


def summed(counts: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """The numbers of all tasks together, by column of the table."""
    found = dict.fromkeys(_COLUMNS, 0)
    for states in counts.values():
        for name, count in columns(states).items():
            found[name] += count
    return found


def _table(run: Run, seconds: float) -> Group:
    from rich import box
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("task")
    table.add_column("", width=_BAR)
    for name, members in _COLUMNS.items():
        table.add_column(name, justify="right", style=STYLES[members[-1]])
    for task, states in counted(run).items():
        numbers = columns(states)
        done = sum(numbers[name] for name in _FINAL)
        bar = ProgressBar(total=sum(numbers.values()), completed=done, width=_BAR)
        table.add_row(task, bar, *[str(count or "") for count in numbers.values()])
    links: list[Any] = [Text(f"{name}: {address}") for name, address in run.dashboards().items()]
    asked = [Text(asks(question), style="yellow") for question in run.questions()]
    title = Text(f"{run.flow}  {duration(seconds)}", style="bold")
    if run.state is RunState.paused:
        title.append(f"  paused; go on: daskflow resume {run.id}", style=STYLES["paused"])
    return Group(title, *links, table, *asked)
