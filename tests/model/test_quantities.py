from __future__ import annotations

import datetime
from typing import Annotated, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from daskflow.model.quantities import Bytes, Seconds, as_bytes, as_seconds, enough, memory, seconds


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (90, 90.0),
        (1.5, 1.5),
        ("90", 90.0),
        ("90 s", 90.0),
        ("  1.5min ", 90.0),
        ("2 m", 120.0),
        ("2 H", 7200.0),
        ("1 d", 86400.0),
        ("7 days", 604800.0),
        ("250 ms", 0.25),
        (".5 h", 1800.0),
        ("1e-3 s", 0.001),
        ("1E3", 1000.0),
        (1e-7, 1e-7),
        (np.float64(2.5), 2.5),
        (datetime.timedelta(minutes=2), 120.0),
    ],
)
def test_amounts_of_time(value: Any, expected: float) -> None:
    assert seconds(value) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1024, 1024),
        ("8 GiB", 8 * 2**30),
        ("8GB", 8 * 10**9),
        ("512 mib", 512 * 2**20),
        ("512M", 512 * 2**20),
        ("1.5 KB", 1500),
        ("1 TiB", 2**40),
        ("7 b", 7),
    ],
)
def test_amounts_of_memory(value: Any, expected: int) -> None:
    assert memory(value) == expected
    assert type(memory(value)) is int


@pytest.mark.parametrize(
    "value",
    ["", "s", "1 parsec", "1.2.3 s", ".", "-1 s", -1, "1,5 h", "nan", "inf", None, True, [], "1 h 5 min", "1e999"],
)
def test_what_is_no_amount(value: Any) -> None:
    with pytest.raises(ValueError, match="is not an amount of time such as '90 s', '15 min' or '2 h'"):
        seconds(value)
    with pytest.raises(ValueError, match="is not an amount of memory such as '512 MiB' or '8 GB'"):
        memory(value)


def test_no_time_is_negative() -> None:
    with pytest.raises(ValueError, match=r"-5\.0 is not an amount of time"):
        seconds(datetime.timedelta(seconds=-5))
    assert seconds(datetime.timedelta(microseconds=1)) == 1e-6


@pytest.mark.parametrize(
    ("value", "meant"), [(0, "16 GiB"), (16, "16 GiB"), ("16", "16 GiB"), (4000, "4000 MiB"), ("2 MiB", "16 GiB")]
)
def test_memory_whose_unit_was_forgotten(value: Any, meant: str) -> None:
    some = TypeAdapter(Annotated[Bytes, enough(16 << 20)])
    with pytest.raises(ValidationError, match=f"bytes, and less than 16 MiB is too little; write {meant}"):
        some.validate_python(value)
    assert some.validate_python("16 MiB") == 16 << 20


def test_units_of_one_kind_are_none_of_the_other() -> None:
    with pytest.raises(ValueError, match="'8 GiB' is not an amount of time"):
        seconds("8 GiB")
    with pytest.raises(ValueError, match="'2 h' is not an amount of memory"):
        memory("2 h")


def test_fields_of_records() -> None:
    assert TypeAdapter(Seconds).validate_python("2 min") == 120
    assert TypeAdapter(Bytes).validate_python("2 KiB") == 2048
    with pytest.raises(ValidationError, match="amount of time"):
        TypeAdapter(Seconds).validate_python("soon")


@given(st.floats(min_value=0, max_value=1e9))
def test_numbers_are_seconds(value: float) -> None:
    assert seconds(value) == seconds(str(value)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 ms"),
        (0.00123, "1.23 ms"),
        (0.9999, "1000 ms"),
        (1, "1 s"),
        (59.4, "59.4 s"),
        (75, "1 min 15 s"),
        (3599.7, "1 h 0 min"),
        (7500, "2 h 5 min"),
        (90_000, "25 h 0 min"),
    ],
)
def test_time_for_people(value: float, text: str) -> None:
    assert as_seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 B"), (512, "512 B"), (1023, "1023 B"), (1024, "1 KiB"), (3 * 2**30, "3 GiB"), (5000 * 2**40, "5e+03 TiB")],
)
def test_memory_for_people(value: float, text: str) -> None:
    assert as_bytes(value) == text


@given(st.floats(min_value=0, max_value=1e15))
def test_texts_for_people_can_be_read_again(value: float) -> None:
    assert memory(as_bytes(value)) == pytest.approx(value, rel=0.01, abs=1)
