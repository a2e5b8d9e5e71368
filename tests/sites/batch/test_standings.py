from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from daskflow.errors import BatchSilent
from daskflow.sites.batch.service import ServiceOrder, ServiceRecord, ServiceStanding, ServiceState
from daskflow.sites.batch.servicefolder import Began, Ended, Missed, ServiceFolder
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
        (found,) = self.look_at_all(later=later)
        return found

    def look_at_all(self, *, later: float = 30.0) -> list[ServiceStanding]:
        """How all services stand."""
        self.now += later
        return self.standings.look(ServiceFolder.all(self.home))

    def missed(self, folder: ServiceFolder, since: float) -> None:
        """Have a service be missed for so long [s]."""
        assert folder.missed() is not None
        folder.note_missed(Missed(folder.id(), time.time() - since))


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def ended(code: int = 0, *, stopped: bool = False, error: str = "") -> Ended:
    return Ended(code, "text" if code else "", error, stopped, 20.0, 100, 0.5)


def test_a_service_goes_its_way(stage: Stage) -> None:
    folder = stage.service("x", "1")
    assert stage.look()[:4] == ("x", ServiceState.pending, "1", "Priority")
    folder.begin(Began("1", "n1", 10.0))
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
    folder.begin(Began("1", "n1", 10.0))
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
    folder.begin(Began("1", "n1", 10.0))
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


@pytest.mark.parametrize("begun", [True, False])
def test_what_nobody_knows_of_for_a_while_has_failed(stage: Stage, begun: bool) -> None:
    folder = stage.service("x", "1")
    if begun:
        folder.begin(Began("1", "n1", 10.0))
    del stage.system.jobs["1"]
    found = stage.look()
    assert (found.state, found.error) == ("running" if begun else "pending", "")
    assert "has left" in found.reason
    stage.missed(folder, 80.0)
    assert stage.look().living
    stage.missed(folder, 100.0)
    found = stage.look()
    assert (found.state, found.error) == (ServiceState.failed, "WorkerLost")
    assert "knows nothing" in found.reason


def test_how_long_something_is_missed_is_known_to_all_processes(stage: Stage) -> None:
    folder = stage.service("x", "1")
    del stage.system.jobs["1"]
    for _ in range(2):
        assert Standings(stage.system, 30.0).look([folder])[0].living
    stage.missed(folder, 100.0)
    assert Standings(stage.system, 30.0).look([folder])[0].state is ServiceState.failed


def test_what_is_there_again_is_not_missed(stage: Stage) -> None:
    folder = stage.service("x", "1")
    job = stage.system.jobs.pop("1")
    stage.look()
    stage.missed(folder, 100.0)
    stage.system.jobs["1"] = job
    assert stage.look().reason == "Priority"
    del stage.system.jobs["1"]
    assert stage.look().living


@pytest.mark.parametrize("after", [0.0, 100.0])
def test_word_of_an_end_that_comes_late_counts(stage: Stage, after: float) -> None:
    noted, recorded = stage.service("noted", "1"), stage.service("recorded", "2")
    stage.system.jobs.clear()
    stage.look_at_all()
    for folder in (noted, recorded):
        stage.missed(folder, after)
    states = {one.state for one in stage.look_at_all()}
    assert states == {ServiceState.failed if after else ServiceState.pending}
    noted.note_ended(ended())
    stage.system.ends["2"] = Certificate("2", "WalltimeExceeded", "TIMEOUT")
    assert [(one.state, one.error) for one in stage.look_at_all()] == [
        (ServiceState.completed, ""),
        (ServiceState.failed, "WalltimeExceeded"),
    ]


def test_notes_are_seen_on_a_file_server_that_tells_late(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = stage.service("x", "1")
    missing: set[Path] = set()
    read, listed = Path.read_bytes, os.listdir

    def read_late(path: Path) -> bytes:
        """Go on with names that were missing, as such a server lets its clients do."""
        if path in missing or not path.exists():
            missing.add(path)
            raise FileNotFoundError(path)
        return read(path)

    def list_anew(path: Path) -> list[str]:
        missing.clear()
        return listed(path)

    monkeypatch.setattr(Path, "read_bytes", read_late)
    monkeypatch.setattr(os, "listdir", list_anew)
    stage.standings.look([folder])
    folder.note_ended(ended())
    del stage.system.jobs["1"]
    stage.now += 30.0
    (found,) = stage.standings.look([folder])
    assert found.state is ServiceState.completed


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
    folder.begin(Began("1", "n1", 10.0))
    assert stage.look(later=0.0).state is ServiceState.running
    stage.system.silence = None
    stage.look()
    assert stage.standings.silence is None


def test_a_service_whose_folder_is_gone_is_missing(stage: Stage) -> None:
    folder = stage.service("x", "1")
    folder.remove("x")
    assert stage.standings.look([folder]) == []
