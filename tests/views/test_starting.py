"""`run`, `resume`, `plan`, `cancel`, `demo`, as processes."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

from tests.views.conftest import Place


def test_run_tells_id_value_and_metrics(place: Place) -> None:
    out = place.run("run", "flows.py:study", "--set", "n=4")
    assert out.splitlines()[0].startswith("Run ")
    assert "succeeded in" in out
    assert "\n12\n" in out
    assert "Jy" in out
    assert "daskflow report last" in out


def test_second_run_is_cached(place: Place) -> None:
    place.run("run", "flows.py:study")
    assert place.json("run", "flows:study")["counts"] == {
        task: {"cached": number} for task, number in {"load": 3, "scale": 3, "check": 3, "total": 1}.items()
    }


def test_json_is_all_that_is_on_standard_output(place: Place) -> None:
    found = place.json("run", "flows.py:study", "--set", "n=2")
    assert found["state"] == "succeeded"
    assert found["value"] == 2
    assert [metric["value"] for metric in found["metrics"]] == [0, 2]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("n=many", "'n'"),
        ("unknown=3", "unknown"),
        ("n", "--set name=value"),
    ],
)
def test_arguments_that_do_not_fit_are_named(place: Place, text: str, told: str) -> None:
    assert told in place.error("run", "flows.py:study", "--set", text)


def test_unknown_site_is_named_and_nothing_is_recorded(place: Place) -> None:
    assert "'moon'" in place.error("run", "flows.py:study", "--site", "moon")
    assert "no journal" in place.error("runs")


def test_failed_run_has_exit_code_1_and_shows_the_traceback(place: Place) -> None:
    error = place.error("run", "flows.py:study", "--set", "bad=2", code=1)
    assert "ValueError: no <b>good</b>" in error
    assert "raise ValueError" in error
    assert "1 were skipped" in error


def test_error_in_the_body_shows_the_users_frames_only(place: Place) -> None:
    error = place.error("run", "flows.py:broken", code=1)
    assert "flows.py" in error
    assert "KeyError: 'missing'" in error
    assert "run.py" not in error


def test_failed_run_as_json(place: Place) -> None:
    found = place.json("run", "flows.py:study", "--set", "bad=2", code=1)
    assert found["state"] == "failed"
    assert "ValueError" in found["error"]


def test_local_site_shows_its_dashboard(place: Place) -> None:
    out = place.run("run", "flows.py:study", "--site", "local", "--set", "seconds=1.5")
    assert "Dashboard of local: http://" in out
    assert "jobs finished" in out
    assert "\n6\n" in out


def test_plan_runs_nothing(place: Place) -> None:
    out = place.run("plan", "flows.py:study", "--set", "n=2")
    assert "7 of 7 jobs would run" in out
    assert place.json("plan", "flows.py:study")["jobs"][0]["state"] == "queued"


def test_plan_names_what_changed(place: Place) -> None:
    place.run("run", "flows.py:study")
    place.write("helpers.py", (place.directory / "helpers.py").read_text().replace("FACTOR = 2", "FACTOR = 3"))
    found = place.json("plan", "flows.py:study")
    states = {job["task"]: job["state"] for job in found["jobs"]}
    assert states == {"load": "cached", "scale": "queued", "check": "queued", "total": "queued"}
    assert any("FACTOR" in job["why"] for job in found["jobs"] if job["task"] == "scale")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_a_run_that_can_be_resumed(place: Place, running: Any, number: signal.Signals) -> None:
    process = running("run", "flows.py:study", "--set", "n=6", "--set", "seconds=2")
    place.until_jobs_ended(2)
    process.send_signal(number)
    out, error = process.communicate(timeout=30)
    assert process.returncode == 3, out + error
    assert "daskflow resume" in error
    assert "Traceback" not in error
    assert place.json("runs")[0]["state"] == "interrupted"
    place.hurry()
    found = place.json("resume", "last")
    assert found["value"] == 30
    assert found["counts"]["load"]["cached"] >= 1
    assert len(place.json("runs")) == 1


def test_second_ctrl_c_ends_at_once(place: Place, running: Any) -> None:
    place.write("stubborn.py", _STUBBORN)
    process = running("run", "stubborn.py:stubborn")
    place.until((place.directory / "asleep").exists)
    process.send_signal(signal.SIGINT)
    place.until((place.directory / "awake").exists)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 3


_STUBBORN = """
import pathlib, time
from daskflow import flow

@flow
def stubborn():
    try:
        pathlib.Path("asleep").touch()
        time.sleep(60)
    finally:
        pathlib.Path("awake").touch()
        time.sleep(60)
"""


def test_cancel_ends_a_run_of_another_process(place: Place, running: Any) -> None:
    process = running("run", "flows.py:study", "--set", "n=100", "--set", "seconds=0.2")
    place.until_jobs_ended(1)
    assert "is cancelled" in place.run("cancel", "last")
    process.communicate(timeout=60)
    assert process.returncode == 3
    assert place.json("runs")[0]["state"] == "cancelled"
    assert "ended already" in place.error("cancel", "last")


def test_a_paused_run_starts_nothing_until_it_goes_on(place: Place, running: Any) -> None:
    process = running("run", "flows.py:study", "--set", "n=6", "--set", "seconds=100", "--json")
    place.until((place.directory / ".daskflow" / "journal.db").exists)
    place.until(lambda: bool(place.json("runs")))
    assert "is paused" in place.run("pause", "last")
    place.until(lambda: bool(place.json("show", "--events", "run.paused")["events"]))
    place.hurry()
    place.until_jobs_ended(1)
    assert place.json("pause", "last")["state"] == "paused"
    # The first job was at work already. Each of the others would have been over in milliseconds.
    assert place.json("show")["counts"]["load"]["succeeded"] == 1
    assert process.poll() is None
    assert "goes on" in place.run("resume", "last")
    out, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    assert json.loads(out)["value"] == 30
    assert "only a run that is performed" in place.error("pause", "last")


def test_cancel_reaches_a_body_that_sleeps(place: Place, running: Any) -> None:
    process = running("run", "flows.py:sleepy")
    place.until((place.directory / ".daskflow" / "journal.db").exists)
    place.until(lambda: bool(place.json("runs")))
    place.run("cancel", "last")
    process.communicate(timeout=60)
    assert process.returncode == 3


def test_resume_after_kill_9(place: Place, running: Any) -> None:
    process = running("run", "flows.py:study", "--set", "n=5", "--set", "seconds=2")
    place.until_jobs_ended(2)
    assert "is running" in place.error("resume", "last")
    process.kill()
    process.wait()
    assert place.json("runs")[0]["state"] == "interrupted"
    place.hurry()
    found = place.json("resume", "last")
    assert found["value"] == 20
    assert found["counts"]["load"]["cached"] >= 1


def test_what_a_changed_flow_calls_no_more_does_not_look_as_if_it_went_on(place: Place, running: Any) -> None:
    process = running("run", "flows.py:study", "--set", "n=3", "--set", "seconds=600")
    place.until(lambda: (place.directory / ".daskflow" / "journal.db").exists() and bool(place.json("runs")))
    place.until(lambda: sum(place.json("show")["counts"].get("load", {}).values()) == 3)
    process.kill()
    process.wait()
    before = place.json("show")
    assert {job["state"] for job in before["jobs"]} <= {"queued", "running"}, "none has ended"
    place.hurry()
    place.write(
        "flows.py", (place.directory / "flows.py").read_text().replace("return number\n", "return number + 0\n")
    )
    again = place.json("resume", "last")
    after = place.json("show")
    assert after["run"]["state"] == "succeeded"
    assert after["counts"] == {
        task: {**states, "cancelled": sum(before["counts"][task].values())} for task, states in again["counts"].items()
    }
    dropped = [job for job in after["jobs"] if job["state"] == "cancelled"]
    assert {job["reason"] for job in dropped} == {"its run was resumed, and did not call it any more"}
    assert [job["number"] for job in dropped] == [job["number"] for job in before["jobs"]]
    again = place.json("resume", "last")
    assert {state for states in again["counts"].values() for state in states} == {"cached"}


def test_resume_of_a_run_that_succeeded_finds_all_cached(place: Place) -> None:
    place.run("run", "flows.py:study")
    assert place.json("resume", "last")["counts"]["total"] == {"cached": 1}


def test_a_cancelled_run_nobody_drives_is_cancelled_at_once(place: Place, running: Any) -> None:
    process = running("run", "flows.py:sleepy")
    place.until((place.directory / ".daskflow" / "journal.db").exists)
    place.until(lambda: bool(place.json("runs")))
    process.kill()
    process.wait()
    place.run("cancel", "last")
    assert place.json("runs")[0]["state"] == "cancelled"
