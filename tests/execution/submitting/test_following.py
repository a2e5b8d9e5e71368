from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from daskflow.errors import SiteUnknown
from daskflow.execution.launcher import Order
from daskflow.execution.submitting.driver import Driver
from daskflow.execution.submitting.following import Following, follow, let_go
from daskflow.execution.submitting.shift import begin
from daskflow.execution.submitting.submission import Wish, call_of, shape_of, submit_driver
from daskflow.model.states import RunState
from daskflow.sites.batch.system import Phase, Standing
from tests.conftest import Lab
from tests.execution.submitting.fakes import Memory, queue


class Desk:
    """Drivers in the queue of one batch system."""

    def __init__(self, lab: Lab, home: Path) -> None:
        self.lab = lab
        self.system = Memory()
        self.line = queue(home, self.system)

    def submit(self) -> Driver:
        @self.lab.flow
        def study() -> Any:
            return 1

        record = self.lab.launcher.enter(study, {}, Order(target="tests.flows:study"))
        call = call_of(record.id, self.line.plan, None, {})
        return submit_driver(self.lab.project, record, self.line, shape_of(Wish(), self.line), call)

    def look(self, *drivers: Driver) -> list[Following]:
        self.lab.project.writer.flush()
        records = [self.lab.project.journal.run(driver.run) for driver in drivers]
        found = follow(self.lab.project.journal, records, lambda site: self.system)
        return [found[driver.run] for driver in drivers]


@pytest.fixture
def desk(lab: Lab, tmp_path: Path) -> Desk:
    return Desk(lab, tmp_path)


def test_a_batch_system_is_asked_once_for_all_that_wait(desk: Desk) -> None:
    first, second, third = desk.submit(), desk.submit(), desk.submit()
    desk.system.stands[second.batch] = Standing(second.batch, Phase.running, "RUNNING", node="n1")
    desk.system.stands[third.batch] = Standing(third.batch, Phase.ended, "CANCELLED")
    found = desk.look(first, second, third)
    assert [one.standing for one in found] == [
        "waits in the queue: Resources",
        "begins on n1",
        "is gone (CANCELLED)",
    ]
    assert [one.waits for one in found] == [True, True, False]
    assert desk.system.asked == 1


def test_of_drivers_that_began_the_journal_tells(desk: Desk) -> None:
    driver = desk.submit()
    begin(desk.lab.project, driver.run, driver.batch)
    (found,) = desk.look(driver)
    assert (found.standing, found.waits, desk.system.asked) == ("", False, 0)


def test_what_is_recorded_is_told_where_nobody_answers(desk: Desk) -> None:
    driver = desk.submit()
    desk.system.silent = True
    (found,) = desk.look(driver)
    assert (found.standing, found.waits) == ("", True)

    def unknown(site: str) -> Any:
        raise SiteUnknown

    journal = desk.lab.project.journal
    assert follow(journal, [journal.run(driver.run)], unknown)[driver.run].standing == ""


def test_the_batch_job_of_a_cancelled_run_is_cancelled_where_it_does_not_end_by_itself(desk: Desk) -> None:
    journal = desk.lab.project.journal

    def cancel(driver: Driver, *, ended: bool) -> str:
        desk.lab.project.writer.flush()
        record = journal.update_run(driver.run, state=RunState.cancelled)
        return let_go(journal, record, lambda site: desk.system, ended=ended)

    waiting, ending, deaf = desk.submit(), desk.submit(), desk.submit()
    begin(desk.lab.project, ending.run, ending.batch)
    begin(desk.lab.project, deaf.run, deaf.batch)
    assert cancel(waiting, ended=True) == waiting.batch
    assert cancel(ending, ended=True) == "", "it has written its end"
    assert cancel(deaf, ended=False) == deaf.batch
    assert desk.system.cancelled == [waiting.batch, deaf.batch]


def test_a_run_whose_driver_was_no_batch_job_has_nothing_to_cancel(desk: Desk) -> None:
    @desk.lab.flow
    def study() -> Any:
        return 1

    record = desk.lab.launcher.enter(study, {}, Order(target="x:y"))
    assert let_go(desk.lab.project.journal, record, lambda site: desk.system, ended=False) == ""
