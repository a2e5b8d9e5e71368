"""Draws the graph of the jobs of a run, or of a plan, as SVG."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from daskflow.execution.insight.layout import Edge, Layout, layered
from daskflow.model.records import JobRecord
from daskflow.model.states import JobState

MOST_JOBS = 150
"""Graphs of more jobs are drawn with one node for each task."""

COLOURS = {
    JobState.created: "#8b93a1",
    JobState.waiting: "#b08968",
    JobState.queued: "#8b7fd6",
    JobState.running: "#d9930d",
    JobState.succeeded: "#2f9e63",
    JobState.cached: "#3b82c4",
    JobState.failed: "#d64545",
    JobState.skipped: "#a3785f",
    JobState.cancelled: "#9b5fb5",
}
"""The colour of each state, on pages and in pictures; readable on white and on black."""

_HEIGHT, _ROW, _COLUMN_GAP, _MARGIN = 26.0, 36.0, 56.0, 8.0
_CHARACTER = 6.7
_LONGEST = 30
_LEGEND = 22.0


class _Node(NamedTuple):
    """What is drawn as one box."""

    label: str
    title: str
    states: Counter[JobState]

    @property
    def width(self) -> float:
        return len(self.label) * _CHARACTER + 20


class Drawing:
    """The graph of some jobs, as a picture; the same jobs always give the same picture.

    Parameters
    ----------
    records
        The jobs. Up to 150 of them have a node each, else each task has one.
    """

    def __init__(self, records: Sequence[JobRecord]) -> None:
        self._nodes, edges = _jobs(records) if len(records) <= MOST_JOBS else _tasks(records)
        self._layout = layered(len(self._nodes), [edge for edge in edges if edge[0] < edge[1]])

    def svg(self) -> str:
        """The picture as an `<svg>` element: text and lines take the colour of the text around them."""
        columns = _columns(self._layout, self._nodes)
        width = (columns[-1][1] if columns else 0.0) + _MARGIN
        height = max(self._layout.positions, default=0.0) * _ROW + _HEIGHT + 2 * _MARGIN + _LEGEND
        centres = self._centres(columns)
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
            f'height="{height:.0f}" font-family="ui-monospace, Menlo, Consolas, monospace" font-size="11" '
            'role="img" aria-label="graph of the jobs">',
            *self._edges(columns, centres),
            *[_box(node, *centres[index]) for index, node in enumerate(self._nodes)],
            _legend(self._nodes, height),
            "</svg>",
        ]
        return "\n".join(parts)

    def _repr_svg_(self) -> str:
        return self.svg()

    def save(self, path: str | Path) -> None:
        """Write the picture to a file."""
        Path(path).write_text(self.svg(), encoding="utf-8")

    def _centres(self, columns: list[tuple[float, float]]) -> dict[int, tuple[float, float]]:
        found = {}
        for (left, right), nodes in zip(columns, self._layout.layers, strict=True):
            for node in nodes:
                y = _MARGIN + _HEIGHT / 2 + self._layout.positions[node] * _ROW
                found[node] = ((left + right) / 2, y)
        return found

    def _edges(self, columns: list[tuple[float, float]], centres: dict[int, tuple[float, float]]) -> list[str]:
        sides = {node: column for column, nodes in zip(columns, self._layout.layers, strict=True) for node in nodes}
        drawn = []
        for path in self._layout.paths.values():
            points = []
            for node in path:
                x, y = centres[node]
                half = self._nodes[node].width / 2 if node < len(self._nodes) else 0
                left, right = (x - half, x + half) if half else sides[node]
                points.append((left, right, y))
            drawn.append(f'<path d="{_curve(points)}" fill="none" stroke="currentColor" stroke-opacity=".35"/>')
        return drawn


def _jobs(records: Sequence[JobRecord]) -> tuple[list[_Node], list[Edge]]:
    place = {record.number: index for index, record in enumerate(sorted(records, key=lambda r: r.number))}
    nodes = [
        _Node(_cut(record.task), f"{record.key}: {record.state}", Counter([record.state]))
        for record in sorted(records, key=lambda r: r.number)
    ]
    edges = [(place[up], place[record.number]) for record in records for up in record.upstream if up in place]
    return nodes, edges


def _tasks(records: Sequence[JobRecord]) -> tuple[list[_Node], list[Edge]]:
    states: dict[str, Counter[JobState]] = {}
    task_of = {}
    for record in sorted(records, key=lambda r: r.number):
        states.setdefault(record.task, Counter())[record.state] += 1
        task_of[record.number] = record.task
    place = {task: index for index, task in enumerate(states)}
    edges = {(place[task_of[up]], place[record.task]) for record in records for up in record.upstream if up in task_of}
    nodes = []
    for task, counts in states.items():
        told = ", ".join(f"{count} {state}" for state, count in counts.items())
        nodes.append(_Node(f"{_cut(task)} × {counts.total()}", f"{task}: {told}", counts))
    return nodes, sorted(edges)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _columns(layout: Layout, nodes: list[_Node]) -> list[tuple[float, float]]:
    """Left and right end of each layer."""
    found = []
    left = _MARGIN
    for members in layout.layers:
        width = max([nodes[node].width for node in members if node < len(nodes)], default=20.0)
        found.append((left, left + width))
        left += width + _COLUMN_GAP
    return found


def _curve(points: list[tuple[float, float, float]]) -> str:
    """A path from the right end of the first point to the left end of the last, straight through those between."""
    x, y = points[0][1], points[0][2]
    text = f"M{x:.1f} {y:.1f}"
    for left, right, height in points[1:]:
        middle = (x + left) / 2
        text += f"C{middle:.1f} {y:.1f} {middle:.1f} {height:.1f} {left:.1f} {height:.1f}"
        x, y = left, height
        if (left, right, height) != points[-1]:
            text += f"H{right:.1f}"
            x = right
    return text


def _box(node: _Node, x: float, y: float) -> str:
    left, top = x - node.width / 2, y - _HEIGHT / 2
    frame = f'x="{left:.1f}" y="{top:.1f}" width="{node.width:.1f}" height="{_HEIGHT:.1f}" rx="5"'
    colour = COLOURS[max(node.states, key=lambda state: node.states[state])]
    bars = ""
    start = left + 4
    for state, count in node.states.items() if node.states.total() > 1 else []:
        length = (node.width - 8) * count / node.states.total()
        place = f'x="{start:.1f}" y="{top + _HEIGHT - 5:.1f}" width="{length:.1f}"'
        bars += f'<rect {place} height="3" fill="{COLOURS[state]}"/>'
        start += length
    label = (
        f'<text x="{x:.1f}" y="{y + 3.5:.1f}" text-anchor="middle" fill="currentColor">{html.escape(node.label)}</text>'
    )
    return (
        f"<g><title>{html.escape(node.title)}</title>"
        f'<rect {frame} fill="{colour}" fill-opacity=".16" stroke="{colour}"/>{bars}{label}</g>'
    )


def _legend(nodes: list[_Node], height: float) -> str:
    found = [state for state in JobState if any(state in node.states for node in nodes)]
    parts = []
    x, y = _MARGIN, height - _MARGIN - 2
    for state in found:
        parts.append(
            f'<circle cx="{x + 5:.1f}" cy="{y - 4:.1f}" r="4.5" fill="{COLOURS[state]}"/>'
            f'<text x="{x + 14:.1f}" y="{y:.1f}" fill="currentColor">{state}</text>'
        )
        x += 30 + len(state) * _CHARACTER
    return "".join(parts)
