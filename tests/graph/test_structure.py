from __future__ import annotations

import collections
import dataclasses
import functools
import threading
from typing import Any, NamedTuple

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, PrivateAttr

from daskflow.errors import UsageError
from daskflow.graph.structure import Nest, Slot, fields_of, fill, follow, snapshot, transform
from tests.graph.projects import task


class Pair(NamedTuple):
    a: Any
    b: Any


@dataclasses.dataclass(frozen=True)
class Frozen:
    a: Any
    later: Any = dataclasses.field(init=False)


@dataclasses.dataclass(slots=True)
class Slotted:
    a: Any


class Model(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)
    a: int
    _private: Any = PrivateAttr(default=0)


STRUCTURES = st.recursive(
    st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=2), inner, max_size=3)
        | st.lists(inner, max_size=3).map(collections.deque)
        | st.dictionaries(st.text(max_size=2), inner, max_size=3).map(collections.OrderedDict)
        | st.builds(Pair, inner, inner)
        | st.builds(Slotted, inner)
    ),
)


@given(STRUCTURES)
def test_a_structure_is_copied_as_it_is(value: Any) -> None:
    assert transform(value, lambda leaf: leaf) == value


@given(STRUCTURES, st.integers())
def test_slots_are_filled_wherever_they_stand(value: Any, result: int) -> None:
    template = Nest(transform(value, lambda leaf: Slot(0) if isinstance(leaf, int) else leaf))
    assert fill(template, [result]) == transform(value, lambda leaf: result if isinstance(leaf, int) else leaf)


def test_records_take_what_validation_would_refuse() -> None:
    model = Model.model_validate({"a": 1, "more": [2]})
    model._private = [3]
    made = transform(model, Slot)
    assert (made.a, made.more, made._private) == (Slot(1), [Slot(2)], [Slot(3)])
    assert (model.a, model.more, model._private) == (1, [2], [3])  # type: ignore[attr-defined]
    frozen = transform(Frozen([1]), lambda leaf: leaf + 1)
    assert frozen.a == [2]
    assert not hasattr(frozen, "later")


def test_the_factory_of_a_dictionary_stays() -> None:
    made = transform(collections.defaultdict(list, a=1), lambda leaf: leaf)
    assert made["new"] == []
    assert made["a"] == 1
    assert transform(collections.deque([1], 3), lambda leaf: leaf).maxlen == 3


class Looked:
    @functools.cached_property
    def costly(self) -> int:
        return 1


@dataclasses.dataclass
class LookedRecord(Looked):
    a: int = 1


def test_fields_of_records() -> None:
    record = LookedRecord()
    assert record.costly == 1
    record.more = 2  # type: ignore[attr-defined]
    assert fields_of(record) == {"a": 1, "more": 2}
    assert fields_of(Frozen(1)) == {"a": 1}
    assert fields_of(Model.model_validate({"a": 1, "more": 2})) == {"a": 1, "more": 2, "_private": 0}


class Callable_:  # noqa: N801
    def __init__(self) -> None:
        self.state = [1]

    def __call__(self) -> None: ...


def test_a_snapshot_is_not_reached_by_later_changes() -> None:
    array, data, called = np.zeros(2), xr.Dataset({"v": ("x", [1.0, 2.0])}), Callable_()
    partial = functools.partial(print, [1])
    copies = [snapshot(value) for value in (array, data, called, partial)]
    array[0] = data["v"][0] = 9
    called.state.append(2)
    partial.args[0].append(2)
    assert copies[0].tolist() == [0, 0]
    assert copies[1]["v"].values.tolist() == [1, 2]
    assert copies[2].state == [1]
    assert copies[3].args == ([1],)


def test_code_is_not_copied_and_what_cannot_be_copied_stays() -> None:
    lock = threading.Lock()
    for value in (len, snapshot, Pair, np, lock, 1, "a"):
        assert snapshot(value) is value


def test_a_job_where_nobody_looks_for_it_is_an_error() -> None:
    class Box:
        def __init__(self, inner: Any) -> None:
            self.inner = inner

    with pytest.raises(UsageError, match="Box holds a job, which cannot be found in there"):
        snapshot(Box([task(lambda: 1)()]))


def test_parts_are_followed() -> None:
    assert follow({"a": Pair(1, [2, 3])}, (("item", "a"), ("attribute", "b"), ("item", 1))) == 3
    assert fill(Slot(1, (("item", 0),)), [None, [7]]) == 7
    assert fill([Slot(0)], [1]) == [Slot(0)], "only a nest is looked into"
