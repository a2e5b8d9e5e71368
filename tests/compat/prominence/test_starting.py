from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daskflow.compat.prominence import starting
from daskflow.compat.prominence.job import Job
from daskflow.compat.prominence.ledger import Entry
from daskflow.errors import SiteUnknown

Make = Callable[..., Job]


def entry(job: Make, id: str = "a") -> Entry:
    made = Entry("job", id)
    made.write("request", {"document": job("echo hello").to_dict(), "createTime": 1.0})
    return made


def process(one: Entry, name: str, begun: int = 0, since: float | None = None) -> None:
    started = time.time() if since is None else since
    one.write("process", {"site": "local", "name": name, "time": started, "begun": begun})


def test_a_process_of_its_own(here: Path, job: Make) -> None:
    one = entry(job)
    starting.start(one)
    name = one.read("process")["name"]
    assert name == "prominence-job-a"
    batch = starting.services("local")
    assert batch.get(name).wait(120).state == "completed"
    assert starting.look(one)["status"] == "completed"
    assert one.read_bytes("stdout") == b"hello\n"
    assert starting.said(one) == "1|hello\n"
    starting.forget(one)
    assert batch.ls("^prominence-") == []
    assert starting.said(one) == ""


def test_a_site_that_there_is_not(here: Path, job: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(starting.SITE, "moon")
    with pytest.raises(SiteUnknown, match="moon"):
        starting.start(entry(job))


def test_a_process_that_ended_without_a_word(here: Path, job: Make) -> None:
    one = entry(job)
    batch = starting.services("local")
    batch.spawn("echo '1|of the job'; echo why; exit 1", name="gone").wait(60)
    process(one, "gone")
    assert starting.look(one) == {"status": "failed", "statusReason": "Deployment failed", "error": "why"}
    owner, below = Entry("workflow", "w"), Entry("job", "w.0")
    process(owner, "gone")
    assert starting.look(below) == {"status": "failed", "statusReason": "Deployment failed", "error": "why"}
    one.write("deleted", 1.0)
    assert starting.look(one) == {"status": "deleted", "statusReason": "Job deleted by user"}


def test_what_was_never_started(here: Path, job: Make) -> None:
    one = entry(job)
    process(one, "never", since=time.time())
    assert starting.look(one) == {"status": "idle"}
    process(one, "never", since=time.time() - 1000)
    assert starting.look(one)["status"] == "failed"
    starting.stop(one)
    assert starting.said(Entry("job", "nobody")) == ""


def test_what_a_later_process_begins_is_idle_until_it_tells(here: Path, job: Make) -> None:
    one = entry(job)
    one.write("state", {"status": "failed", "begun": 0})
    process(one, "never", begun=1)
    assert starting.look(one) == {"status": "idle"}
    one.write("state", {"status": "running", "begun": 1})
    assert starting.look(one)["status"] == "running"
    one.write("state", {"status": "completed", "begun": 1})
    assert starting.look(one)["status"] == "completed"


@pytest.mark.parametrize(
    ("above", "own", "expected"),
    [
        ({"status": "running"}, None, ("idle", "")),
        ({"status": "running"}, "running", ("running", "")),
        ({"status": "failed", "statusReason": "Job was evicted"}, "running", ("failed", "Job was evicted")),
        ({"status": "failed", "statusReason": "Job was evicted"}, None, ("failed", "Job was evicted")),
        ({"status": "failed"}, None, ("deleted", "A job that it depends on did not complete")),
        ({"status": "deleted"}, "running", ("deleted", "Job part of a workflow which was deleted by user")),
        ({"status": "deleted"}, "completed", ("completed", "")),
    ],
)
def test_a_job_of_a_workflow(here: Path, above: dict[str, Any], own: str | None, expected: tuple[str, str]) -> None:
    owner, one = Entry("workflow", "w"), Entry("job", "w.0")
    process(owner, "never")
    owner.write("state", {**above, "begun": 0})
    if above["status"] in ("failed", "deleted"):
        process(owner, "never", since=1.0)
    if own is not None:
        one.write("state", {"status": own})
    found = starting.look(one)
    assert (found["status"], found.get("statusReason", "")) == expected
