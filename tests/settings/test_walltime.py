"""Walltimes as people and batch systems write them."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskflow.errors import SettingsInvalid
from daskflow.settings.options import load
from daskflow.settings.walltime import walltime


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1 h 30 min", 5400),
        ("1h30min", 5400),
        ("2 days, 3 h", 183600),
        ("90 s", 90),
        ("1.5 h", 5400),
        ("00:30:00", 1800),
        ("1:02:03", 3723),
        ("36:00:00", 129600),
        ("1-00:00:00", 86400),
        (" 2-12:30:01 ", 217801),
        (90.0, 90),
        (datetime.timedelta(hours=1), 3600),
    ],
)
def test_what_is_read(text: Any, seconds: float) -> None:
    assert walltime(text) == seconds


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (90, "90 has no unit, or YAML made it of a time such as 1:30 without quotes"),
        ("00:30", "'00:30' may mean hours and minutes, or minutes and seconds"),
        ("1-12", "'1-12' may mean"),
        ("00:61:00", "is not a walltime"),
        ("long", "'long' is not a walltime"),
        ("1 h or so", "is not a walltime"),
        ("1 fortnight", "'1 fortnight' is not an amount of time"),
        ("", "is not a walltime"),
        ("90", "'90' is not a walltime"),
        ("0 s", "more than nothing"),
        (float("inf"), "has an end"),
        (float("nan"), "more than nothing"),
        ("1..5 h", "'1..5 h' is not an amount of time"),
    ],
)
def test_what_is_refused(value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        walltime(value)
    assert message in str(caught.value)


@given(st.integers(min_value=1, max_value=10**7))
def test_clocks_come_back(seconds: int) -> None:
    days, rest = divmod(seconds, 86400)
    clock = f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    assert walltime(f"{days}-{clock}") == seconds
    assert walltime(f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}") == seconds


@pytest.mark.parametrize(
    ("text", "seconds"), [("1-00:00:00", 86400), ("00:30:00", 1800), ('"1:30:00"', 5400), ("2 h", 7200)]
)
def test_in_a_file(here: Path, text: str, seconds: float) -> None:
    (here / "daskflow.yaml").write_text(f"sites:\n  s: {{kind: slurm, cores: 1, memory: 1 GiB, walltime: {text}}}\n")
    assert load().sites["s"].walltime == seconds


@pytest.mark.parametrize("text", ["1:30:00", "1:30", "00:30", "30"])
def test_what_a_file_says_in_two_ways_is_refused(here: Path, text: str) -> None:
    (here / "daskflow.yaml").write_text(f"sites:\n  s: {{kind: slurm, cores: 1, memory: 1 GiB, walltime: {text}}}\n")
    with pytest.raises(SettingsInvalid, match=r"The option 'sites\.s\.walltime' does not fit.*in quotes"):
        load()
