from __future__ import annotations

from typing import Any

import pytest

from daskflow.compat.prominence.documents import parse
from daskflow.compat.prominence.errors import WorkflowCreationError
from daskflow.compat.prominence.workflowdocuments import WorkflowDocument

JOBS = [{"name": name, "tasks": [{"cmd": "date"}]} for name in ("job_A", "job_A1", "c")]
SWEEP: dict[str, Any] = {
    "type": "parameterSweep",
    "jobs": ["job_A"],
    "parameters": [{"name": "x", "start": 0, "end": 0.3, "step": 0.1}],
}


def workflow(**changes: Any) -> WorkflowDocument:
    return parse(WorkflowDocument, {"jobs": JOBS, **changes}, WorkflowCreationError)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"jobs": []}, "jobs"),
        ({"jobs": [{"tasks": [{"cmd": "date"}]}]}, "needs a name"),
        ({"jobs": JOBS[:1] * 2}, "one name: job_A"),
        ({"dependencies": {"job": ["c"]}}, "there are not: job"),
        ({"dependencies": {"c": ["job_B"]}}, "there are not: job_B"),
        ({"dependencies": {"job_A": ["c"], "c": ["job_A1"], "job_A1": ["job_A"]}}, "in a circle"),
        ({"dependencies": {"c": ["c"]}}, "in a circle"),
        ({"factories": [{**SWEEP, "jobs": ["x"]}]}, "factories name jobs that there are not: x"),
        ({"factories": [SWEEP, SWEEP]}, "several factories"),
        ({"factories": [{**SWEEP, "parameters": []}]}, "needs parameters"),
        ({"factories": [{**SWEEP, "parameters": SWEEP["parameters"] * 2}]}, "named twice"),
        ({"factories": [{**SWEEP, "parameters": [{"name": "x", "start": 1}]}]}, "either values, or start"),
        ({"factories": [{**SWEEP, "parameters": [{"name": "x-y", "values": [1]}]}]}, "name"),
        ({"factories": [{"type": "repeat", "jobs": ["c"]}]}, "needs a number"),
        ({"factories": [{"type": "zip", "jobs": ["c"], "number": 3}]}, "no number"),
        ({"policies": {"maximumRetries": -1}}, "maximumRetries"),
        ({"name": "*"}, "name"),
        ({"labels": {"-": "x"}}, "no label"),
    ],
)
def test_what_does_not_hang_together_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(WorkflowCreationError, match=told):
        workflow(**changes)


@pytest.mark.parametrize("key", ["number", "num"])
def test_repeats_are_read_by_both_names(key: str) -> None:
    made = workflow(factories=[{"type": "repeat", "jobs": ["c"], key: 3}])
    assert made.factories[0].number == 3


def test_a_diamond_is_no_circle() -> None:
    made = workflow(dependencies={"job_A": ["job_A1", "c"], "job_A1": ["c"]}, factories=[SWEEP])
    assert WorkflowDocument.model_validate(made.model_dump(mode="json", by_alias=True)) == made
