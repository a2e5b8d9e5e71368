from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskflow.errors import ArgumentsInvalid
from daskflow.graph.binding import Binder


def plain(a: Any, b: Any = 2, *, c: Any = 3) -> Any:
    return (a, b, c)


def required(a: Any, *, c: Any) -> Any:
    return (a, c)


def variable(a: Any, *rest: Any, c: Any = 3, **more: Any) -> Any:
    return (a, rest, c, more)


def positional(a: Any, b: Any = 2, /, c: Any = 3, **more: Any) -> Any:
    return (a, b, c, more)


def nothing() -> Any:
    return ()


FUNCTIONS: list[Callable[..., Any]] = [plain, required, variable, positional, nothing]


@given(
    function=st.sampled_from(FUNCTIONS),
    args=st.lists(st.integers(), max_size=4),
    kwargs=st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), st.integers(), max_size=3),
)
def test_binding_and_calling_is_calling(function: Callable[..., Any], args: list[int], kwargs: dict[str, int]) -> None:
    binder = Binder(function)
    try:
        expected = function(*args, **kwargs)
    except TypeError:
        with pytest.raises(ArgumentsInvalid, match=rf"{function.__name__}\("):
            binder.bind(tuple(args), kwargs)
        return
    values = binder.bind(tuple(args), kwargs)
    assert len(values) == len(binder.shape.names)
    assert binder.shape.call(function, values) == expected
    assert binder.shape.call(function, values) == expected, "calling uses nothing up"


def test_defaults_are_values_like_others() -> None:
    binder = Binder(plain)
    assert binder.bind((1,), {}) == binder.bind((1, 2), {}) == binder.bind((1,), {"c": 3, "b": 2}) == [1, 2, 3]


def test_a_call_that_does_not_fit_shows_the_signature() -> None:
    with pytest.raises(ArgumentsInvalid) as caught:
        Binder(plain).bind((), {"b": 1})
    assert "plain(a: 'Any', b: 'Any' = 2, *, c: 'Any' = 3) -> 'Any'" in str(caught.value)
    assert "missing a required argument: 'a'" in str(caught.value)
    with pytest.raises(ArgumentsInvalid, match="multiple values for argument 'a'"):
        Binder(plain).bind((1,), {"a": 1})


def test_a_reserved_name_is_refused_when_the_task_is_declared() -> None:
    def f(x: int, when: int) -> None: ...

    with pytest.raises(ArgumentsInvalid, match=r"f\(\) has a parameter 'when', which every call reserves"):
        Binder(f, ("when", "site"))


def test_methods_and_builtins_have_signatures_too() -> None:
    assert Binder("a".join).bind((["b"],), {}) == [["b"]]
    assert Binder(inspect.getdoc).shape.names == ("object",)


def test_a_name_that_is_not_there_is_named_with_the_nearest() -> None:
    def fit(data: Any, period: int = 1) -> Any: ...

    with pytest.raises(ArgumentsInvalid, match=r"it has no parameter 'perod', but 'period'\."):
        Binder(fit).bind((), {"perod": 3})
    with pytest.raises(ArgumentsInvalid, match="no parameter 'zzz'"):
        Binder(fit).bind((1,), {"zzz": 3})


def test_only_plain_functions_are_declared() -> None:
    async def later() -> int:
        return 1

    def several() -> Any:
        yield 1

    for function in (later, several):
        with pytest.raises(ArgumentsInvalid, match="Declare a plain function"):
            Binder(function)
    with pytest.raises(ArgumentsInvalid, match="does not tell its parameters"):
        Binder(time.time)
