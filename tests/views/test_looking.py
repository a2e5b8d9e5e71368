"""`runs`, `show`, `logs`, `why`, `report`, as processes."""

from __future__ import annotations

from daskflow.model.records import RunRecord
from daskflow.stores import Database, Journal
from tests.views.conftest import Place


def test_runs_are_listed_newest_first(place: Place) -> None:
    place.run("run", "flows.py:study")
    place.run("run", "flows.py:study", "--set", "n=1")
    place.run("run", "flows.py:broken", code=1)
    assert [run["state"] for run in place.json("runs")] == ["failed", "succeeded", "succeeded"]
    assert [run["arguments"]["n"] for run in place.json("runs", "--flow", "study")] == [1, 3]
    assert len(place.json("runs", "--limit", "1")) == 1
    assert "payload" not in place.json("runs")[0]
    assert "n=1, seconds=0.0" in place.run("runs")


def test_show_sums_up(place: Place) -> None:
    place.run("run", "flows.py:study", "--set", "bad=2", code=1)
    out = place.run("show")
    assert "ValueError: no <b>good</b>" in out
    assert "n=3" in out
    assert "job.failed" in out
    found = place.json("show", "last")
    assert found["counts"]["check"] == {"succeeded": 2, "failed": 1}
    assert len(found["failures"]) == 1
    assert {event["kind"] for event in found["events"]} >= {"job.failed", "job.skipped"}


def test_runs_that_a_run_started_stand_below_it(place: Place) -> None:
    place.run("run", "flows.py:study")
    with Database(place.directory / ".daskflow" / "journal.db") as database:
        journal = Journal(database)
        top = journal.run("last").id
        for number, (id, parent) in enumerate([("second", top), ("first", top), ("deep", "second")]):
            journal.add_run(RunRecord(id=id, flow="melt", parent=parent, ordinal=-number, created=1.0 + number))
        journal.add_events([("deep", "qa.low", 1.0, "", "{}")])
        journal.add_run(RunRecord(id="newest", flow="study", created=2e9))
    shown = [line.partition(" melt")[0].partition(" study")[0][1:] for line in place.run("runs").splitlines()]
    assert [line.rstrip() for line in shown[3:] if line.strip()] == ["newest", top, "  first", "  second", "    deep"]
    assert [run["parent"] for run in place.json("runs")] == ["", "", top, top, "second"]
    assert [run["id"] for run in place.json("runs", "--limit", "1")] == ["newest"]
    assert [run["id"] for run in place.json("runs", "--flow", "melt")] == ["deep", "first", "second"]
    assert [run["id"] for run in place.json("show", top)["runs"]] == ["first", "second", "deep"]
    assert "deep" in place.run("show", top, "--events", "qa.*")
    assert [event["run"] for event in place.json("show", top, "--events", "qa.*")["events"]] == ["deep"]


def test_show_selects_jobs_and_events(place: Place) -> None:
    place.run("run", "flows.py:study", "--set", "bad=2", code=1)
    assert [job["task"] for job in place.json("show", "--state", "failed")["jobs"]] == ["check"]
    assert len(place.json("show", "--task", "load")["jobs"]) == 3
    assert {event["kind"] for event in place.json("show", "--events", "job.f*")["events"]} == {"job.failed"}
    assert "load" not in place.run("show", "--task", "check")
    assert "job.skipped" not in place.run("show", "--events", "job.f*")


def test_show_lists_jobs_with_what_they_used(place: Place) -> None:
    place.run("run", "flows.py:study", "--set", "n=1")
    out = place.run("show", "--jobs")
    for part in ("batch job", "load", "scale", "total", "succeeded", "%"):
        assert part in out
    [job] = place.json("show", "--task", "load")["jobs"]
    assert job["usage"]["cores"] == 1
    assert job["usage"]["seconds"] > 0
    assert job["usage"]["memory"] > 0


def test_show_tells_why_jobs_were_skipped(place: Place) -> None:
    place.run("run", "flows.py:study", "--set", "bad=2", code=1)
    [told] = [line for line in place.run("show").splitlines() if line.startswith("total skipped: ")]
    assert "check-" in told
    assert "failed" in told


def test_run_may_be_named_by_the_end_of_its_id(place: Place) -> None:
    run = place.json("run", "flows.py:study")["run"]
    assert run in place.run("show", run[-6:])
    assert "nothing-like-it" in place.error("show", "nothing-like-it")


def test_a_run_that_left_no_logs_says_so(place: Place) -> None:
    place.write("silent.py", "from daskflow import flow\n\n@flow\ndef silent():\n    return 1\n")
    place.run("run", "silent.py:silent")
    assert "No job of the run" in place.run("logs")
    assert place.json("logs") == []


def test_logs_show_what_was_printed_and_tracebacks(place: Place) -> None:
    place.run("run", "flows.py:study", "--set", "bad=2", code=1)
    out = place.run("logs")
    assert "loading 0" in out
    assert "raise ValueError" in out
    assert "the flow prints this" not in out
    assert place.run("logs", "last", "0").splitlines()[1:] == ["loading 0"]
    assert place.json("logs", "last", "0")[0]["text"] == "loading 0\n"
    assert "no job 'nobody'" in place.error("logs", "last", "nobody")


def test_why_names_the_helper_that_was_edited_two_jobs_up(place: Place) -> None:
    place.run("run", "flows.py:study")
    place.write(
        "helpers.py", (place.directory / "helpers.py").read_text().replace("number * FACTOR", "1 + number * FACTOR")
    )
    place.run("run", "flows.py:study")
    out = place.run("why", "last", "total")
    assert "numbers comes from 3 jobs which are not those they were" in out
    assert "(scale -> check -> total)" in out
    assert "scaled changed" in out.split("because of scale-")[1]
    assert out.count("because of") == 1
    steps = place.json("why", "last", "total")
    assert [step["task"] for step in steps if step["root"]] == ["scale"]


def test_why_follows_early_cutoff_too(place: Place) -> None:
    place.run("run", "flows.py:study")
    place.write(
        "helpers.py", (place.directory / "helpers.py").read_text().replace("number * FACTOR", "FACTOR * number")
    )
    place.run("run", "flows.py:study")
    out = place.run("why", "last", "total")
    assert "gave the same results as before" in out
    assert "scaled changed" in out


def test_why_of_the_first_and_of_a_cached_job(place: Place) -> None:
    place.run("run", "flows.py:study")
    assert "no job of the task total ran before" in place.run("why", "last", "total")
    place.run("run", "flows.py:study")
    assert "was not run" in place.run("why", "last", "total")


def test_report_is_written_where_asked(place: Place) -> None:
    run = place.json("run", "flows.py:study")["run"]
    place.run("report", "last", "-o", "out/page.html")
    assert "<h1>study" in (place.directory / "out" / "page.html").read_text()
    assert place.run("report") == f"daskflow-{run}.html\n"
