"""The expressions of pipelines."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskflow.errors import PipelineInvalid
from daskflow.execution.pipelines.expressions import expression

KNOWN: dict[str, Any] = {
    "pipeline.alpha.status": "success",
    "pipeline.stage-1-a.results.dm": 332.7,
    "pipeline.alpha.results.0": None,
    "success": True,
    "failure": False,
    "matrix.event": 42,
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("pipeline.alpha.status == 'success'", True),
        ('pipeline.alpha.status != "success"', False),
        ("pipeline.stage-1-a.results.dm > 300 and matrix.event == 42", True),
        ("pipeline.stage-1-a.results.dm>300&&matrix.event==41", False),
        ("failure or success", True),
        ("failure || failure", False),
        ("not failure", True),
        ("not not success", True),
        ("!success", False),
        ("failure and failure or success", True),
        ("failure and (failure or success)", False),
        ("not (failure or failure)", True),
        ("not matrix.event == 41", True),
        ("pipeline.alpha.results.0 == null", True),
        ("pipeline.alpha.results.0 < 3", False),
        ("'and' == 'and'", True),
        ("1e3 >= 1000 and -2 < -1.5", True),
        ("true", True),
    ],
)
def test_values(text: str, value: bool) -> None:
    assert expression(text).value(KNOWN.__getitem__) is value


def test_names_are_told_once_each_in_order() -> None:
    assert expression("b.x == 1 or a.y == b.x").names == ("b.x", "a.y")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a ==",
        "a == " + "9" * 5000,
        "== 1",
        "a b",
        "(a",
        "a)",
        "a and",
        "not",
        "1 < 2 < 3",
        "a; b",
        "a == 'x",
        "__import__('os')",
        "a[0]",
        "a.",
        "(" * 1000,
        "a and or b",
        "00",
        "a == 01",
    ],
)
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(PipelineInvalid):
        expression(text)


@given(st.text(alphabet="abn ot()!=<>&|'\".-019${}\\", max_size=40))
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    try:
        found = expression(text)
    except PipelineInvalid:
        return
    found.value(lambda name: 1)


_ATOMS = st.sampled_from([("true", True), ("false", False), ("(1 < 2)", True), ("1 > 2", False)])
_EXPRESSIONS: Any = st.recursive(
    _ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda both: (f"({both[0][0]} and {both[1][0]})", both[0][1] and both[1][1])),
        st.tuples(inner, inner).map(lambda both: (f"({both[0][0]} || {both[1][0]})", both[0][1] or both[1][1])),
        inner.map(lambda one: (f"(not ({one[0]}))", not one[1])),
    ),
    max_leaves=12,
)


@given(_EXPRESSIONS)
def test_expressions_mean_what_they_mean_in_python(case: tuple[str, bool]) -> None:
    text, value = case
    assert bool(expression(text).value(KNOWN.__getitem__)) is value
