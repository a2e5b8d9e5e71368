"""Documents of pipelines."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskflow.errors import PipelineInvalid
from daskflow.execution.pipelines.reading import read, read_file, read_value

SECOND = """
version: "2"
name: frb
defaults: {user: ada, site: local}
schedule: {cronspec: "30 4 * * 0", lives: 2}
matrix: {event: [1, 2]}
pipeline:
  steps:
    - name: alpha
      stage: 1
      matrix: {a: [1, 2], b: {range: [7, 13, 2]}}
      work: {function: math.hypot, parameters: {x: "${{ matrix.a }}", y: "${{ matrix.b }}"}}
    - name: beta
      stage: 2
      if: ${{ pipeline.alpha.status == 'success' }}
      work: {function: math.fsum, parameters: {seq: "${{ pipeline.alpha.results }}"}}
"""
FIRST = """
version: "1"
name: frb
defaults: {user: ada, site: local}
schedule: {cronspec: "30 4 * * 0", count: 0}
pipeline:
  alpha: {stage: 1, work: {function: math.hypot}}
  beta: {stage: 2, if: failure, work: {command: [echo, lost]}}
"""


def written(directory: Path, text: str) -> Path:
    path = directory / "p.yaml"
    path.write_text(text)
    return path


def document(**changes: Any) -> dict[str, Any]:
    step = {"name": "a", "work": {"user": "u", "site": "local", "function": "math.sqrt"}}
    return {"name": "p", "pipeline": {"steps": [step]}, **changes}


def test_the_second_form(tmp_path: Path) -> None:
    found, text = read_file(written(tmp_path, SECOND))
    assert [step.name for step in found.steps] == ["alpha", "beta"]
    assert found.matrix == {"event": [1, 2]}
    assert found.schedule is not None
    assert found.schedule.lives == 2
    assert read(json.loads(text)) == found


@pytest.mark.parametrize("below", [False, True])
def test_the_first_form_has_steps_by_name(tmp_path: Path, below: bool) -> None:
    text = FIRST
    if below:
        text = text.replace("  alpha", "  steps:\n    alpha").replace("  beta", "    beta")
    found, _ = read_file(written(tmp_path, text))
    assert [(step.name, step.stage, step.condition) for step in found.steps] == [
        ("alpha", 1, "success"),
        ("beta", 2, "failure"),
    ]
    assert found.schedule is not None
    assert found.schedule.lives == -1


def test_values_are_set_by_their_paths(tmp_path: Path) -> None:
    changes = {
        "defaults.site": "threads",
        "pipeline.steps.alpha.work.timeout": 5,
        "matrix.event": [7],
        "pipeline.steps.1.stage": 3,
        "defaults.config.orgs": ["x"],
    }
    found, text = read_file(written(tmp_path, SECOND), changes)
    assert (found.defaults["site"], found.steps[0].work["timeout"], found.matrix) == ("threads", 5, {"event": [7]})
    assert found.steps[1].stage == 3
    assert json.loads(text)["defaults"]["config"] == {"orgs": ["x"]}
    for wrong in ("pipeline.steps.gamma.stage", "name.x", "pipeline.steps.9"):
        with pytest.raises(PipelineInvalid, match="cannot be set"):
            read_file(written(tmp_path, SECOND), {wrong: 1})


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("stage: 1", "stages: 1", r"pipeline\.steps\.alpha\.stages: this key is not known; do you mean 'stage'\?$"),
        ("stage: 1", "stage: first", r"pipeline\.steps\.alpha\.stage: it must be a whole number\.$"),
        ("name: frb", "name: a b", "name"),
        ('version: "2"', 'version: "3"', "version: it must be '1' or '2'"),
        ("lives: 2", "lives: 0", r"schedule\.lives.*for ever"),
        ("lives: 2", "lives: 2, count: 1", r"schedule\.count: this key is not known"),
        ("matrix: {event: [1, 2]}", "matrix: {event: 3}", r"matrix\.event: it must be a list"),
        ("  steps:", "  matrix: {x: [1]}\n  steps:", r"pipeline\.matrix.*Keep one"),
        ("  steps:", "  services: []\n  steps:", r"pipeline\.services: this key is not known"),
        ("name: beta", "name: alpha", "several steps are called alpha"),
        ("site: local}", "site: local, site: x}", "'site' stands twice, again in line 4"),
        ("pipeline:", "steps: []\npipeline:", r"steps: it belongs below"),
        ("  steps:", "  runs_on: d\n  steps:", r"pipeline\.runs_on: there is no deployment 'd'"),
    ],
)
def test_mistakes_are_named_with_their_places(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in SECOND
    with pytest.raises(PipelineInvalid, match=told) as caught:
        read_file(written(tmp_path, SECOND.replace(old, new, 1)))
    assert str(caught.value).startswith(str(tmp_path))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PipelineInvalid, match=r"none\.yaml cannot be read: No such file or directory\.$"):
        read_file(tmp_path / "none.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PipelineInvalid, match=r"bytes\.yaml cannot be read: it is no text in UTF-8\.$"):
        read_file(tmp_path / "bytes.yaml")


@pytest.mark.parametrize(
    "text", ["", "3", "[1]", "a: [", "a: b: c", "!!python/object:os.system {}", "{[1]: 2}", "a: *b"]
)
def test_what_is_no_document_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(PipelineInvalid):
        read_file(written(tmp_path, text))


def test_dates_of_yaml_are_texts_in_works(tmp_path: Path) -> None:
    text = SECOND.replace("lives: 2}", "lives: 2}\n").replace("seq: ", "day: 2026-03-14, seq: ")
    found, _ = read_file(written(tmp_path, text))
    assert found.steps[1].work["parameters"]["day"] == "2026-03-14"


def test_values_of_options_are_json_or_yaml_or_text() -> None:
    texts = ("3", "1e-3", "[1, two]", "true", "a: [", "plain")
    assert [read_value(text) for text in texts] == [3, 1e-3, [1, "two"], True, "a: [", "plain"]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "steps", "stage", "work", "matrix", "if", "site", "x"]), inner, max_size=4
        )
    ),
    max_leaves=10,
)


@given(_JSON, st.sampled_from(["pipeline", "defaults", "schedule", "deployments", "matrix", "name"]))
def test_whatever_a_document_holds_it_is_read_or_refused(value: Any, key: str) -> None:
    with contextlib.suppress(PipelineInvalid):
        read(document(**{key: value}))
