"""When which job ran where."""

from __future__ import annotations

import json
import re
from typing import Any

from daskflow.execution.insight.summary import Summary
from daskflow.model.records import AttemptRecord, JobRecord, RunRecord
from daskflow.views.gantt import MOST_BARS, gantt


def summary(count: int, pids: int = 2) -> Summary:
    jobs = [
        JobRecord(run="r", number=n, key=f"{'ab'[n % 2]}-{n}", task="ab"[n % 2], fingerprint="", recipe="")
        for n in range(count)
    ]
    attempts = [
        AttemptRecord(
            run="r", number=n, attempt=1, state="succeeded", start=n, stop=n + 2 + n / count, host="h", pid=n % pids
        )
        for n in range(count)
    ]
    return Summary(RunRecord(id="r", flow="f"), jobs, attempts, [], [])


def rows(chart: Any) -> set[str]:
    """The rows that the figure has, from the document that Bokeh embeds."""
    text = re.search(r"docs_json = '(.*?)';", chart.script, re.S)
    assert text is not None
    factors = re.search(r'"factors":(\[.*?\])', text[1].replace("&quot;", '"').replace('\\"', '"'))
    assert factors is not None
    return set(json.loads(factors[1]))


def test_where_nothing_ran_nothing_is_drawn() -> None:
    assert gantt(summary(0)) is None


def test_one_row_per_worker() -> None:
    chart = gantt(summary(6))
    assert chart is not None
    assert rows(chart) == {"h 0", "h 1"}
    assert chart.colours.keys() == {"a", "b"}
    assert chart.left_out == 0


def test_one_row_per_task_where_workers_are_many() -> None:
    assert rows(gantt(summary(100, pids=100))) == {"a", "b"}


def test_only_the_longest_are_drawn() -> None:
    chart = gantt(summary(MOST_BARS + 7))
    assert chart is not None
    assert chart.left_out == 7


def test_resources_are_inline() -> None:
    chart = gantt(summary(1))
    assert chart is not None
    assert "<script" in chart.resources
    assert " src=" not in chart.resources[:200]
