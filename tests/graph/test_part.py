from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import dask
import numpy as np
import pytest

from daskflow.errors import UsageError
from daskflow.graph.job import Job
from daskflow.graph.part import job_of, part_of, slot_of
from daskflow.graph.structure import Slot
from tests.graph.projects import task


def identity(x: Any) -> Any:
    return x


def add(x: Any, y: Any = 0) -> Any:
    return x + y


same, plus, summed = task(identity), task(add), task(sum)


@dataclasses.dataclass
class Record:
    value: Any


class Awkward(NamedTuple):
    """A result whose fields have names that handles like to use for themselves."""

    slot: int
    job: int
    of: int


def compute(job: Job) -> Any:
    return dask.compute(job, scheduler="synchronous")[0]


def test_parts_of_results() -> None:
    job = same({"a": Record([1, (2, 3)]), "n": np.arange(4)})
    assert compute(plus(job["a"].value[1][0], 1)) == 3
    assert compute(plus(job.output["a"].value[0], 1)) == 2
    assert compute(summed(job["n"][1:3])) == 3
    assert compute(same([job["a"].value, 5])) == [[1, (2, 3)], 5]
    assert repr(job["a"].value[1]) == f"<Part {job.key}['a'].value[1]>"
    assert job["n"][np.int64(2)].key_text() == job["n"][2].key_text()
    assert type(compute(same(job["n"][2]))) is np.int64


@pytest.mark.parametrize("item", [object(), [1], {"a": 1}, 1.5j.__add__])
def test_parts_are_taken_by_plain_items(item: Any) -> None:
    for taken_of in (plus(1), plus(1).output.x):
        with pytest.raises(UsageError, match="taken by numbers, text, tuples and slices"):
            taken_of[item]


def test_a_job_is_no_index_of_another() -> None:
    with pytest.raises(UsageError, match="not by a Job"):
        plus(1)[plus(2)]


def test_fields_of_any_name_can_be_reached() -> None:
    job = same(Awkward(1, 2, 3))
    assert [compute(same(part)) for part in (job.output.slot, job.output.job, job.output.of)] == [1, 2, 3]


def test_what_a_part_is_made_of() -> None:
    job = plus(1)
    part = job["a"].b
    assert job_of(part) is job
    assert slot_of(part, 3) == Slot(3, (("item", "a"), ("attribute", "b")))
    assert part_of(job["a"].value, {"a": Record(5)}) == 5
