from __future__ import annotations

from types import CellType, FunctionType
from typing import Any, cast

from daskflow.graph.watch import LARGE, Watch


def test_names_of_a_module() -> None:
    space: dict[str, Any] = {"a": [], "b": 1}
    watch = Watch()
    watch.name(space, "a")
    watch.name(space, "absent")
    watch.seal()
    assert watch.unchanged()
    space["b"] = 2
    assert watch.unchanged()
    kept, space["a"] = space["a"], []
    assert not watch.unchanged()
    space["a"] = kept
    assert watch.unchanged()
    space["absent"] = None
    assert not watch.unchanged()
    del space["absent"], space["a"]
    assert not watch.unchanged()


def test_several_namespaces_with_equal_names() -> None:
    one, other = {"a": 1}, {"a": 1}
    watch = Watch()
    watch.name(one, "a")
    watch.name(other, "a")
    watch.seal()
    assert watch.unchanged()
    other["a"] = 2
    assert not watch.unchanged()


def test_classes() -> None:
    class C:
        n = 1

    watch = Watch()
    watch.members(C)
    watch.seal()
    assert watch.unchanged()
    C.n = 2
    assert not watch.unchanged()
    C.n = 1
    assert watch.unchanged()
    C.more = 1  # type: ignore[attr-defined]
    assert not watch.unchanged()


def test_cells_and_functions() -> None:
    cell = CellType(1)

    def f() -> int:
        return 1

    watch = Watch()
    watch.cell(cell)
    watch.function(cast("FunctionType", f))
    watch.seal()
    assert watch.unchanged()
    cell.cell_contents = 2
    assert not watch.unchanged()
    cell.cell_contents = 1
    assert watch.unchanged()
    del cell.cell_contents
    assert not watch.unchanged()
    cell.cell_contents = 1
    f.__code__ = (lambda: 2).__code__
    assert not watch.unchanged()


def test_values() -> None:
    value = [1]
    watch = Watch()
    watch.value(value, str)
    watch.seal()
    assert watch.unchanged()
    value.append(2)
    assert not watch.unchanged()
    watch = Watch()
    watch.value(value, str)
    watch.value(value, lambda found: f"{1 / found[0]}")
    watch.seal()
    value[0] = 0
    assert not watch.unchanged(), "a value without a text is another one"


def test_large_arrays_are_looked_at_once() -> None:
    class Large:
        nbytes = LARGE + 1

    def text(value: Any) -> str:
        raise AssertionError

    watch = Watch()
    watch.value(Large(), text)
    assert watch.seal().unchanged()


def test_nothing_watched_is_never_changed() -> None:
    assert Watch().seal().unchanged()
