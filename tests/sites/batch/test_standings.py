from __future__ import annotations

import time
from pathlib import Path

import pytest

from daskflow.errors import BatchSilent
from daskflow.sites.batch.service import ServiceOrder, ServiceRecord, ServiceStanding, ServiceState
from daskflow.sites.batch.servicefolder import Began, Ended, ServiceFolder
from daskflow.sites.batch.standings import Standings
from daskflow.sites.batch.system import Certificate, Phase, Standing
from tests.sites.batch.roster import Roster


class Stage:
    """Services in a directory, and a clock that tests move."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.system = Roster()
        self.now = 0.0
        self.standings = Standings(self.system, 30.0, clock=lambda: self.now)

    def service(self, name: str, id: str = "", *, created: float | None = None) -> ServiceFolder:
        folder = ServiceFolder(self.home, name)
        order = ServiceOrder.of("true", {})
        created = time.time() if created is None else created
        record = ServiceRecord(name=name, token=name, order=order, pool="p", memory=1, walltime=1.0, created=created)
        assert folder.make(record, b"")
        if id:
            folder.note_id(id)
            self.system.jobs[id] = Standing(id, Phase.pending, "PENDING", "Priority")
        return folder

    def look(self, *, later: float = 30.0) -> ServiceStanding:
        """How the only service stands."""
        self.now += later
        (found,) = self.standings.look(ServiceFolder.all(self.home))
        return found


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def ended(code: int = 0, *, stopped: bool = False, error: str = "") -> Ended:
    return Ended(code, "text" if code else "", error, stopped, 20.0, 100, 0.5)


def test_a_service_goes_its_way(stage: Stage) -> None:
    folder = stage.service("x", "1")
    assert stage.look()[:4] == ("x", ServiceState.pending, "1", "Priority")
    folder.note_began(Began("1", "n1", 10.0))
    found = stage.look(later=0.0)
    assert (found.state, found.node, found.started, found.reason) == (ServiceState.running, "n1", 10.0, "")
    folder.note_ended(ended())
    found = stage.look(later=0.0)
    assert (found.state, found.exit_code, found.memory, found.ended) == (ServiceState.completed, 0, 100, 20.0)
    assert stage.system.questions == 1


def test_a_service_that_failed_says_why(stage: Stage) -> None:
    stage.service("x", "1").note_ended(ended(3, error="CommandFailed"))
    found = stage.look()
    assert (found.state, found.exit_code, found.reason, found.error) == ("failed", 3, "text", "CommandFailed")
    assert stage.system.questions == 0


def test_one_question_serves_all_and_comes_seldom(stage: Stage) -> None:
    folders = [stage.service(f"x{number}", str(number)) for number in range(1, 200)]
    for _ in range(50):
        stage.now += 1.0
        assert len(stage.standings.look(folders)) == 199
    assert stage.system.questions == 2
    stage.standings.look(folders, fresh=True)
    assert stage.system.questions == 3


def test_a_question_for_one_serves_the_others(stage: Stage) -> None:
    folders = [stage.service(name, id) for name, id in (("a", "1"), ("b", "2"))]
    standings = Standings(stage.system, 30.0, lambda: folders, clock=lambda: 0.0)
    standings.look(folders[:1])
    (found,) = standings.look(folders[1:])
    assert (found.reason, stage.system.questions) == ("Priority", 1)


def test_a_service_that_came_after_the_question_is_not_lost(stage: Stage) -> None:
    first = stage.service("a", "1")
    stage.standings.look([first])
    second = stage.service("b", "2")
    assert [one.state for one in stage.standings.look([first, second])] == [ServiceState.pending] * 2


@pytest.mark.parametrize(
    ("error", "state"), [("WalltimeExceeded", "TIMEOUT"), ("OutOfMemory", "OUT_OF_MEMORY"), ("WorkerLost", "FAILED")]
)
def test_what_the_service_could_not_say_its_certificate_does(stage: Stage, error: str, state: str) -> None:
    folder = stage.service("x", "1")
    folder.note_began(Began("1", "n1", 10.0))
    del stage.system.jobs["1"]
    stage.system.ends["1"] = Certificate("1", error, state, None, 9, "n1", 10.0, 30.0)
    found = stage.look()
    assert (found.state, found.error, found.ended) == (ServiceState.failed, error, 30.0)
    assert state in found.reason
    # The batch system forgets it.
    stage.system.ends.clear()
    assert Standings(Roster(), 30.0).look([folder])[0] == found


def test_what_was_told_to_stop_did_not_end_by_itself(stage: Stage) -> None:
    folder = stage.service("x", "1")
    folder.note_ended(ended(143, stopped=True, error="CommandFailed"))
    # Until the batch system says why, it has not ended.
    assert stage.look().state is ServiceState.running
    stage.system.jobs["1"] = stage.system.jobs["1"]._replace(phase=Phase.ended)
    stage.system.ends["1"] = Certificate("1", "WalltimeExceeded", "TIMEOUT")
    found = stage.look()
    assert (found.state, found.error, found.exit_code) == (ServiceState.failed, "WalltimeExceeded", 143)


def test_what_somebody_killed_is_killed_once_it_is_dead(stage: Stage) -> None:
    folder = stage.service("x", "1")
    folder.note_began(Began("1", "n1", 10.0))
    folder.note_killed()
    found = stage.look()
    assert (found.state, found.reason) == (ServiceState.running, "it is being killed")
    folder.note_ended(ended(143, stopped=True, error="CommandFailed"))
    found = stage.look(later=0.0)
    assert (found.state, found.error, found.exit_code) == (ServiceState.killed, "", 143)


def test_what_was_killed_while_it_waited_is_killed(stage: Stage) -> None:
    stage.service("x", "1").note_killed()
    assert stage.look().state is ServiceState.pending
    del stage.system.jobs["1"]
    assert stage.look().state is ServiceState.killed


def test_what_completed_before_it_was_killed_has_completed(stage: Stage) -> None:
    folder = stage.service("x", "1")
    folder.note_ended(ended())
    folder.note_killed()
    assert stage.look().state is ServiceState.completed


def test_what_nobody_knows_of_has_failed(stage: Stage) -> None:
    stage.service("x", "1")
    del stage.system.jobs["1"]
    found = stage.look()
    assert (found.state, found.error) == (ServiceState.failed, "WorkerLost")
    assert "knows nothing" in found.reason


def test_what_was_not_submitted_keeps_its_name_until_it_is_killed(stage: Stage) -> None:
    folder = stage.service("x")
    assert stage.look().reason == "it is being submitted"
    folder.remove("x")
    folder = stage.service("x", created=time.time() - 3600)
    assert "kill it" in stage.look().reason
    folder.note_killed()
    assert stage.look().state is ServiceState.killed
    assert stage.system.questions == 0


def test_what_waits_for_what_will_never_be_is_told(stage: Stage) -> None:
    stage.service("x", "1")
    stage.system.jobs["1"] = Standing("1", Phase.pending, "PENDING", "PartitionTimeLimit", hopeless=True)
    found = stage.look()
    assert (found.state, found.hopeless, found.reason) == (ServiceState.pending, True, "PartitionTimeLimit")


def test_a_batch_system_that_is_silent_hides_nothing_that_is_known(stage: Stage) -> None:
    folder = stage.service("x", "1")
    stage.system.silence = BatchSilent("down")
    assert stage.look().state is ServiceState.pending
    assert stage.standings.silence is stage.system.silence
    folder.note_began(Began("1", "n1", 10.0))
    assert stage.look(later=0.0).state is ServiceState.running
    stage.system.silence = None
    stage.look()
    assert stage.standings.silence is None


def test_a_service_whose_folder_is_gone_is_missing(stage: Stage) -> None:
    folder = stage.service("x", "1")
    folder.remove("x")
    assert stage.standings.look([folder]) == []
