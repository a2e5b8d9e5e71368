from __future__ import annotations

import math
from typing import Any

import pytest

from daskflow.model.records import EventRecord, ReportRecord
from daskflow.stores import Database, Journal, reports
from tests.stores.samples import RUN, Row, job_row, run_record


def report(key: str, ordinal: int, title: str = "chisq", data: object = '{"value": 3.2}') -> Row:
    return (key, ordinal, "metric", title, data, None, "fit", 5.0)


def test_reports_stand_in_the_order_of_the_jobs(journal: Journal) -> None:
    journal.add_jobs([job_row(0, "z"), job_row(1, "a"), job_row(2, "z")])
    journal.add_reports([report("a", 1), report("a", 0), report("z", 0), report("foreign", 0)])
    assert [(item.key, item.ordinal) for item in journal.reports(RUN)] == [("z", 0), ("a", 0), ("a", 1)]


def test_a_report_comes_back_as_it_was(journal: Journal) -> None:
    journal.add_jobs([job_row(0, "a")])
    journal.add_reports([("a", 0, "image", "map", {"width": 3}, b"png", "fit", 5.0)])
    assert journal.reports(RUN) == [
        ReportRecord(
            key="a",
            ordinal=0,
            kind="image",
            title="map",
            data={"width": 3},
            content=b"png",
            task="fit",
            time=5.0,
        )
    ]


def test_a_later_report_takes_the_place_of_an_earlier_one(journal: Journal) -> None:
    journal.add_jobs([job_row(0, "a")])
    journal.add_reports([report("a", 0)])
    journal.add_reports([report("a", 0, "better", {"value": math.inf})])
    assert [(item.title, item.data) for item in journal.reports(RUN)] == [("better", {"value": math.inf})]


def test_a_job_that_was_cached_has_the_reports_of_who_made_it(journal: Journal) -> None:
    journal.add_jobs([job_row(0, "a"), job_row(0, "a", run="later", state="cached")])
    journal.add_reports([report("a", 0)])
    assert len(journal.reports("later")) == 1


@pytest.fixture
def eventful(journal: Journal) -> Journal:
    kinds = ["job.failed", "job.lost", "qa.import.low", "JOB.failed", "job_failed"]
    journal.add_events([(RUN, kind, float(time), f"key{time}", {"n": time}) for time, kind in enumerate(kinds)])
    journal.add_events([("another run", "job.failed", 1.0, "", "{}")])
    return journal


@pytest.mark.parametrize(
    ("pattern", "times"),
    [
        ("*", [0, 1, 2, 3, 4]),
        ("job.*", [0, 1]),
        ("job.failed", [0]),
        ("job?failed", [0, 4]),
        ("*.low", [2]),
        ("[jq]*.l*", [1, 2]),
        ("nothing", []),
        ("%", []),
    ],
)
def test_events_by_pattern(eventful: Journal, pattern: str, times: list[int]) -> None:
    assert [event.time for event in eventful.events(RUN, pattern)] == times


def test_an_event_comes_back_as_it_was(eventful: Journal) -> None:
    assert eventful.events(RUN, "*.low") == [
        EventRecord(run=RUN, kind="qa.import.low", time=2.0, key="key2", data={"n": 2})
    ]


def test_events_after_a_time(eventful: Journal) -> None:
    assert [event.time for event in eventful.events(RUN, after=2)] == [3, 4]


def test_events_of_a_tree_of_runs(eventful: Journal) -> None:
    for record in (run_record(), run_record("another run", parent=RUN)):
        eventful.add_run(record)
    found = eventful.events(RUN, "job.failed", tree=True)
    assert [(event.run, event.time) for event in found] == [(RUN, 0), ("another run", 1)]


@pytest.mark.parametrize("pattern", ["*", "job.*", "[jq]*", "nothing", "[n]othing"])
def test_the_first_events_only(eventful: Journal, pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    every, asked = eventful.events_since(RUN, 0, pattern), list[int]()
    rows = Database.rows

    def counted(database: Database, name: str, /, **given: Any) -> list[Row]:
        found = rows(database, name, **given)
        if name == "events":
            asked.append(len(found))
        return found

    monkeypatch.setattr(Database, "rows", counted)
    monkeypatch.setattr(reports, "_PAGE", 2)
    for most in (1, 2, 3, 100):
        asked.clear()
        assert eventful.events_since(RUN, 0, pattern, most=most) == every[:most]
        # Not all are read to give the first ones.
        assert max(asked) <= max(most, 2)
        assert pattern != "*" or asked == [min(most, 5)]
    assert len(every) == {"*": 5, "job.*": 2, "[jq]*": 4}.get(pattern, 0)


def test_following_misses_and_repeats_none(eventful: Journal) -> None:
    first = eventful.events_since(RUN)
    assert len(first) == 5
    # Of the same time as one before.
    eventful.add_events([(RUN, "late", 1.0, "", "{}")])
    assert [event.kind for _, event in eventful.events_since(RUN, first[-1][0])] == ["late"]
    assert eventful.events_since(RUN, first[-1][0] + 100) == []
