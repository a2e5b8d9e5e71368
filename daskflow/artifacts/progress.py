"""Shows how a transfer goes on: a bar on terminals and in notebooks, nothing elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeAlias

from daskflow.artifacts.places.place import Progress, silent
from daskflow.model.quantities import as_bytes

Shown: TypeAlias = bool | Progress | None
"""Whether a bar is shown (None: where somebody would see it), or who is told the number of bytes just done."""

_PERIOD = 0.2
"""A bar is drawn anew at most so often [s]."""
_PATIENCE = 0.5
"""What is over by then [s] shows no bar, unless one was asked for."""


class Bar(Protocol):
    """Something that can be drawn."""

    def draw(self, done: int) -> None:
        """Show how many bytes are done."""

    def close(self) -> None:
        """Leave the place as it should be."""


class Counter:
    """Counts bytes as they are done, and draws a bar now and then.

    Parameters
    ----------
    make
        Makes the bar when the first drawing is due.
    patience
        When that is [s].

    Notes
    -----
    Safe for threads. Counting is an addition under a lock; only who comes when a drawing is due draws.
    """

    def __init__(self, make: Callable[[], Bar], patience: float) -> None:
        self._make = make
        self._bar: Bar | None = None
        self._done = 0
        self._due = time.monotonic() + patience
        self._lock = threading.Lock()

    def __call__(self, done: int) -> None:
        """So many bytes more are done."""
        with self._lock:
            self._done += done
            now = time.monotonic()
            if now >= self._due:
                self._due = now + _PERIOD
                self._draw()

    def close(self) -> None:
        """Show the last state."""
        with self._lock:
            if self._bar is not None:
                self._draw()
                self._bar.close()

    def _draw(self) -> None:
        if self._bar is None:
            self._bar = self._make()
        self._bar.draw(self._done)


@contextmanager
def showing(title: str, total: int | None, wanted: Shown = None) -> Iterator[Progress]:
    """A block in which bytes are moved; gives what to call with the number of bytes just done.

    Parameters
    ----------
    total
        How many there will be [bytes]; None where nobody knows.
    wanted
        See `Shown`.
    """
    if callable(wanted):
        yield wanted
        return
    make = None if wanted is False else _kind(wanted is True)
    if make is None:
        yield silent
        return
    counter = Counter(lambda: make(title, total), 0.0 if wanted else _PATIENCE)
    try:
        yield counter
    finally:
        counter.close()


def _kind(wanted: bool) -> Callable[[str, int | None], Bar] | None:
    """The bar that suits where this process is."""
    if _in_notebook():
        return NotebookBar if _widgets() else None
    return TerminalBar if wanted or sys.stderr.isatty() else None


class TerminalBar:
    """A bar by Rich, on standard error: what a command prints stays clean."""

    def __init__(self, title: str, total: int | None) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        # Drawn by whoever counts: a thread of its own would take time from the transfer.
        self._progress = Progress(*columns, console=Console(stderr=True), auto_refresh=False)
        self._task = self._progress.add_task(title, total=total)
        self._progress.start()

    def draw(self, done: int) -> None:
        """Show how many bytes are done."""
        self._progress.update(self._task, completed=done, refresh=True)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._progress.stop()


class NotebookBar:
    """A bar by ipywidgets."""

    def __init__(self, title: str, total: int | None) -> None:
        import IPython.display
        from ipywidgets import FloatProgress, HBox, Label

        display: Any = IPython.display.display

        self._total = total
        self._bar = FloatProgress(min=0.0, max=float(total or 1), bar_style="info")
        self._text = Label()
        display(HBox([Label(title), self._bar, self._text]))

    def draw(self, done: int) -> None:
        """Show how many bytes are done."""
        self._bar.value = float(done if self._total else 1)
        self._text.value = f"{as_bytes(done)} of {as_bytes(self._total)}" if self._total else as_bytes(done)

    def close(self) -> None:
        """Show that it is over."""
        self._bar.bar_style = "success"


def _in_notebook() -> bool:
    # Whoever is in a notebook has IPython loaded already.
    found = sys.modules.get("IPython")
    shell: Any = found.get_ipython() if found is not None else None
    return shell is not None and hasattr(shell, "kernel")


def _widgets() -> bool:
    try:
        import ipywidgets  # noqa: F401, only to see whether it is there
    except ImportError:
        return False
    return True
