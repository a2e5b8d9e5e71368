"""The command `efficiency`, and what of usage `show` tells."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from daskflow.model.records import AttemptRecord, JobRecord, RunRecord
from daskflow.stores import Database, Journal
from daskflow.views.usage import JOB_COLUMNS, efficiency_command, job_fields, job_row

GIB = 2**30
RUN = "20260314-101502-study-7f3a"


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Journal]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".daskflow").mkdir()
    with Database(tmp_path / ".daskflow" / "journal.db") as database:
        made = Journal(database)
        made.add_run(RunRecord(id=RUN, flow="study", created=1.0))
        yield made


def fill(journal: Journal, count: int) -> None:
    jobs, attempts = [], []
    for number in range(count):
        jobs.append((RUN, number, f"fit-{number}", "fit", "f", "", "[]", "cedar", "succeeded", ""))
        used = (2.0, GIB, "n3", 7, "", "", "", "", 0, 0, "12_0", 1, 2 * GIB, 300)
        attempts.append((number, 1, "succeeded", 10.0, 14.0, *used))
    lost = (0.0, 0, "", 0, "daskflow.errors.WalltimeExceeded", "", "", "", 0, 0, "", 0, 0, 0)
    starved = (0.0, GIB, "n3", 7, "daskflow.errors.OutOfMemory", "", "", "", 0, 0, "12_0", 1, GIB, 0)
    attempts += [(0, 2, "failed", 20.0, 20.0, *lost), (0, 3, "failed", 21.0, 22.0, *starved)]
    journal.add_jobs(jobs)
    journal.add_attempts(RUN, attempts)


def printed(*arguments: str) -> str:
    app = typer.Typer()
    app.command()(efficiency_command)
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_table_and_what_to_ask_for(journal: Journal) -> None:
    fill(journal, 6)
    out = printed()
    for part in ("fit", "4.0 s", "50 %", "1 GiB", "2 GiB"):
        assert part in out
    assert 'fit: Resources(cores=1, memory="2 GiB", walltime="10 s")' in out
    assert "fit: attempts that ended with their workers: 1 WalltimeExceeded" in out
    assert "1 attempts were killed for their memory" in out


def test_too_few_are_told(journal: Journal) -> None:
    fill(journal, 2)
    assert "fit: too few jobs to tell (2 of 5)" in printed(RUN)


def test_a_run_without_jobs(journal: Journal) -> None:
    assert "no jobs" in printed()
    assert json.loads(printed("--json")) == []


def test_the_same_as_json(journal: Journal) -> None:
    fill(journal, 6)
    [found] = json.loads(printed("--json"))
    assert found["seconds"] == {"median": 4.0, "p95": 4.0}
    assert found["memory"] == {"p95": GIB, "max": GIB}
    assert found["efficiency"] == 0.5
    assert found["lost"] == {"WalltimeExceeded": 1}
    assert found["proposal"]["memory"] == 2 * GIB
    assert found["proposal"]["text"] == found["advice"]


def records(**fields: Any) -> tuple[JobRecord, AttemptRecord]:
    job = JobRecord(run=RUN, number=3, key="fit-3", task="fit", fingerprint="f", recipe="")
    given: dict[str, Any] = {
        "run": RUN, "number": 3, "attempt": 1, "state": "succeeded", "start": 10.0, "stop": 14.0, "cpu": 6.0,
        "memory": GIB, "host": "n3", "place": "12_0", "cores": 2, "asked": 2 * GIB,
    }  # fmt: skip
    return job, AttemptRecord(**given | fields)


def test_a_line_of_a_job() -> None:
    job, attempt = records()
    line = dict(zip(JOB_COLUMNS, job_row(job, attempt), strict=True))
    assert line == {
        "number": 3, "task": "fit", "key": "fit-3", "state": "created", "node": "n3", "batch job": "12_0",
        "took": "4.0 s", "CPU": "75 %", "memory": "1 GiB", "of": "2 GiB", "reason": "",
    }  # fmt: skip
    assert len(job_row(job, None)) == len(JOB_COLUMNS)
    assert dict(zip(JOB_COLUMNS, job_row(job, records(asked=0, cores=0)[1]), strict=True))["CPU"] == ""


def test_a_job_as_json() -> None:
    job, attempt = records()
    fields = job_fields(job, attempt)
    assert fields["key"] == "fit-3"
    assert fields["usage"]["place"] == "12_0"
    assert fields["usage"]["seconds"] == 4.0
    assert fields["usage"]["efficiency"] == 0.75
    assert job_fields(job, None)["usage"] is None
