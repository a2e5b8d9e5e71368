"""The picture of a graph."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from daskflow.execution.insight.drawing import COLOURS, MOST_JOBS, Drawing
from daskflow.model.records import JobRecord
from daskflow.model.states import JobState

SVG = "{http://www.w3.org/2000/svg}"


def job(number: int, task: str, *upstream: int, state: JobState = JobState.succeeded) -> JobRecord:
    return JobRecord(
        run="r",
        number=number,
        key=f"{task}-{number}",
        task=task,
        fingerprint="",
        recipe="",
        upstream=upstream,
        state=state,
    )


def boxes(drawing: Drawing) -> list[str]:
    found = ElementTree.fromstring(drawing.svg()).findall(f"{SVG}g")
    return [str(box.findtext(f"{SVG}text")) for box in found]


def test_each_job_has_a_box_and_each_dependency_a_line() -> None:
    drawing = Drawing([job(0, "load"), job(1, "load"), job(2, "add", 0, 1)])
    assert boxes(drawing) == ["load", "load", "add"]
    assert len(ElementTree.fromstring(drawing.svg()).findall(f"{SVG}path")) == 2


def test_many_jobs_are_drawn_by_task() -> None:
    records = [job(number, "load") for number in range(MOST_JOBS)]
    records.append(job(MOST_JOBS, "add", *range(MOST_JOBS), state=JobState.failed))
    drawing = Drawing(records)
    assert boxes(drawing) == [f"load × {MOST_JOBS}", "add × 1"]
    assert len(ElementTree.fromstring(drawing.svg()).findall(f"{SVG}path")) == 1


def test_a_task_that_uses_itself_is_drawn() -> None:
    records = [job(number, "ab"[number % 2], *([number - 1] if number else [])) for number in range(MOST_JOBS + 1)]
    assert boxes(Drawing(records)) == [f"a × {MOST_JOBS // 2 + 1}", f"b × {MOST_JOBS // 2}"]


def test_colours_tell_states() -> None:
    text = Drawing([job(0, "load", state=JobState.failed)]).svg()
    assert COLOURS[JobState.failed] in text
    assert ">failed</text>" in text
    assert set(COLOURS) == set(JobState)


def test_text_is_escaped() -> None:
    text = Drawing([job(0, "<script>")]).svg()
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


def test_same_jobs_same_picture(tmp_path: Path) -> None:
    records = [job(0, "load"), job(2, "add", 0, 1), job(1, "load")]
    drawing = Drawing(records)
    drawing.save(tmp_path / "graph.svg")
    assert (tmp_path / "graph.svg").read_text(encoding="utf-8") == Drawing(records[::-1])._repr_svg_()


def test_no_jobs_no_boxes() -> None:
    assert boxes(Drawing([])) == []


def test_unknown_upstream_is_left_out() -> None:
    assert boxes(Drawing([job(5, "add", 3)])) == ["add"]
