"""Writes the report of a run: one HTML file that needs no network and no other file."""

from __future__ import annotations

import base64
import os
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from daskflow.execution.insight.drawing import COLOURS, MOST_JOBS, Drawing
from daskflow.execution.insight.summary import Failed, Summary, summarize
from daskflow.execution.project import Project
from daskflow.model.records import JobRecord, ReportRecord
from daskflow.stores.sharing import share
from daskflow.views import units
from daskflow.views.gantt import gantt

MOST_ROWS = 2000
"""The table of jobs has at most so many rows."""
_FAILURES, _EVENTS, _REPORTS = 50, 500, 60
_LOG_TAIL = 4000
_SCHEMES = ("", "http", "https", "ftp", "file", "mailto")
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b\x0c\x0e-\x1f]")
"""Colours that programs write to terminals, and other characters that do not print."""


class Row(NamedTuple):
    """One row of the table of jobs."""

    job: JobRecord
    attempts: int
    start: float | None
    """Since the first attempt of the run [s]."""
    seconds: float | None
    cpu: float | None
    memory: int | None
    host: str


class Stage(NamedTuple):
    """What the jobs of one task made for people to look at."""

    task: str
    metrics: list[ReportRecord]
    others: list[ReportRecord]
    left_out: int


class Trouble(NamedTuple):
    """A failed job with what is known of it."""

    failed: Failed
    log: str
    """The end of its log."""


def write_report(project: Project, ident: str, path: Path) -> Path:
    """Write the report of a run, in place of an earlier one at once; returns the path.

    Raises
    ------
    NotFound
        No such run.
    """
    text = render(project, ident)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text)
        # mkstemp makes files that only their owner may read.
        share(temporary)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def render(project: Project, ident: str) -> str:
    """The report of a run as HTML."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    summary = summarize(project.journal, ident)
    environment = Environment(
        loader=PackageLoader("daskflow.views"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        duration=units.duration,
        size=units.size,
        moment=units.moment,
        number=units.number,
        markdown=lambda text: Markup(markdown(text)),
        image=lambda content: f"data:image/png;base64,{base64.b64encode(content or b'').decode()}",
        linkable=linkable,
        plain=lambda text: _ESCAPES.sub("", text),
    )
    chart = gantt(summary)
    return environment.get_template("report.html").render(
        summary=summary,
        run=summary.run,
        colours={str(state): colour for state, colour in COLOURS.items()},
        tasks=_tasks(summary),
        stages=_stages(summary.reports),
        troubles=[_trouble(project, failed) for failed in summary.failures[:_FAILURES]],
        chart=chart
        and chart._replace(resources=Markup(chart.resources), script=Markup(chart.script), div=Markup(chart.div)),
        graph=Markup(Drawing(summary.jobs).svg()) if summary.jobs else "",
        by_task=len(summary.jobs) > MOST_JOBS,
        rows=_rows(summary),
        events=summary.events[-_EVENTS:],
    )


def markdown(text: str) -> str:
    r"""Markdown as HTML: tags in it are shown as text, and pictures from elsewhere are not loaded.

    Examples
    --------
    >>> markdown("**done** <script>")
    '<p><strong>done</strong> &lt;script&gt;</p>\n'
    """
    from markdown_it import MarkdownIt

    return str(MarkdownIt("commonmark", {"html": False}).enable("table").disable("image").render(text))


def linkable(url: str) -> bool:
    """Whether a link may be followed: it leads to a page or a file, and executes nothing.

    Examples
    --------
    >>> linkable("results/map.fits"), linkable("javascript:alert(1)")
    (True, False)
    """
    try:
        return urlsplit(url.strip()).scheme.lower() in _SCHEMES
    except ValueError:
        return False


def _tasks(summary: Summary) -> list[dict[str, Any]]:
    """One row for each task: counts, time, CPU, memory."""
    rows = {
        task: {"task": task, "states": states, "seconds": 0.0, "cpu": 0.0, "memory": 0, "attempts": 0}
        for task, states in summary.counts.items()
    }
    for attempt in summary.attempts:
        row: dict[str, Any] = rows[summary.by_number[attempt.number].task]
        row["seconds"] += attempt.stop - attempt.start
        row["cpu"] += attempt.cpu
        row["memory"] = max(row["memory"], attempt.memory)
        row["attempts"] += 1
    return list(rows.values())


def _stages(reports: Iterable[ReportRecord]) -> list[Stage]:
    found: dict[str, list[ReportRecord]] = {}
    for report in reports:
        found.setdefault(report.task, []).append(report)
    stages = []
    for task, made in found.items():
        others = [report for report in made if report.kind != "metric"]
        metrics = [report for report in made if report.kind == "metric"]
        left_out = max(0, len(others) - _REPORTS) + max(0, len(metrics) - MOST_ROWS)
        stages.append(Stage(task, metrics[:MOST_ROWS], others[:_REPORTS], left_out))
    return stages


def _trouble(project: Project, failed: Failed) -> Trouble:
    log = project.log_of(failed.job.run, failed.job.number)
    # The log ends with the traceback, which stands on the page already.
    if failed.attempt is not None and failed.attempt.traceback and log.endswith(failed.attempt.traceback):
        log = log[: -len(failed.attempt.traceback)]
    return Trouble(failed, log if len(log) <= _LOG_TAIL else f"...{log[-_LOG_TAIL:]}")


def _rows(summary: Summary) -> list[Row]:
    origin = min((attempt.start for attempt in summary.attempts), default=0.0)
    rows = []
    for job in summary.jobs[:MOST_ROWS]:
        made = summary.attempts_of.get(job.number, [])
        if not made:
            rows.append(Row(job, 0, None, None, None, None, ""))
            continue
        last = made[-1]
        rows.append(
            Row(
                job,
                len(made),
                made[0].start - origin,
                sum(attempt.stop - attempt.start for attempt in made),
                sum(attempt.cpu for attempt in made),
                max(attempt.memory for attempt in made),
                f"{last.host} {last.pid}",
            )
        )
    return rows
