"""Draws when which job ran where, as an interactive Bokeh figure that needs no network."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from daskflow.execution.insight.drawing import COLOURS
from daskflow.execution.insight.summary import Summary
from daskflow.model.records import AttemptRecord, JobRecord
from daskflow.model.states import JobState
from daskflow.views.units import duration, size

MOST_BARS = 10_000
"""Of more attempts only so many, the longest, are drawn."""
_MOST_ROWS = 48
"""With more workers than this there is one row per task."""
_PALETTE = (
    "#4c78a8", "#f58518", "#54a24b", "#b279a2", "#e45756", "#72b7b2", "#eeca3b", "#9d755d", "#ff9da6", "#79706e",
    "#88d27a", "#9ecae9", "#ffbf79", "#d6a5c9", "#439894", "#b79a20", "#83bcb6", "#d8b5a5", "#bab0ac", "#fcbfd2",
)  # fmt: skip
_INK = "#8a8f98"
"""Axis and text colour that reads on white and on black."""


class Gantt(NamedTuple):
    """The pieces of the figure for an HTML page."""

    resources: str
    """BokehJS itself, as script elements."""
    script: str
    div: str
    left_out: int
    """How many attempts are not drawn."""
    colours: dict[str, str]
    """The colour of each task."""


def gantt(summary: Summary) -> Gantt | None:
    """Draw the attempts of a run; None where there were none."""
    if not summary.attempts:
        return None
    from bokeh.embed import components
    from bokeh.resources import Resources

    colours = {task: _PALETTE[index % len(_PALETTE)] for index, task in enumerate(summary.counts)}
    shown = sorted(summary.attempts, key=lambda attempt: attempt.start - attempt.stop)[:MOST_BARS]
    shown.sort(key=lambda attempt: (attempt.start, attempt.number))
    script, div = components(_figure(_columns(summary, shown, colours)))
    resources = Resources(mode="inline", components=["bokeh"]).render_js()
    drawn = {task: colour for task, colour in colours.items() if task in {_job(summary, a).task for a in shown}}
    return Gantt(resources, script, div, len(summary.attempts) - len(shown), drawn)


def _columns(summary: Summary, shown: list[AttemptRecord], colours: dict[str, str]) -> dict[str, list[Any]]:
    origin = min(attempt.start for attempt in shown)
    workers = {(attempt.host, attempt.pid) for attempt in shown}
    by_task = len(workers) > _MOST_ROWS
    columns: dict[str, list[Any]] = {name: [] for name in (*_HOVERED, "row", "left", "right", "colour", "frame")}
    for attempt in shown:
        job = _job(summary, attempt)
        columns["row"].append(job.task if by_task else f"{attempt.host} {attempt.pid}")
        columns["left"].append(attempt.start - origin)
        columns["right"].append(attempt.stop - origin)
        columns["colour"].append(colours[job.task])
        columns["frame"].append(colours[job.task] if attempt.state == "succeeded" else COLOURS[JobState.failed])
        columns["job"].append(job.key)
        columns["state"].append(f"{attempt.state}, attempt {attempt.attempt}")
        columns["time"].append(duration(attempt.stop - attempt.start))
        columns["CPU"].append(duration(attempt.cpu))
        columns["memory"].append(size(attempt.memory))
        columns["worker"].append(f"{attempt.host} {attempt.pid}")
    return columns


_HOVERED = ("job", "state", "time", "CPU", "memory", "worker")


def _job(summary: Summary, attempt: AttemptRecord) -> JobRecord:
    return summary.by_number[attempt.number]


def _figure(columns: dict[str, list[Any]]) -> Any:
    from bokeh.models import ColumnDataSource, FactorRange, HoverTool
    from bokeh.plotting import figure

    rows = list(Counter(columns["row"]))
    plot = figure(
        y_range=FactorRange(factors=rows[::-1]),
        height=min(900, 70 + 26 * len(rows)),
        sizing_mode="stretch_width",
        tools="xpan,xwheel_zoom,xbox_zoom,reset",
        x_axis_label="time since the first attempt began [s]",
        background_fill_alpha=0,
        border_fill_alpha=0,
        outline_line_alpha=0,
    )
    bars = plot.hbar(
        y="row",
        left="left",
        right="right",
        height=0.7,
        fill_color="colour",
        fill_alpha=0.85,
        line_color="frame",
        line_width=1.5,
        source=ColumnDataSource(columns),
    )
    plot.add_tools(HoverTool(renderers=[bars], tooltips=[(name, f"@{name}") for name in _HOVERED]))
    plot.toolbar.logo = None
    plot.toolbar.autohide = True
    plot.xgrid.grid_line_alpha = 0.25
    plot.ygrid.grid_line_alpha = 0
    for axis in plot.axis:
        axis.axis_label_text_color = axis.major_label_text_color = _INK
        axis.axis_line_color = axis.major_tick_line_color = _INK
        axis.minor_tick_line_color = None
        axis.axis_label_text_font_style = "normal"
    return plot
