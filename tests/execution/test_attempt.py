from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from daskflow.errors import NotInTask
from daskflow.execution.attempt import CURRENT_ATTEMPT, Attempt, Reporter, current
from daskflow.model.outcome import ReportItem

PNG = b"\x89PNG\r\n\x1a\nand so on"


@pytest.fixture
def attempt() -> Iterator[Attempt]:
    made = Attempt("fit-1", 2, "a-run", None)
    token = CURRENT_ATTEMPT.set(made)
    yield made
    CURRENT_ATTEMPT.reset(token)


def only(attempt: Attempt) -> tuple[ReportItem, Any]:
    (item,) = attempt.reports
    return item, json.loads(item.data)


def test_who_asks(attempt: Attempt) -> None:
    assert current() is attempt
    assert (current().key, current().number, current().run) == ("fit-1", 2, "a-run")
    assert attempt.time_left() == math.inf
    assert 9 < Attempt("fit-1", 1, "a-run", 10.0).time_left() <= 10


def test_outside_of_a_task_and_in_other_threads_there_is_none(attempt: Attempt) -> None:
    errors: list[Exception] = []

    def ask() -> None:
        try:
            current()
        except NotInTask as error:
            errors.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join(10)
    assert len(errors) == 1


def test_reports_need_a_task() -> None:
    with pytest.raises(NotInTask):
        Reporter().metric("chisq", 1)


def test_metrics(attempt: Attempt) -> None:
    current().report.metric("flux", float(np.float32(1.5)), unit="Jy")
    assert only(attempt) == (ReportItem("metric", "flux", '{"value": 1.5, "unit": "Jy"}'), {"value": 1.5, "unit": "Jy"})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_metrics_that_json_has_no_numbers_for(attempt: Attempt, value: float) -> None:
    current().report.metric("chisq", value)
    assert only(attempt)[1]["value"] == repr(value)


def test_markdown_and_links(attempt: Attempt) -> None:
    current().report.markdown("**good**", title="verdict")
    current().report.link("https://example.org/?a=1&b=2")
    text, link = attempt.reports
    assert (text.kind, text.title, json.loads(text.data)) == ("markdown", "verdict", {"text": "**good**"})
    assert (link.kind, link.title) == ("link", "https://example.org/?a=1&b=2")


ROWS = [{"source": "3C 48", "flux": 16.5}, {"source": "3C 147", "rms": 0.1}]


@pytest.mark.parametrize(
    ("rows", "columns", "cells"),
    [
        (ROWS, ["source", "flux", "rms"], [["3C 48", 16.5, None], ["3C 147", None, 0.1]]),
        ({"a": np.array([1, 2]), "b": ["x", "y"]}, ["a", "b"], [[1, "x"], [2, "y"]]),
        (pd.DataFrame({"a": [1.5]}), ["a"], [[1.5]]),
        (pd.DataFrame({"a": [1.5]}, index=pd.Index(["r"], name="row")), ["row", "a"], [["r", 1.5]]),
        ([], [], []),
    ],
)
def test_tables(attempt: Attempt, rows: Any, columns: list[str], cells: list[list[Any]]) -> None:
    current().report.table(rows, title="sources")
    item, data = only(attempt)
    assert (item.kind, item.title) == ("table", "sources")
    assert data == {"columns": columns, "rows": cells, "total": len(cells)}


def test_long_tables_are_cut(attempt: Attempt) -> None:
    current().report.table({"n": range(5000)})
    _, data = only(attempt)
    assert len(data["rows"]) == 1000
    assert data["total"] == 5000


def test_pictures(attempt: Attempt, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    for given in (PNG, bytearray(PNG), memoryview(PNG), tmp_path / "a.png", str(tmp_path / "a.png")):
        current().report.image(given)
    assert {item.content for item in attempt.reports} == {PNG}
    current().report.image(np.zeros((4, 5)))
    assert (attempt.reports[-1].content or b"").startswith(PNG[:8])


def test_what_is_no_picture(attempt: Attempt) -> None:
    with pytest.raises(ValueError, match="no PNG"):
        current().report.image(b"GIF89a")


def test_figures(attempt: Attempt) -> None:
    class Figure:
        def savefig(self, target: Any, **options: Any) -> None:
            assert options["format"] == "png"
            target.write(PNG)

    current().report.figure(Figure(), title="uv")
    assert attempt.reports == [ReportItem("image", "uv", "{}", PNG)]
