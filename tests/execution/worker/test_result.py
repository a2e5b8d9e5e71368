from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.values import Values
from daskflow.execution.worker import result as module
from daskflow.execution.worker.result import Missing, Result


@pytest.mark.parametrize("value", [None, True, 3, 2.5, 1j, "text", b"bytes", (1, ("a", None)), frozenset({1, (2,)})])
def test_a_value_that_nobody_can_change_is_not_read_again(value: Any) -> None:
    found = Result(Values(None).dump(value), Values(None), value)
    assert found.value is value
    assert sys.getsizeof(found) > 200


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}, {1}, (1, [2]), np.arange(3), bytearray(b"x")])
def test_everybody_gets_a_value_of_his_own_that_can_be_changed(value: Any) -> None:
    found = Result(Values(None).dump(value), Values(None), value)
    assert found.value is not value
    assert found.value is not found.value
    assert str(found.value) == str(value)


def test_a_value_at_rest_is_read_each_time() -> None:
    found = Result(Values(None).dump([1, 2]), Values(None))
    assert found.value == [1, 2]
    assert found.value is not found.value
    assert sys.getsizeof(found) < 300


def test_it_travels_as_its_digest(tmp_path: Path) -> None:
    values = Values(ObjectStore(tmp_path), inline_limit=100)
    data = np.zeros(100_000)
    sent = pickle.dumps(Result(values.dump(data), values, data))
    assert len(sent) < 1000
    found: Result = pickle.loads(sent)
    assert np.array_equal(found.value, data)


def test_large_results_at_rest_do_not_stay_in_memory(tmp_path: Path) -> None:
    values = Values(ObjectStore(tmp_path), inline_limit=100)
    data = bytes(module.KEEP + 1)
    found = Result(values.dump(data), values, data)
    assert found.value is not data
    assert found.value == data


def test_missing_says_who_failed() -> None:
    assert pickle.loads(pickle.dumps(Missing("parse-1", "failed"))) == ("parse-1", "failed")
