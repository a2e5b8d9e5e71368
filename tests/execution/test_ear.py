from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from typing import Any

from daskflow.execution.ear import Ear
from daskflow.execution.observer import Observer
from daskflow.model.states import JobState
from tests.conftest import Lab
from tests.execution.handmade import ended, job
from tests.execution.test_roster import Desk


class Office:
    """An ear whose engine does what is posted when the test says so."""

    def __init__(self, lab: Lab) -> None:
        self.one = job("fit-1")
        self.desk = Desk(self.one)
        self.desk.go()
        self.posted: list[Callable[[], None]] = []
        self.errors: list[Exception] = []
        lock = threading.Condition(threading.RLock())
        self.ear = Ear(
            self.desk.roster,
            Observer(lab.project, self.desk.roster, lock),
            self.desk.roster._book,
            lock,
            post=self.posted.append,
            on_fail=self.errors.append,
        )

    def work(self) -> None:
        while self.posted:
            self.posted.pop(0)()


def test_records_are_taken_in_the_thread_of_the_engine(lab: Lab) -> None:
    office = Office(lab)
    office.ear.performed([pickle.dumps([ended(office.one)])])
    assert not office.one.state.final
    office.work()
    assert office.one.state.good


def test_a_lost_node_ends_its_job(lab: Lab) -> None:
    office = Office(lab)
    office.ear.lost(office.desk.node(office.one), "NodeFailure: it burnt", office.one.key)
    office.work()
    assert office.one.state is JobState.failed
    record: Any = office.one.record
    assert record.failure.type == "daskflow.errors.NodeFailure"


def test_what_happened_to_a_site_is_an_event_of_the_run(lab: Lab) -> None:
    office = Office(lab)
    office.ear.tell("pilot.arrived", '{"id": "17"}')
    office.work()
    (event,) = [row for row in office.desk.writer.rows["events"] if row[1] == "pilot.arrived"]
    assert event[3:] == ("", '{"id": "17"}')
    office.ear.fail(RuntimeError("gone"))
    assert [str(error) for error in office.errors] == ["gone"]
