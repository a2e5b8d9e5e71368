"""What is being done here: what `current()` gives in tasks and in bodies of flows, and the reports made there."""

from __future__ import annotations

import io
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NoReturn

from daskflow.artifacts.values import Values
from daskflow.errors import NotInTask
from daskflow.execution.worker.footprint import Span
from daskflow.execution.worker.live import Teller, checked_kind, event_text
from daskflow.execution.worker.saving import HandedOver, State
from daskflow.graph.host import CURRENT_HOST
from daskflow.model.outcome import ReportItem
from daskflow.sites import allocation, notice
from daskflow.sites.channel import CURRENT_CHANNEL

_PNG = b"\x89PNG\r\n"
_ROWS = 1000
"""A table keeps at most that many rows."""
_MARGIN = 10.0
"""So long before the end of its batch job an attempt must have ended: what it left has to be stored [s]."""


class Reporter:
    """Makes reports: something for a person to look at, kept with the result of the job, or with the run of the flow.

    A job that is taken from memory still has the reports that it made.

    Raises
    ------
    NotInTask
        Neither a task nor the body of a flow is being executed here.
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
        """A number with a name. The run sees it at once, but of many in a second only some."""
        number = float(value)
        item = self._add("metric", name, {"value": number if math.isfinite(number) else repr(number), "unit": unit})
        current().teller.metric(name, item.data)

    def link(self, url: str, *, title: str = "") -> None:
        """A link to a page or to a local file."""
        self._add("link", title or str(url), {"url": str(url)})

    def _add(self, kind: str, title: str, data: dict[str, Any], content: bytes | None = None) -> ReportItem:
        item = ReportItem(kind, title, json.dumps(data, default=_plain), content)
        current().add(item)
        return item


class Attempt:
    """The attempt at a job that is being made here."""

    __slots__ = (
        "_deadline", "_state", "_teller", "_values", "basis", "key", "memory", "number", "reports", "run", "span",
        "timeout", "used", "variables",
    )  # fmt: skip

    report = Reporter()
    """Makes reports; the same as `daskflow.report`."""

    def __init__(self, key: str, number: int, run: str, timeout: float | None, *, values: Values | None = None) -> None:
        self.key = key
        """The key of the job; empty in the body of a flow."""
        self.number = number
        """Which attempt this is; counts from 1."""
        self.run = run
        """The id of the run."""
        self.reports: list[ReportItem] = []
        self.used: tuple[float, int] | None = None
        """What its processes used, where a task tells it: CPU time [s] and peak memory [bytes]."""
        self.timeout = timeout
        """After this time it is killed [s]; None: never."""
        self.memory: int | None = None
        """Over this memory it is killed [bytes]; None: never."""
        self.basis = ""
        """Where that limit comes from, for messages."""
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._teller: Teller | None = None
        self._values = values
        self._state: State | None = None
        self.span: Span | None = None
        """The time that it took in a process of its own, where it was made in one as a whole."""
        self.variables: dict[str, str] = {}
        """Variables of the environment for its processes."""

    def add(self, item: ReportItem) -> None:
        """Keep a report, until the attempt ends."""
        self.reports.append(item)

    def emit(self, kind: str, /, **data: Any) -> None:
        """Make an event of the run, which everybody who follows the run sees at once.

        Parameters
        ----------
        kind
            Dotted: `qa.import.low`.
        **data
            What belongs to it: numbers, texts, lists and dictionaries.

        Raises
        ------
        UsageError
            The kind is not dotted, or is one of daskflow's own; or a value has no JSON.
        """
        self.teller.event(kind, data)

    @property
    def teller(self) -> Teller:
        """Tells the driver what the attempt emits and measures."""
        if self._teller is None:
            self._teller = Teller(self.key, CURRENT_CHANNEL.get())
        return self._teller

    def begin_apart(self) -> None:
        """Go on in a process of its own: only what is reported from now on goes back."""
        self.reports = []
        self._teller = None

    def close(self) -> None:
        """Tell nothing more."""
        if self._teller is not None:
            self._teller.close()

    def time_left(self) -> float:
        """How long the attempt may still take [s]; infinite where nothing limits it.

        It ends with its timeout, or some seconds before the batch job that it is made in.
        """
        left = math.inf if self._deadline is None else self._deadline - time.monotonic()
        place = allocation.here()
        if place is None:
            return left
        return min(left, place.time_left() - min(_MARGIN, place.notice / 2))

    def should_stop(self) -> bool:
        """Whether the attempt should come to an end, since the batch job that it is made in does.

        Asking costs less than a microsecond. What is to be done then: `hand_over`.
        """
        place = allocation.here()
        return notice.given() or (place is not None and place.time_left() <= place.notice)

    def save(self, state: Any) -> None:
        """Keep a state of the job, in place of the one before, until it has its result.

        Parameters
        ----------
        state
            Whatever pickles: arrays, datasets, dictionaries of them.

        Raises
        ------
        UsageError
            There is no artifact store; or this is the body of a flow, which resumes by itself.
        ArtifactError
            It cannot be stored; the state before is still there.

        Notes
        -----
        It lies in the artifact store under the key of the job: the next attempt finds it wherever it is made, in a run
        that was resumed too. Whoever dies while it saves leaves the state before.
        """
        self._states().save(state)

    def restore(self, default: Any = None) -> Any:
        """The state that was saved last by an attempt at this job; the default where there is none.

        Raises
        ------
        UsageError
            As for `save`.
        """
        return self._states().restore(default)

    def hand_over(self, state: Any) -> NoReturn:
        """Save a state and end here: the job is performed again elsewhere, and gets the state by `restore`.

        Nothing after the call is executed, but for `finally`. It does not count as a failure, and not as one of the
        retries.

        Raises
        ------
        UsageError, ArtifactError
            As for `save`.
        """
        self.save(state)
        raise HandedOver(self.key)

    @property
    def has_state(self) -> bool:
        """Whether a state of the job is known to be saved."""
        return self._state is not None and self._state.known

    def note_state(self) -> None:
        """A process of the attempt has seen or saved a state."""
        self._states().known = True

    def forget_state(self) -> None:
        """The job has its result, so that no other attempt needs a state."""
        if self.has_state:
            self._states().forget()

    def _states(self) -> State:
        if self._state is None:
            self._state = State(self._values, self.key)
        return self._state


CURRENT_ATTEMPT: ContextVar[Attempt | None] = ContextVar("daskflow_attempt", default=None)


class Body(Attempt):
    """The body of a flow that is being executed here: what it emits and reports belongs to the run.

    Parameters
    ----------
    run
        Id of the run.
    tell
        Takes kind and JSON text of each event.
    record
        Takes each report, with its number.
    """

    __slots__ = ("_record", "_tell")

    def __init__(
        self, run: str, tell: Callable[[str, str], object], record: Callable[[int, ReportItem], object]
    ) -> None:
        super().__init__("", 1, run, None)
        # Nobody waits for the metrics of a body.
        self._teller = Teller("", None)
        self._tell = tell
        self._record = record

    def emit(self, kind: str, /, **data: Any) -> None:
        """Make an event of the run."""
        self._tell(checked_kind(kind), event_text(data))

    def add(self, item: ReportItem) -> None:
        """Record a report at once: a body may take days, and wait for people."""
        super().add(item)
        self._record(len(self.reports) - 1, item)


def _nobody(*_: object) -> None:
    """Take what nobody wants."""


def current() -> Attempt:
    """The attempt that is being made here, in a task; in the body of a flow what stands for it there.

    Raises
    ------
    NotInTask
        Neither a task nor the body of a flow is being executed here.
    """
    attempt = CURRENT_ATTEMPT.get()
    if attempt is not None:
        return attempt
    host = CURRENT_HOST.get()
    if host is None:
        raise NotInTask(
            "This works only in a task that a run performs, and in the body of a flow. Call it from a function that is "
            "declared with `@task` or `@flow`, in the thread that executes it."
        )
    # A flow that is only planned has none: nobody hears what it says.
    return getattr(host, "body", None) or Body(host.id, _nobody, _nobody)


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
