"""Anything that can leave the process does; what cannot is named."""

from __future__ import annotations

import pickle
import socket
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskflow.artifacts.contents.frames import Buffer
from daskflow.artifacts.forms.pickles import Cloudpickle, Pickle
from daskflow.errors import NotSerialisable

ATOMS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.complex_numbers(), st.text(), st.binary())
PLAIN = st.recursive(
    ATOMS,
    lambda inner: st.one_of(st.lists(inner), st.tuples(inner, inner), st.dictionaries(st.text(), inner)),
)


class Unpicklable:
    def __reduce__(self) -> Any:
        raise ZeroDivisionError("by design")


def joined(buffers: list[Buffer] | None) -> memoryview:
    assert buffers is not None
    return memoryview(b"".join(buffers))


@given(PLAIN)
def test_plain_data(value: object) -> None:
    buffers = Pickle().dump(value) or Cloudpickle().dump(value)
    assert repr(Pickle().load(joined(buffers))) == repr(value)


def test_sets() -> None:
    value = ({1, 2}, frozenset({"a", "b"}))
    assert Pickle().load(joined(Pickle().dump(value))) == value


def test_arrays_within_stay_out_of_band() -> None:
    array = np.arange(1000.0)
    value = {"a": array, "b": [array[:0], Fraction(1, 3)]}
    buffers = Pickle().dump(value)
    assert buffers is not None
    assert any(np.shares_memory(np.frombuffer(part, "u1"), array) for part in buffers if len(part) == array.nbytes)
    data = memoryview(bytearray(joined(buffers)))
    again = Pickle().load(data)
    assert (again["a"] == array).all()
    assert again["b"][1] == Fraction(1, 3)
    assert np.shares_memory(np.frombuffer(data, "u1"), again["a"])


def test_read_only_arrays_stay_read_only() -> None:
    array = np.arange(10)
    array.flags.writeable = False
    again = Pickle().load(memoryview(bytearray(joined(Pickle().dump([array])))))
    assert not again[0].flags.writeable


def test_buffer_with_gaps() -> None:
    class Gappy:
        def __reduce_ex__(self, protocol: Any) -> Any:
            return bytes, (pickle.PickleBuffer(memoryview(bytes(10))[::2]),)

    assert Pickle().dump(Gappy()) is None, "pickle has no form for it"


def test_functions_go_by_value() -> None:
    double = eval("lambda x: 2 * x")
    assert Pickle().dump(double) is None
    assert Cloudpickle().load(joined(Cloudpickle().dump(double)))(4) == 8


def test_class_of_a_script_loads_elsewhere(tmp_path: Path) -> None:
    code = """
        import sys
        from daskflow.artifacts.values import Values
        class Point:
            x = 3
        stored = Values(None).dump([Point()])
        assert stored.format.startswith("cloudpickle#"), stored.format
        open(sys.argv[1], "wb").write(stored.inline)
    """
    script = "\n".join(line[8:] for line in code.splitlines())
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "out")], check=True)
    [point] = Cloudpickle().load(memoryview((tmp_path / "out").read_bytes()))
    assert point.x == 3


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: (i for i in range(3)), "builtins.generator"),
        (threading.Lock, "_thread.lock"),
        (Unpicklable, r"test_pickles\.Unpicklable.*ZeroDivisionError: by design"),
        (lambda: [threading.Lock()], r"builtins\.list.*cannot pickle '_thread.lock' object"),
    ],
)
def test_what_cannot_leave_is_named(make: Any, name: str) -> None:
    value = make()
    assert Pickle().dump(value) is None
    with pytest.raises(NotSerialisable, match=name):
        Cloudpickle().dump(value)


def test_socket_is_named() -> None:
    with socket.socket() as value, pytest.raises(NotSerialisable, match=r"type socket\.socket cannot be"):
        Cloudpickle().dump(value)


def test_deep_nesting_is_named() -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(NotSerialisable, match=r"builtins\.list.*[Rr]ecursion"):
        Cloudpickle().dump(value)
    while value:  # taken apart by hand: the destructor would go as deep
        value = value[0]
