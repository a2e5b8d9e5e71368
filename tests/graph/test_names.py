from __future__ import annotations

import dataclasses
import os.path
from typing import Any

from daskflow.graph.names import Import, codes_of, names_of

K = 1
np: Any = None


def test_globals_with_the_attributes_taken_of_them() -> None:
    def f(x: Any) -> Any:
        return np.linalg.solve(x) + x.K + os.path.join(str(K))

    assert names_of(f.__code__).globals == {("np", "linalg", "solve"), ("os", "path", "join"), ("K",), ("str",)}


def test_local_names_are_none() -> None:
    def f(np: Any, x: Any) -> Any:
        dataclasses = np.sin(x)
        if os := x:
            x = [np(dataclasses) for dataclasses in x]
        return x, lambda np: np.a + dataclasses, os

    assert names_of(f.__code__).globals == frozenset()


def test_inner_functions_and_classes_take_for_the_outer_one() -> None:
    def f() -> Any:
        def g() -> Any:
            return K

        class C:
            n = dataclasses.field

            def m(self) -> Any:
                return super().__init__()

        return g, C

    assert {("K",), ("dataclasses", "field")} <= names_of(f.__code__).globals
    assert len(list(codes_of(f.__code__))) == 4


def test_where_code_lies_is_no_name() -> None:
    def f() -> Any:
        return __name__, __file__

    assert names_of(f.__code__).globals == frozenset()


def test_variables_of_enclosing_functions() -> None:
    lib: Any = None

    def f() -> Any:
        return lib.sub.call(), [lib.other for _ in range(2)]

    assert {("lib", "sub", "call"), ("lib", "other")} <= names_of(f.__code__).free


def imports_of(source: str) -> set[Import]:
    space: dict[str, Any] = {}
    exec(source, space)
    return set(names_of(space["f"].__code__).imports)


def test_imports() -> None:
    assert imports_of("def f():\n    import a\n    return a.b.c(a.d)") == {
        Import(0, "a", ("b", "c")),
        Import(0, "a", ("d",)),
    }
    assert imports_of("def f():\n    import a.b.c\n    return a.b.c.d()") == {
        Import(0, "a.b.c", ()),
        Import(0, "a", ("b", "c", "d")),
    }
    assert imports_of("def f():\n    import a.b.c as d\n    return d.e") == {Import(0, "a.b.c", ("e",))}
    assert imports_of("def f():\n    from a.b import c, d as e\n    return c") == {
        Import(0, "a.b", ("c",)),
        Import(0, "a.b", ("d",)),
    }
    assert imports_of("def f():\n    from ..a import b\n    from . import c") == {
        Import(2, "a", ("b",)),
        Import(1, "", ("c",)),
    }


def test_an_import_that_an_inner_function_uses() -> None:
    source = "def f():\n    import a\n    def g():\n        return a.b\n    return [a.c for _ in g()]"
    assert {Import(0, "a", ("b",)), Import(0, "a", ("c",))} <= imports_of(source)


def test_an_import_that_nobody_uses_or_that_is_passed_on_counts_as_a_whole() -> None:
    assert imports_of("def f():\n    import a") == {Import(0, "a", ())}
    assert imports_of("def f():\n    import a\n    return a") == {Import(0, "a", ())}
    assert imports_of("def f():\n    global a\n    import a\n    return a.b") == {Import(0, "a", ("b",))}
