"""Ranges of parameters hold their ends, exactly."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskflow.errors import ArgumentsInvalid
from daskflow.execution.commanding.span import span


def test_floats_are_those_that_people_would_write() -> None:
    assert span(0, 0.3, 0.1) == [0.0, 0.1, 0.2, 0.3]
    assert span(1, 0, -0.25) == [1.0, 0.75, 0.5, 0.25, 0.0]
    assert span(1e-9, 3e-9, 1e-9) == [1e-9, 2e-9, 3e-9]


def test_integers_stay_integers() -> None:
    assert span(1, 3) == [1, 2, 3]
    assert all(type(number) is int for number in span(10, 0, -5))
    assert span(10**30, 10**30 + 1) == [10**30, 10**30 + 1]


def test_the_end_is_left_out_where_no_step_leads_there() -> None:
    assert span(0, 1, 0.4) == [0.0, 0.4, 0.8]
    assert span(2, 2) == [2]


@given(st.integers(-1000, 1000), st.integers(0, 200), st.integers(1, 999), st.integers(0, 6))
def test_each_number_is_the_float_of_its_decimal(start: int, count: int, step: int, digits: int) -> None:
    unit = Decimal(1).scaleb(-digits)
    stop = (start + count * step) * unit
    found = span(float(start * unit), float(stop), float(step * unit))
    assert found == [float(Fraction((start + index * step) * unit)) for index in range(count + 1)]


@pytest.mark.parametrize(
    "ends",
    [(0, 1, 0), (0, 1, -1), (0, float("nan"), 1), (0, float("inf"), 1), (0, 1.0, 1e-9), (0, 1e30, 1), (0, 10**40, 1)],
)
def test_what_leads_nowhere_is_refused(ends: tuple[float, float, float]) -> None:
    with pytest.raises(ArgumentsInvalid, match="span"):
        span(*ends)
