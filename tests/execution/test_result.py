from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np

from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.values import Values
from daskflow.execution import result as module
from daskflow.execution.result import Missing, Result


def test_a_value_in_memory_is_not_read_again() -> None:
    value = [1, 2]
    found = Result(Values(None).dump(value), Values(None), value)
    assert found.value is value
    assert sys.getsizeof(found) > 200


def test_a_value_at_rest_is_read_each_time() -> None:
    found = Result(Values(None).dump([1, 2]), Values(None))
    assert found.value == [1, 2]
    assert found.value is not found.value
    assert sys.getsizeof(found) < 300


def test_none_is_a_value() -> None:
    assert Result(Values(None).dump(None), Values(None), None).value is None


def test_it_travels_as_its_digest(tmp_path: Path) -> None:
    values = Values(ObjectStore(tmp_path), inline_limit=100)
    data = np.zeros(100_000)
    sent = pickle.dumps(Result(values.dump(data), values, data))
    assert len(sent) < 1000
    found: Result = pickle.loads(sent)
    assert np.array_equal(found.value, data)


def test_large_results_at_rest_do_not_stay_in_memory(tmp_path: Path, monkeypatch: object) -> None:
    values = Values(ObjectStore(tmp_path), inline_limit=100)
    data = np.zeros(module.KEEP // 8 + 1)
    found = Result(values.dump(data), values, data)
    assert found.value is not data
    assert found.value.shape == data.shape


def test_missing_says_who_failed() -> None:
    assert pickle.loads(pickle.dumps(Missing("parse-1", "failed"))) == ("parse-1", "failed")
