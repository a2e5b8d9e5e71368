"""Times, sizes and values are short and readable."""

from __future__ import annotations

import re

import pytest

from daskflow.views.units import duration, moment, number, shortened, size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 µs"),
        (2e-5, "20 µs"),
        (0.9996, "1.0 s"),
        (59.94, "59.9 s"),
        (3599, "59 min 59 s"),
        (90000, "1 d 1 h"),
        (None, ""),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_sizes_have_binary_units() -> None:
    assert [size(value) for value in (1, 1000, 2**20, 3 * 2**30, 5 * 2**40)] == [
        "1 B",
        "0.977 KiB",
        "1 MiB",
        "3 GiB",
        "5 TiB",
    ]


def test_moment_is_date_and_time() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", moment(1e9))
    assert moment(None) == ""


def test_numbers_that_json_does_not_have_stay_text() -> None:
    assert number("inf") == "inf"


def test_long_values_are_cut() -> None:
    text = shortened({"list": list(range(10_000)), "text": "x" * 10_000})
    assert len(text) < 2000
    assert len(shortened("line\n" * 500).splitlines()) <= 21
