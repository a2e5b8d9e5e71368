from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from daskflow.graph.job import Collection, Job
from daskflow.graph.structure import Nest, Slot, fill
from daskflow.graph.template import Template
from tests.graph.projects import task

one, two = task(lambda: 1, name="one")(), task(lambda: 2, name="two")()


def test_each_job_has_one_slot() -> None:
    template = Template()
    made = template.argument({"a": [one, two], "b": (one, one["x"].y)})
    assert isinstance(made, Nest)
    assert made.content == {"a": [Slot(0), Slot(1)], "b": (Slot(0), Slot(0, (("item", "x"), ("attribute", "y"))))}
    assert template.upstream() == (one, two)
    assert template.slot(two) == Slot(1)


def test_arguments_without_jobs_are_copies() -> None:
    template = Template()
    value = [np.zeros(2)]
    made = template.argument(value)
    value[0][0] = 1
    value.append(np.ones(1))
    assert len(made) == 1
    assert made[0].tolist() == [0, 0]
    assert template.upstream() == ()


def test_a_part_alone_is_a_slot() -> None:
    assert Template().argument(one[0]) == Slot(0, (("item", 0),))


def test_each_collection_has_one_slot() -> None:
    a, b = da.ones(2), da.zeros(2)
    template = Template()
    made = template.argument([a, b, a, one, b])
    assert made.content == [Slot(0), Slot(1), Slot(0), Slot(2), Slot(1)]
    upstream: Any = template.upstream()
    assert [type(item) for item in upstream] == [Collection, Collection, Job]
    assert fill(made, ["a", "b", "j"]) == ["a", "b", "a", "j", "b"]


def test_collections_are_not_reached_by_later_changes() -> None:
    array = da.ones(2, chunks=1)
    data = xr.Dataset({"v": ("x", da.ones(2)), "w": ("x", [1.0, 2.0])})
    template = Template()
    template.argument([array, data])
    array[0] = 5
    data["w"][0] = 5
    data["new"] = 1
    kept_array, kept_data = [item.value for item in template.upstream() if isinstance(item, Collection)]
    assert kept_array.compute().tolist() == [1, 1]
    assert kept_data["w"].values.tolist() == [1, 2]
    assert "new" not in kept_data


def test_datasets_in_memory_are_plain_values() -> None:
    template = Template()
    data = xr.Dataset({"v": ("x", [1.0, 2.0])})
    made = template.argument(data)
    data["v"][0] = 5
    assert made["v"].values.tolist() == [1, 2]
    assert template.upstream() == ()
