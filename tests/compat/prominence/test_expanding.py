from __future__ import annotations

from typing import Any

from daskflow.compat.prominence.expanding import Child, expand
from daskflow.compat.prominence.workflowdocuments import WorkflowDocument


def children(**workflow: Any) -> list[Child]:
    return expand(WorkflowDocument.model_validate(workflow))


def named(*names: str, **changes: Any) -> list[dict[str, Any]]:
    return [{"name": name, "tasks": [{"cmd": "date"}], **changes} for name in names]


def test_names_and_numbers() -> None:
    found = children(name="wf", jobs=named("a", "b"), factories=[{"type": "repeat", "jobs": ["b"], "number": 2}])
    assert [(one.number, one.job.name, one.of) for one in found] == [
        (0, "wf/a", "a"),
        (1, "wf/b/0", "b"),
        (2, "wf/b/1", "b"),
    ]
    assert [one.job.name for one in children(jobs=named("a"))] == ["a"]


def test_who_waits_comes_after_and_waits_for_all() -> None:
    found = children(
        jobs=named("last", "sweep", "first"),
        dependencies={"first": ["sweep"], "sweep": ["last"]},
        factories=[
            {
                "type": "parameterSweep",
                "jobs": ["sweep"],
                "parameters": [{"name": "x", "start": 1, "end": 3, "step": 1}],
            }
        ],
    )
    assert [(one.job.name, one.parents) for one in found] == [
        ("first", ()),
        ("sweep/0", (0,)),
        ("sweep/1", (0,)),
        ("sweep/2", (0,)),
        ("last", (1, 2, 3)),
    ]


def test_names_are_compared_as_a_whole() -> None:
    found = children(jobs=named("job_A", "job_A1", "job_A10", "c"), dependencies={"job_A": ["c"]})
    assert {one.of: one.parents for one in found} == {"job_A": (), "job_A1": (), "job_A10": (), "c": (0,)}


def test_all_parameters_stand_in_all_that_names_them() -> None:
    (one, *_) = children(
        jobs=[
            {
                "name": "a",
                "tasks": [{"cmd": "run $x ${y}", "env": {"V": "$x=$y"}}],
                "artifacts": [{"url": "in-$x-$y.h5"}],
                "outputFiles": ["out-$x-$y.dat"],
                "outputDirs": ["dir-$x-$y"],
            }
        ],
        factories=[
            {
                "type": "zip",
                "jobs": ["a"],
                "parameters": [{"name": "x", "values": ["a=b", 2]}, {"name": "y", "values": [3.0, 4]}],
            }
        ],
    )
    assert one.job.tasks[0].cmd == "run a=b 3"
    assert one.job.tasks[0].env == {"V": "a=b=3"}
    assert one.job.artifacts[0].url == "in-a=b-3.h5"
    assert (one.job.output_files, one.job.output_dirs) == (("out-a=b-3.dat",), ("dir-a=b-3",))
    assert one.job.parameters == {"x": "a=b", "y": "3"}
