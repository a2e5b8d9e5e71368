from __future__ import annotations

from typing import Any

import pytest

from daskflow.execution.submitting.driver import (
    ANNOUNCED,
    REQUEUED,
    STARTED,
    STUCK,
    SUBMITTED,
    Driver,
    Shape,
    Stage,
    beginning,
    driver_of,
    finished,
)
from daskflow.model.records import RunRecord
from daskflow.model.states import RunState
from tests.conftest import Lab

SHAPE = Shape("short", 1, 1 << 30, 600.0)


def _tell(lab: Lab, kind: str, **data: Any) -> None:
    lab.project.event("r", kind, **data)
    lab.project.writer.flush()


def _submitted(lab: Lab, batch: str, *, kind: str = SUBMITTED, **more: Any) -> None:
    place = {"site": "cluster", "system": "slurm", "home": "/home", "batch": batch}
    _tell(lab, kind, **place, **SHAPE._asdict(), **({"again": False, "steps": 0, "token": ""} | more))


def _found(lab: Lab) -> Driver:
    found = driver_of(lab.project.journal, lab.project.journal.run("r"))
    assert found is not None
    return found


def test_the_events_of_a_run_tell_of_its_driver(lab: Lab) -> None:
    journal = lab.project.journal
    journal.add_run(RunRecord(id="r", flow="f"))
    assert driver_of(journal, journal.run("r")) is None
    _submitted(lab, "7")
    assert _found(lab)[:5] == ("r", "cluster", "slurm", "7", "/home")
    assert (_found(lab).shape, _found(lab).stage, _found(lab).starts) == (SHAPE, Stage.queued, 0)
    _tell(lab, STARTED, batch="7", host="n1", pid=5, start=1)
    assert (_found(lab).stage, _found(lab).starts, _found(lab).node, _found(lab).process) == (Stage.started, 1, "n1", 5)
    journal.update_run("r", state=RunState.interrupted)
    assert _found(lab).stage is Stage.ended
    _tell(lab, REQUEUED, batch="7", steps=4)
    assert (_found(lab).stage, _found(lab).steps) == (Stage.queued, (0, 4)), "it waits for its next start"
    _submitted(lab, "8", again=True, steps=4)
    assert (_found(lab).batch, _found(lab).steps, _found(lab).starts) == ("8", (0, 4), 1)
    _tell(lab, STUCK, reason="too short")
    assert (_found(lab).stage, _found(lab).stuck) == (Stage.ended, "too short")
    _submitted(lab, "9", steps=4)
    assert (_found(lab).stage, _found(lab).steps) == (Stage.queued, (4,)), "a person said so: it counts anew"
    journal.update_run("r", state=RunState.cancelled)
    assert (_found(lab).stage, _found(lab).last) == (Stage.ended, Stage.queued)


def test_a_driver_may_begin_before_its_submission_is_written_down(lab: Lab) -> None:
    journal = lab.project.journal
    journal.add_run(RunRecord(id="r", flow="f"))
    record = journal.run("r")
    _submitted(lab, "", kind=ANNOUNCED, token="a")
    assert driver_of(journal, record) is None, "nobody knows whether it was taken"
    assert beginning(journal, record, "") is None
    found = beginning(journal, record, "a")
    assert found is not None
    assert (found.batch, found.token, found.shape) == ("", "a", SHAPE)
    _tell(lab, STARTED, batch="7", token="a", host="n1", pid=5, start=1)
    assert (_found(lab).batch, _found(lab).stage) == ("7", Stage.started)
    # The answer to the first of two attempts was lost, and its batch job came first.
    _submitted(lab, "8", token="a")
    assert (_found(lab).batch, _found(lab).stage, _found(lab).starts) == ("7", Stage.started, 1)
    _tell(lab, STARTED, batch="8", token="a", host="n2", pid=6, start=1)
    assert (_found(lab).batch, _found(lab).node, _found(lab).starts) == ("7", "n1", 1)
    _tell(lab, REQUEUED, batch="7", steps=0)
    _tell(lab, STARTED, batch="7", token="a", host="n3", pid=7, start=2)
    assert (_found(lab).node, _found(lab).starts) == ("n3", 2), "the same batch job begins as often as it likes"
    _submitted(lab, "", kind=ANNOUNCED, token="b", again=True)
    assert _found(lab).batch == "7", "as long as nothing else is known"
    _submitted(lab, "9", token="b", again=True)
    assert (_found(lab).batch, _found(lab).stage, _found(lab).token) == ("9", Stage.queued, "b")


def test_results_of_a_run_and_of_those_below_are_counted(lab: Lab) -> None:
    @lab.task
    def work(x: int) -> int:
        return 1 // x

    @lab.flow
    def below(x: int) -> Any:
        return work(x)

    @lab.flow
    def study() -> Any:
        return [work(1), below.submit(2), work(1)]

    run = study.submit()
    run.result(60)
    assert finished(lab.project.journal, run.id) >= 2


@pytest.mark.parametrize(("walltime", "notice"), [(60.0, 30.0), (600.0, 60.0), (3600.0, 180.0), (86400.0, 300.0)])
def test_a_driver_stops_in_time(walltime: float, notice: float) -> None:
    assert SHAPE._replace(walltime=walltime).notice == notice
