from __future__ import annotations

from typing import Any

import pytest

from daskflow.compat.prominence.errors import WorkflowCreationError
from daskflow.compat.prominence.factories import (
    Factory,
    ParameterSet,
    ParameterSweep,
    Repeat,
    Zip,
    factory_from,
    instances,
    substituted,
)
from daskflow.compat.prominence.job import Job
from daskflow.compat.prominence.workflowdocuments import FactoryDocument


def made(factory: Factory) -> list[dict[str, str]]:
    return instances(FactoryDocument.model_validate(factory.to_dict()))


def test_the_end_belongs_to_a_sweep() -> None:
    assert [one["x"] for one in made(ParameterSweep("s", ["a"], [ParameterSet("x", 0, 0.3, 0.1)]))] == [
        "0",
        "0.1",
        "0.2",
        "0.3",
    ]
    assert [one["x"] for one in made(ParameterSweep("s", ["a"], [ParameterSet("x", 4, 0, -2)]))] == ["4", "2", "0"]


def test_any_number_of_dimensions() -> None:
    found = made(ParameterSweep(None, ["a"], [ParameterSet(name, 1, 2, 1) for name in "abcdef"]))
    assert len(found) == 64
    assert found[0] == dict.fromkeys("abcdef", "1")
    assert found[1] == {**dict.fromkeys("abcde", "1"), "f": "2"}


def test_values_may_be_listed() -> None:
    assert made(ParameterSweep(None, ["a"], [ParameterSet("x", values=["b=c", 1.0, 2.5, 3])])) == [
        {"x": "b=c"},
        {"x": "1"},
        {"x": "2.5"},
        {"x": "3"},
    ]


def test_a_zip_goes_side_by_side() -> None:
    sets = [ParameterSet("x", values=[1, 2]), ParameterSet("y", 3, 4, 1)]
    assert made(Zip(None, ["a"], sets)) == [{"x": "1", "y": "3"}, {"x": "2", "y": "4"}]
    with pytest.raises(WorkflowCreationError, match="x 2, y 3"):
        made(Zip(None, ["a"], [sets[0], ParameterSet("y", 3, 5, 1)]))


def test_a_repeat_says_its_number_as_descriptions_do() -> None:
    repeat = Repeat(jobs=["a"], number=3)
    assert repeat.to_dict() == {"type": "repeat", "jobs": ["a"], "number": 3}
    assert made(repeat) == [{}, {}, {}]


def test_a_step_that_leads_nowhere_is_refused() -> None:
    with pytest.raises(WorkflowCreationError, match="The parameter x"):
        made(ParameterSweep(None, ["a"], [ParameterSet("x", 0, 1, -1)]))


def test_jobs_are_named_or_given_themselves_and_filled_in_later() -> None:
    job = Job()
    job.name = "render"
    sweep = ParameterSweep()
    sweep.name = "frames"
    sweep.jobs.append(job)
    sweep.parameters.append(ParameterSet("frame", 1, 4, 1))
    assert sweep.to_dict() == {
        "name": "frames",
        "type": "parameterSweep",
        "jobs": ["render"],
        "parameters": [{"name": "frame", "start": 1, "end": 4, "step": 1}],
    }
    again = factory_from(FactoryDocument.model_validate(sweep.to_dict()))
    assert isinstance(again, ParameterSweep)
    assert made(again) == made(sweep)
    assert isinstance(factory_from(FactoryDocument.model_validate({**again.to_dict(), "type": "zip"})), Zip)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$a ${a} $ab", "1 1 $ab"),
        ("out_${a}_$b.dat", "out_1_x=y.dat"),
        ("$$ $5 ${ $a", "$$ $5 ${ 1"),
        ("$HOME", "$HOME"),
    ],
)
def test_parameters_are_put_where_they_are_named(text: str, expected: str) -> None:
    values: dict[str, Any] = {"a": "1", "b": "x=y"}
    assert substituted(text, values) == expected
