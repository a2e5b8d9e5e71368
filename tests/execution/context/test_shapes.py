from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, Field, field_validator

from daskflow.errors import ContextRefused
from daskflow.execution.context.shapes import Shape


class Clean(BaseModel):
    niter: int = Field(default=100, gt=0)


class Pipeline(BaseModel, frozen=True):
    scores: dict[str, float]
    clean: Clean = Clean()
    spws: list[int] = Field(default_factory=lambda: [0])

    @field_validator("spws")
    @classmethod
    def _sorted(cls, value: list[int]) -> list[int]:
        return sorted(value)


class Open(BaseModel, extra="allow"):
    scores: dict[str, float] = {}


def test_values_are_read_as_the_field_says() -> None:
    shape = Shape(Pipeline)
    assert shape.checked("scores", {"spw0": "0.9"}) == {"spw0": 0.9}
    assert shape.checked("clean", {"niter": 5}) == Clean(niter=5)
    assert shape.checked("spws", [2, 1]) == [1, 2]


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("scores", {"spw0": "low"}, r"'scores' does not fit Pipeline: scores.spw0: .*number"),
        ("clean", {"niter": 0}, r"clean.niter: it must be more than 0"),
        ("score", {}, r"Pipeline has no field 'score'. It has: scores, clean, spws"),
        ("", 1, "called by a text"),
        (7, 1, "called by a text"),
    ],
)
def test_what_does_not_fit_is_named(name: Any, value: object, told: str) -> None:
    with pytest.raises(ContextRefused, match=told):
        Shape(Pipeline).checked(name, value)


def test_a_model_may_allow_other_names() -> None:
    shape = Shape(Open)
    assert shape.checked("anything", {1}) == {1}
    with pytest.raises(ContextRefused):
        shape.checked("scores", 3)


def test_defaults_are_not_shared() -> None:
    shape = Shape(Pipeline)
    shape.defaults()["spws"].append(9)
    assert shape.defaults() == {"clean": Clean(), "spws": [0]}
    assert Shape(None).defaults() == {}
