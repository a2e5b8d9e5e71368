"""Writes to the terminal: text, tables, JSON; late imports keep `daskflow --help` fast."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from daskflow.execution.asking.forms import takes
from daskflow.model.records import QuestionRecord, RunRecord

if TYPE_CHECKING:
    from rich.console import Console

_PIPED_WIDTH = 200
"""Width of tables that go to a file or a pipe [characters]."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What a terminal may obey instead of showing it."""

STYLES = {
    "created": "dim",
    "waiting": "dim",
    "queued": "magenta",
    "running": "yellow",
    "paused": "yellow",
    "succeeded": "green",
    "cached": "blue",
    "failed": "bold red",
    "skipped": "dim red",
    "cancelled": "magenta",
    "interrupted": "bold yellow",
}
"""The style of each state of a job or a run."""


def console(*, error: bool = False) -> Console:
    """The console of standard output, or of standard error."""
    from rich.console import Console

    stream = sys.stderr if error else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else _PIPED_WIDTH
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False, soft_wrap=False)


def say(*lines: str, style: str | None = None, error: bool = False) -> None:
    """Print lines as they are."""
    for line in lines:
        console(error=error).print(line, style=style, soft_wrap=True)


def printable(text: str) -> str:
    r"""A text of somebody else, with its control characters escaped; newlines and tabs stay.

    Examples
    --------
    >>> print(printable("\x1b[2Jall \x07gone"))
    \x1b[2Jall \x07gone
    """
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def show_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, title: str = "") -> None:
    """Print a table; cells that are states are coloured, numbers stand at the right."""
    from rich import box
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, title_style="bold")
    for place, name in enumerate(columns):
        numbers = bool(rows) and all(isinstance(row[place], (int, float)) or row[place] == "" for row in rows)
        table.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*[_cell(value) for value in row])
    console().print(table)


def _cell(value: Any) -> Any:
    from rich.text import Text

    text = f"{value:.6g}" if isinstance(value, float) else printable(str(value))
    return Text(text, style=STYLES.get(text, ""))


def show_json(value: Any) -> None:
    """Print JSON: records as objects, what JSON does not know as its text, and no NaN."""
    made = to_json(value, indent=2, inf_nan_mode="null", bytes_mode="base64", fallback=_plain)
    sys.stdout.write(made.decode() + "\n")
    sys.stdout.flush()


def _plain(value: Any) -> Any:
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return value.item()
    text = repr(value)
    return text if len(text) <= 2000 else f"{text[:2000]}..."


def run_fields(record: RunRecord) -> dict[str, Any]:
    """A run as JSON shows it: without the pickled arguments."""
    return record.model_dump(exclude={"payload"})


def asks(question: QuestionRecord) -> str:
    """One line that tells what a run asks, and how it is answered."""
    how = f" VALUE, that is {takes(question.form)}" if question.form else ""
    default = f"; without VALUE: {question.preset}" if question.preset else ""
    refused = f"; refused: {question.note}" if question.note else ""
    return f"asks: {question.prompt} Answer: daskflow answer {question.id}{how}{default}{refused}"


def counts_rows(counts: Mapping[str, Mapping[str, int]]) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows of a table of jobs by task and state."""
    states = [state for state in STYLES if any(found.get(state) for found in counts.values())]
    return ["task", *states], [[task, *[found.get(state, "") for state in states]] for task, found in counts.items()]


@contextmanager
def stdout_kept_clean(*, when: bool) -> Iterator[None]:
    """Within the block whatever is written to standard output goes to standard error: also by C code and children.

    So nothing but JSON is on standard output, whatever a flow prints.
    """
    if not when:
        yield
        return
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
