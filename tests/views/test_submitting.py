from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from daskflow.errors import ArgumentsInvalid, BatchSilent, RunBusy
from daskflow.execution.launcher import Order
from daskflow.execution.submitting.driver import STUCK, Driver
from daskflow.model.records import RunRecord
from daskflow.model.states import RunState
from daskflow.settings.options import Settings
from daskflow.sites.batch.system import Phase, Standing
from daskflow.views import submitting
from daskflow.views.submitting import (
    Submit,
    cancel_driver,
    drivers_of,
    queue_for,
    refuse_queued,
    submit,
    tell_submitted,
)
from tests.conftest import Lab
from tests.execution.submitting.fakes import Memory, queue


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Memory:
    """The batch system of every site."""
    made = Memory()
    monkeypatch.setattr(submitting, "batch_of", lambda site, settings: queue(tmp_path, made)[1:])
    return made


def _submit(lab: Lab, **options: Any) -> tuple[RunRecord, Driver]:
    @lab.flow
    def study() -> Any:
        return 1

    wish = Submit(**options)
    line = queue_for(Settings(), wish, "cluster")
    target = "daskflow.examples.imaging:pipeline"
    return submit(
        lab.project, line, wish, lambda: lab.launcher.enter(study, {}, Order(target=target)), config=Path("c.yaml")
    )


def test_options_become_a_batch_job(lab: Lab, system: Memory, capsys: pytest.CaptureFixture[str]) -> None:
    record, driver = _submit(lab, walltime="1 h", cores=2, memory="8 GiB")
    _, ask = system.submitted[0]
    assert (ask.walltime, ask.cores, ask.memory, ask.queue.queue) == (3600.0, 2, 8 << 30, "main")
    tell_submitted(record, driver, as_json=False)
    shown = capsys.readouterr().out
    assert f"Run {record.id}" in shown
    assert "batch job 101 at cluster (pool long)" in shown
    tell_submitted(record, driver, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["id"], told["driver"]["batch"], told["driver"]["stage"]) == (record.id, "101", "queued")
    assert queue_for(Settings(), Submit(at="other"), "cluster").site == "other"


@pytest.mark.usefixtures("system")
@pytest.mark.parametrize("options", [{"walltime": "soon"}, {"memory": "much"}])
def test_what_is_no_amount_is_refused_before_anything_is_recorded(lab: Lab, options: dict[str, str]) -> None:
    with pytest.raises(ArgumentsInvalid, match="does not fit"):
        _submit(lab, **options)
    assert lab.project.journal.runs() == []


def test_a_run_that_is_not_taken_can_be_submitted_later(
    lab: Lab, system: Memory, capsys: pytest.CaptureFixture[str]
) -> None:
    system.silent = True
    with pytest.raises(BatchSilent):
        _submit(lab)
    (record,) = lab.project.journal.runs()
    assert f"daskflow resume {record.id} --submit" in capsys.readouterr().err
    assert record.state is RunState.created


def test_drivers_are_shown_beside_their_runs(lab: Lab, system: Memory, capsys: pytest.CaptureFixture[str]) -> None:
    record, driver = _submit(lab)
    found = drivers_of(lab.project, Settings(), [record])
    assert found.columns == ["driver"]
    assert found.cells(record.id) == ["batch job 101 at cluster waits in the queue: Resources"]
    assert found.cells("another") == [""]
    assert found.fields("another") == {}
    assert found.fields(record.id)["driver"]["standing"] == "waits in the queue: Resources"
    found.show(record.id)
    assert str(driver.folder.log) in capsys.readouterr().out
    found.show_log(record.id)
    assert "has printed nothing yet: batch job 101" in capsys.readouterr().out
    driver.folder.log.write_text("it began\n")
    found.show_log(record.id)
    assert capsys.readouterr().out == "it began\n"
    with pytest.raises(ArgumentsInvalid, match="was no batch job"):
        found.show_log("another")
    system.stands["101"] = Standing("101", Phase.ended, "FAILED")
    drivers_of(lab.project, Settings(), [record]).show(record.id)
    assert f"Submit it anew: daskflow resume {record.id} --submit" in capsys.readouterr().out
    lab.project.event(record.id, STUCK, reason="its walltime is too short")
    lab.project.writer.flush()
    drivers_of(lab.project, Settings(), [record]).show(record.id)
    assert "its walltime is too short" in capsys.readouterr().out
    empty = drivers_of(lab.project, Settings(), [])
    assert (empty.columns, empty.cells(record.id)) == ([], [])


def test_a_run_has_one_driver_at_a_time(lab: Lab, system: Memory) -> None:
    record, _ = _submit(lab)
    with pytest.raises(RunBusy, match="has a driver already: batch job 101"):
        refuse_queued(lab.project, Settings(), record)
    del system.stands["101"]
    refuse_queued(lab.project, Settings(), record)


def test_with_a_run_the_batch_job_of_its_driver_is_cancelled(
    lab: Lab, system: Memory, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    record, _ = _submit(lab)
    cancelled = lab.project.journal.update_run(record.id, state=RunState.cancelled)
    cancel_driver(lab.project, Settings(), cancelled, ended=True)
    assert system.cancelled == ["101"]
    assert "The batch job 101 of its driver is cancelled." in capsys.readouterr().out

    def silent(ids: Any) -> None:
        raise BatchSilent("nobody answers")

    monkeypatch.setattr(system, "cancel", silent)
    cancel_driver(lab.project, Settings(), cancelled, ended=True)
    assert "could not be cancelled: nobody answers" in capsys.readouterr().err


def test_variables_that_set_options_are_handed_on(lab: Lab, system: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASKFLOW_SITE", "cluster")
    monkeypatch.setenv("DASKFLOW_STORAGE__SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("DASKFLOW_BATCH_ID", "7")
    _submit(lab)
    script, _ = system.submitted[0]
    assert "export DASKFLOW_SITE=cluster" in script
    assert "secret" not in script
    assert "DASKFLOW_BATCH_ID" not in script
    assert f"cd {os.getcwd()}" in script
