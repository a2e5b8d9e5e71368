"""When schedules are due."""

from __future__ import annotations

import itertools
import sys
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from daskflow.errors import ExtraMissing, PipelineInvalid
from daskflow.execution.pipelines.crontabs import next_due

ZONE = "America/Vancouver"


def at(text: str, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(ZONE), fold=fold).timestamp()


def due(cron: str, after: float, count: int) -> list[float]:
    found = []
    for _ in range(count):
        made = next_due(cron, ZONE, after)
        assert made is not None
        assert made > after
        found.append(made)
        after = made
    return found


def test_a_time_is_that_of_its_zone() -> None:
    assert due("30 4 * * 0", at("2026-11-18T12:00"), 2) == [at("2026-11-22T04:30"), at("2026-11-29T04:30")]


def test_a_time_that_clocks_pass_over_is_due_once_after_the_gap() -> None:
    # On 2026-03-08 02:00 was followed by 03:00.
    assert due("30 2 * * *", at("2026-03-07T12:00"), 2) == [at("2026-03-08T03:00"), at("2026-03-09T02:30")]


def test_a_time_that_comes_twice_is_due_once() -> None:
    # On 2026-11-01 01:59 was followed by 01:00.
    found = due("30 1 * * *", at("2026-10-31T12:00"), 2)
    assert found == [at("2026-11-01T01:30"), at("2026-11-02T01:30")]


def test_each_quarter_of_an_hour_goes_by_the_time_that_passes() -> None:
    found = due("*/15 * * * *", at("2026-11-01T00:50"), 10)
    assert {round(b - a) for a, b in itertools.pairwise(found)} == {900}


def test_a_day_that_comes_rarely_is_found_and_one_that_never_comes_is_not() -> None:
    assert next_due("0 0 29 2 *", "UTC", at("2026-03-01T00:00")) is not None
    with pytest.raises(PipelineInvalid, match="crontab"):
        next_due("0 0 31 4 *", "UTC", 0.0)
    # The first day of a month is never its fifth Monday.
    assert next_due("0 0 */31 * MON#5", "UTC", 0.0) is None


@pytest.mark.parametrize(
    ("name", "fields"),
    [("@hourly", "0 * * * *"), ("@daily", "0 0 * * *"), ("@weekly", "0 0 * * SUN"), ("@yearly", "0 0 1 JAN *")],
)
def test_some_times_have_names(name: str, fields: str) -> None:
    after = at("2026-11-18T12:34")
    assert due(name, after, 3) == due(fields, after, 3)


@pytest.mark.parametrize(
    "cron", ["", "* * * *", "* * * * * *", "61 * * * *", "a b c d e", "@reboot", "@daily 5", "* * * * 1-"]
)
def test_what_is_no_line_of_a_crontab_is_refused(cron: str) -> None:
    with pytest.raises(PipelineInvalid, match="crontab"):
        next_due(cron, "UTC", 0.0)


@pytest.mark.parametrize("zone", ["Moon/Sea", "", "../../etc/passwd", "/etc/localtime", "a" * 300])
def test_what_is_no_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(PipelineInvalid, match="time zone"):
        next_due("* * * * *", zone, 0.0)


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cronsim", None)
    with pytest.raises(ExtraMissing, match=r"daskflow\[schedule\]"):
        next_due("* * * * *", "UTC", 0.0)
