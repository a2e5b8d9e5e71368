from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daskflow.errors import BatchSilent, FitsNowhere, RunBusy, UsageError
from daskflow.execution.launcher import Order
from daskflow.execution.submitting import submission
from daskflow.execution.submitting.driver import Stage, driver_of
from daskflow.execution.submitting.script import TOKEN
from daskflow.execution.submitting.shift import begin
from daskflow.execution.submitting.submission import (
    Wish,
    call_of,
    prepare_again,
    shape_of,
    submit_again,
    submit_driver,
)
from daskflow.model.records import RunRecord
from daskflow.model.states import RunState
from daskflow.sites.batch.system import Ask
from tests.conftest import Lab
from tests.execution.submitting.fakes import GIB, Memory, queue


def test_a_driver_goes_to_the_first_pool_that_holds_it(tmp_path: Path) -> None:
    line = queue(tmp_path, Memory())
    assert shape_of(Wish(), line) == ("short", 1, 4 * GIB, 600.0)
    assert shape_of(Wish(walltime=3600.0), line) == ("long", 1, 4 * GIB, 3600.0)
    assert shape_of(Wish("long", cores=8, memory=GIB), line) == ("long", 8, GIB, 86400.0)
    with pytest.raises(UsageError, match="has no pool 'huge'; it has short, long"):
        shape_of(Wish("huge"), line)
    with pytest.raises(FitsNowhere, match="'short' of the site 'cluster', which lacks 4 cores"):
        shape_of(Wish("short", cores=4), line)


def _recorded(lab: Lab) -> RunRecord:
    @lab.flow
    def study() -> Any:
        return 1

    return lab.launcher.enter(study, {}, Order(target="tests.flows:study"))


def test_the_run_is_recorded_before_its_driver_begins(lab: Lab, tmp_path: Path) -> None:
    system = Memory()
    line = queue(tmp_path, system)
    record = _recorded(lab)
    assert (record.state, record.host, record.pid, record.started) == (RunState.created, "", 0, None)
    assert lab.project.journal.run(record.id).state is RunState.created, "nobody drives it, and it is not interrupted"
    call = call_of(record.id, line.plan, Path("my.yaml"), {"DASKFLOW_SITE": "x"})
    driver = submit_driver(lab.project, record, line, shape_of(Wish(), line), call)
    assert (driver.batch, driver.stage, driver.site) == ("101", Stage.queued, "cluster")
    script, ask = system.submitted[0]
    assert driver.script.read_text() == script
    assert "module load python" in script
    assert "export A='b c'" in script
    assert "export DASKFLOW_SITE=x" in script
    assert f"--config {Path('my.yaml').absolute()}" in script
    assert (ask.name, ask.walltime, ask.warn, ask.requeue, ask.queue.queue) == (record.id, 600.0, 60.0, True, "debug")
    assert ask.log == str(driver.folder.log)
    again = submit_again(lab.project, record, driver, line)
    assert again.batch == "102"
    assert driver.token
    assert again.token not in ("", driver.token)
    assert system.submitted[1][0] == script.replace(driver.token, again.token) == driver.script.read_text()


class _Deaf(Memory):
    """It does not answer for some times; what was made all the same begins at once."""

    def __init__(self, times: int) -> None:
        super().__init__("pbs")
        self.times = times
        self.heard: list[str] = []
        self.begin: Callable[[], None] = lambda: None

    def submit(self, script: str, ask: Ask) -> list[str]:
        self.heard.append(script)
        self.begin()
        if len(self.heard) <= self.times:
            raise BatchSilent("nobody answers")
        return super().submit(script, ask)


def test_a_driver_whose_batch_system_does_not_answer_tries_again(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submission, "_PAUSE", 0.0)
    record, line = _recorded(lab), queue(tmp_path, Memory("pbs"))
    driver = submit_driver(lab.project, record, line, shape_of(Wish(), line), call_of(record.id, line.plan, None, {}))
    deaf = _Deaf(3)
    again = submit_again(lab.project, record, driver, line._replace(system=deaf))
    assert (again.batch, again.stage) == ("101", Stage.queued)
    assert len(deaf.heard) == 4
    assert len(set(deaf.heard)) == 1, "by one and the same token"
    monkeypatch.setattr(submission, "_PAUSE", again.shape.notice)
    with pytest.raises(BatchSilent):
        submit_again(lab.project, record, again, line._replace(system=_Deaf(1)))
    # A person is told at once.
    monkeypatch.setattr(submission, "_PAUSE", 0.0)
    deaf = _Deaf(1)
    wanted = (shape_of(Wish(), line), call_of(record.id, line.plan, None, {}))
    with pytest.raises(BatchSilent):
        submit_driver(lab.project, record, line._replace(system=deaf), *wanted)


def test_of_two_batch_jobs_of_a_submission_the_first_drives(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submission, "_PAUSE", 0.0)
    record, line = _recorded(lab), queue(tmp_path, Memory("pbs"))
    driver = submit_driver(lab.project, record, line, shape_of(Wish(), line), call_of(record.id, line.plan, None, {}))
    deaf = _Deaf(1)

    def first() -> None:
        """The one whose answer is lost begins before the other one is submitted."""
        if len(deaf.heard) == 2:
            monkeypatch.setenv(TOKEN, _token(deaf.heard[0]))
            assert begin(lab.project, record.id, "lost")[1].batch == "lost"

    deaf.begin = first
    again = submit_again(lab.project, record, driver, line._replace(system=deaf))
    assert (again.batch, again.stage) == ("lost", Stage.started)
    for batch in ("101", driver.batch, "another"):
        with pytest.raises(UsageError, match=f"driven by the batch job lost now, and not by {batch}"):
            begin(lab.project, record.id, batch)
    # Its node fails, and it begins anew.
    assert begin(lab.project, record.id, "lost")[1].starts == 1


def _token(script: str) -> str:
    found = re.search(rf"^{TOKEN}=(\w+) ", script, re.MULTILINE)
    assert found is not None
    return found.group(1)


def test_a_run_that_cannot_be_submitted_stays_recorded(lab: Lab, tmp_path: Path) -> None:
    system = Memory()
    system.silent = True
    line = queue(tmp_path, system)
    record = _recorded(lab)
    with pytest.raises(BatchSilent):
        submit_driver(lab.project, record, line, shape_of(Wish(), line), call_of(record.id, line.plan, None, {}))
    assert driver_of(lab.project.journal, lab.project.journal.run(record.id)) is None
    blocked = tmp_path / "file"
    blocked.touch()
    closed = line._replace(plan=line.plan._replace(home=str(blocked)))
    with pytest.raises(UsageError, match="`shared` of the site 'cluster'"):
        submit_driver(lab.project, record, closed, shape_of(Wish(), line), call_of(record.id, line.plan, None, {}))


def test_a_run_that_somebody_drives_is_not_submitted_again(lab: Lab) -> None:
    journal = lab.project.journal

    @lab.flow
    def study() -> Any:
        return 1

    target = "daskflow.examples.imaging:pipeline"
    record = lab.launcher.enter(study, {}, Order(target=target))
    assert prepare_again(lab.project, record.id).state is RunState.interrupted
    journal.update_run(record.id, state=RunState.cancelled)
    assert prepare_again(lab.project, record.id).state is RunState.interrupted, "it is to go on"
    journal.update_run(record.id, state=RunState.running)
    with pytest.raises((UsageError, RunBusy), match="is running"):
        prepare_again(lab.project, record.id)
