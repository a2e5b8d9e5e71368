"""The attempt that is being made here: what `current()` gives inside a task, and the reports that the task makes."""

from __future__ import annotations

import io
import json
import math
import time
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from daskflow.errors import NotInTask
from daskflow.model.outcome import ReportItem

_PNG = b"\x89PNG\r\n"
_ROWS = 1000
"""A table keeps at most that many rows."""


class Reporter:
    """Makes reports from inside a task: something for a person to look at, kept with the job's result.

    A job that is taken from memory still has the reports that it made.

    Raises
    ------
    NotInTask
        No task is being performed here.
    """

    def markdown(self, text: str, *, title: str = "") -> None:
        """A text in Markdown."""
        self._add("markdown", title, {"text": str(text)})

    def table(self, rows: Any, *, title: str = "") -> None:
        """A table: a list of mappings, a mapping of columns, or a pandas DataFrame; its first 1,000 rows are kept."""
        columns, cells = _table(rows)
        self._add("table", title, {"columns": columns, "rows": cells[:_ROWS], "total": len(cells)})

    def image(self, image: Any, *, title: str = "") -> None:
        """A picture: PNG bytes, the path of a PNG file, or an array `(row, column)` or `(row, column, colour)`."""
        self._add("image", title, {}, _png(image))

    def figure(self, figure: Any, *, title: str = "") -> None:
        """A matplotlib figure, or anything else that has its `savefig`."""
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=100, bbox_inches="tight")
        self._add("image", title, {}, content.getvalue())

    def metric(self, name: str, value: float, *, unit: str = "") -> None:
        """A number with a name."""
        number = float(value)
        self._add("metric", name, {"value": number if math.isfinite(number) else repr(number), "unit": unit})

    def link(self, url: str, *, title: str = "") -> None:
        """A link to a page or to a local file."""
        self._add("link", title or str(url), {"url": str(url)})

    def _add(self, kind: str, title: str, data: dict[str, Any], content: bytes | None = None) -> None:
        current().reports.append(ReportItem(kind, title, json.dumps(data, default=_plain), content))


class Attempt:
    """The attempt at a job that is being made here."""

    __slots__ = ("_deadline", "key", "number", "reports", "run")

    report = Reporter()
    """Makes reports; the same as `daskflow.report`."""

    def __init__(self, key: str, number: int, run: str, timeout: float | None) -> None:
        self.key = key
        """The key of the job."""
        self.number = number
        """Which attempt this is; counts from 1."""
        self.run = run
        """The id of the run."""
        self.reports: list[ReportItem] = []
        self._deadline = None if timeout is None else time.monotonic() + timeout

    def time_left(self) -> float:
        """How long the attempt may still take [s]; infinite where nothing limits it."""
        return math.inf if self._deadline is None else self._deadline - time.monotonic()


CURRENT_ATTEMPT: ContextVar[Attempt | None] = ContextVar("daskflow_attempt", default=None)


def current() -> Attempt:
    """The attempt that is being made here.

    Raises
    ------
    NotInTask
        No task is being performed here.
    """
    attempt = CURRENT_ATTEMPT.get()
    if attempt is None:
        raise NotInTask()
    return attempt


def _table(rows: Any) -> tuple[list[str], list[list[Any]]]:
    if hasattr(rows, "to_dict") and hasattr(rows, "columns"):
        rows = rows.reset_index().to_dict("records") if rows.index.name else rows.to_dict("records")
    if isinstance(rows, Mapping):
        names = [str(name) for name in rows]
        return names, [list(row) for row in zip(*[list(column) for column in rows.values()], strict=True)]
    items: Sequence[Mapping[str, Any]] = list(rows)
    columns = list(dict.fromkeys(str(name) for row in items for name in row))
    return columns, [[row.get(name) for name in columns] for row in items]


def _plain(value: Any) -> Any:
    item = getattr(value, "item", None)
    return item() if callable(item) and getattr(value, "ndim", 0) == 0 else str(value)


def _png(image: Any) -> bytes:
    if isinstance(image, (str, Path)):
        image = Path(image).read_bytes()
    if isinstance(image, (bytes, bytearray, memoryview)):
        content = bytes(image)
        if not content.startswith(_PNG):
            raise ValueError("report.image() takes a PNG; these bytes are no PNG. Convert the picture first.")
        return content
    from matplotlib.image import imsave

    made = io.BytesIO()
    imsave(made, image, format="png")
    return made.getvalue()
