from __future__ import annotations

import json
import math
import pickle
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.values import Values
from daskflow.errors import NotInTask, UsageError
from daskflow.execution.worker.attempt import CURRENT_ATTEMPT, Attempt, Reporter, current
from daskflow.execution.worker.saving import HandedOver
from daskflow.model.outcome import ReportItem
from daskflow.model.records import EventRecord
from daskflow.sites import notice
from daskflow.sites.channel import CURRENT_CHANNEL
from tests.conftest import Lab
from tests.execution.worker.conftest import Settle

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


def test_events_and_metrics_are_told_at_once() -> None:
    told: list[bytes] = []
    token = CURRENT_CHANNEL.set(told.append)
    made = Attempt("fit-1", 2, "a-run", None)
    made.emit("qa.low", kind="a datum may be called so", score=np.float64(0.5))
    CURRENT_CHANNEL.reset(token)
    ((live,),) = map(pickle.loads, told)
    assert live[:3] == ("fit-1", "event", "qa.low")
    assert json.loads(live.data) == {"kind": "a datum may be called so", "score": 0.5}


def test_events_have_dotted_kinds(attempt: Attempt) -> None:
    with pytest.raises(UsageError, match="no kind of event"):
        attempt.emit("Quality low")


def test_in_a_process_of_its_own_it_begins_anew(attempt: Attempt) -> None:
    attempt.report.metric("chisq", 1)
    before = attempt.teller
    attempt.begin_apart()
    assert attempt.reports == []
    assert attempt.teller is not before
    attempt.close()


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


@pytest.mark.parametrize("site", ["synchronous", "threads"])
def test_the_body_of_a_flow_emits_and_reports_for_its_run(lab: Lab, site: str) -> None:
    heard: list[EventRecord] = []
    lab.project.hub.subscribe("qa.*", heard.append)

    @lab.task
    def measure(x: float) -> float:
        current().emit("qa.task", x=x)
        current().report.metric("inner", x)
        return x

    @lab.flow(site=site)
    def study(low: float) -> Any:
        current().emit("qa.import.low", score=low)
        current().report.markdown("# Import", title="verdict")
        value = measure(low).result()
        current().emit("qa.import.done", score=np.float32(value))
        current().report.metric("score", value, unit="%")
        assert (current().key, current().time_left()) == ("", math.inf)
        return value

    run = study.submit(0.5)
    assert run.result(60) == 0.5
    events = run.events("qa.*")
    assert [(event.kind, event.data) for event in events if not event.key] == [
        ("qa.import.low", {"score": 0.5}),
        ("qa.import.done", {"score": 0.5}),
    ]
    assert [event.kind for event in events] == ["qa.import.low", "qa.task", "qa.import.done"]
    lab.project.hub.close(10)
    assert heard == events
    made = [(report.task, report.title, report.key == run.id) for report in run.reports]
    assert made == [("measure", "inner", False), ("study", "verdict", True), ("study", "score", True)]


def test_what_a_body_emits_must_be_json(lab: Lab) -> None:
    @lab.flow
    def study() -> None:
        current().emit("qa.low", mask=np.zeros(3))

    with pytest.raises(UsageError, match=r"mask of an event has the type ndarray, which has no JSON"):
        study()


def test_a_resumed_body_reports_anew(lab: Lab) -> None:
    titles = ["one", "two", "three"]

    @lab.flow
    def study() -> None:
        for title in titles:
            current().report.markdown("text", title=title)

    first = study.submit()
    first.wait(60)
    titles[:] = ["better"]
    again = lab.launcher.resume(study, lab.project.journal.run(first.id), {}, background=True)
    again.wait(60)
    assert [report.title for report in again.reports] == ["better"]


def test_a_body_that_is_only_planned_is_not_heard(lab: Lab) -> None:
    @lab.flow
    def study() -> None:
        current().emit("qa.low", score=1)
        current().report.metric("score", 1)

    heard: list[EventRecord] = []
    lab.project.hub.subscribe("*", heard.append)
    study.plan()
    lab.project.hub.close(10)
    assert heard == []


def test_each_inner_run_has_its_own_events(lab: Lab) -> None:
    @lab.flow
    def stage(name: str) -> str:
        current().emit("stage.began", name=name)
        return name

    @lab.flow
    def study() -> Any:
        stage("inline")
        return stage.submit("beside").result()

    run = study.submit()
    run.result(60)
    assert [event.data["name"] for event in run.events("stage.*")] == ["inline"]
    (child,) = run.children
    assert [event.data["name"] for event in child.events("stage.*")] == ["beside"]


class TestInABatchJob:
    """What an attempt knows of the end of the batch job that it is made in."""

    def test_time_left_is_that_of_the_batch_job(self, attempt: Attempt, settled: Settle) -> None:
        settled(ends=time.time() + 100, notice=60.0)
        assert 80 < attempt.time_left() <= 90, "what is left has to be stored"
        assert Attempt("fit-1", 1, "a-run", 50.0).time_left() <= 50
        settled(ends=time.time() + 100, notice=4.0)
        assert 90 < attempt.time_left() <= 98
        settled(ends=None)
        assert attempt.time_left() == math.inf

    def test_it_should_stop_some_time_before_the_end(self, attempt: Attempt, settled: Settle) -> None:
        assert not attempt.should_stop()
        settled(ends=time.time() + 100, notice=60.0)
        assert not attempt.should_stop()
        settled(ends=time.time() + 50, notice=60.0)
        assert attempt.should_stop()
        settled(ends=None)
        assert not attempt.should_stop()

    def test_it_should_stop_when_it_is_told(self, attempt: Attempt, settled: Settle) -> None:
        settled()
        notice.give()
        assert attempt.should_stop()


class TestState:
    """What an attempt saves."""

    @pytest.fixture
    def values(self, tmp_path: Path) -> Values:
        return Values(ObjectStore(tmp_path / "store"), key=bytes(32))

    def test_the_next_attempt_finds_it(self, values: Values) -> None:
        first, second = (Attempt("fit-1", number, "a-run", None, values=values) for number in (1, 2))
        assert first.restore({"step": 0}) == {"step": 0}
        first.save({"step": 4})
        assert first.has_state
        assert second.restore() == {"step": 4}
        assert second.has_state
        second.forget_state()
        assert Attempt("fit-1", 3, "a-run", None, values=values).restore() is None

    def test_handing_over_saves_and_ends(self, values: Values) -> None:
        first = Attempt("fit-1", 1, "a-run", None, values=values)
        with pytest.raises(HandedOver):
            first.hand_over([1, 2])
        assert Attempt("fit-1", 2, "a-run", None, values=values).restore() == [1, 2]
        assert not issubclass(HandedOver, Exception), "the user's code is not to catch it"

    def test_the_body_of_a_flow_has_none(self, lab: Lab) -> None:
        @lab.flow
        def study() -> bool:
            assert not current().should_stop()
            with pytest.raises(UsageError, match="body of a flow"):
                current().save(1)
            return True

        assert study()
