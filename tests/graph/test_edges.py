from __future__ import annotations

import contextlib
import functools
import pathlib
from collections.abc import Iterator
from types import FunctionType
from typing import Any, cast

import pytest

from daskflow.graph.distributions import Owner
from daskflow.graph.edges import decorators_of, reached_by, set_on, wrapped_in
from daskflow.graph.sources import function_tree
from daskflow.graph.watch import Watch
from tests.graph.projects import Project

FILES = {
    "helpers/__init__.py": "",
    "helpers/inner.py": "K = 1\ndef clean(x):\n    return x\n",
    "flows.py": """
        import helpers.inner
        import numpy as np
        K = 1
        def f(x, y=K + 1, *, z=3):
            from helpers.inner import clean
            import scipy.special as sp
            import not_there
            return helpers.inner.clean(x), np.linalg.solve, len(x), K, sp.gamma, undefined
        f.unit = "m"
        @np.vectorize(excluded=[K])
        def g(x):
            return x
    """,
}


@pytest.fixture
def loaded(tmp_path: pathlib.Path) -> Iterator[Any]:
    project = Project(tmp_path).write(FILES)
    yield project.load()
    project.forget()


def test_what_a_function_reaches(loaded: Any) -> None:
    watch = Watch()
    found = {edge.name: edge.value for edge in reached_by(loaded.f, watch)}
    assert found["helpers.inner.clean"] is loaded.helpers.inner.clean
    assert found["np"] is loaded.np
    assert found["K"] == 1
    assert found["import helpers.inner.clean"] is loaded.helpers.inner.clean
    assert isinstance(found["import scipy.special.gamma"], Owner)
    assert found["import not_there"] == "not there"
    assert "len" not in found
    assert watch.seal().unchanged()
    loaded.undefined = 1
    assert not watch.unchanged()


def test_what_is_set_on_a_function(loaded: Any) -> None:
    found = {edge.name: (edge.value, edge.lenient) for edge in set_on(loaded.f)}
    assert found == {"default of y": (2, False), "default of z": (3, False), "attribute unit": ("m", True)}


def test_what_decorators_name(loaded: Any) -> None:
    function = loaded.g.pyfunc
    edges = list(decorators_of(function, function_tree(function), Watch()))
    assert {(edge.name, edge.lenient) for edge in edges} == {("decorator np", True), ("decorator K", True)}
    assert list(decorators_of(function, None, Watch())) == []


def test_what_libraries_wrap() -> None:
    @contextlib.contextmanager
    def manager() -> Iterator[int]:
        yield 1

    @functools.singledispatch
    def general(x: Any) -> int:
        return 1

    found = {edge.name: edge.value for edge in wrapped_in(cast("FunctionType", manager))}
    assert isinstance(found["wrapped"], FunctionType)
    assert found["wrapped"] is found["func"]
    assert [edge.name for edge in wrapped_in(cast("FunctionType", general))] == ["wrapped", "registry"]
