from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from daskflow.errors import BatchSilent, RunBusy
from daskflow.sites.batch.adopting import Locks, adopt
from daskflow.sites.batch.errand import Errand
from daskflow.sites.batch.folder import Begun, ErrandFolder, RunFolder
from daskflow.sites.batch.system import Phase
from tests.sites.batch.papers import Ear, Paper, errand_in

HOLDER = """
import sys
from daskflow.sites.batch.adopting import Locks
from daskflow.sites.batch.folder import RunFolder
locks = Locks()
locks.hold(RunFolder(sys.argv[1], "a-run"))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_run_has_one_driver_however_the_last_one_ended(tmp_path: Path) -> None:
    folders, locks = RunFolder(str(tmp_path), "a-run"), Locks()
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(RunBusy, match="Another driver"):
            locks.hold(folders)
        locks.hold(RunFolder(str(tmp_path), "another-run"))
        other.kill()
        other.wait()
        locks.hold(folders)
        locks.hold(folders)
    locks.release()
    assert not folders.path.exists(), "nothing was left in it"


def test_the_folder_of_a_run_stays_while_there_is_something_in_it(tmp_path: Path) -> None:
    folders, locks = RunFolder(str(tmp_path), "a-run"), Locks()
    locks.hold(folders)
    folders.new("a-job")
    locks.release()
    assert folders.path.is_dir()


@pytest.fixture
def errand(tmp_path: Path) -> Errand:
    return errand_in(tmp_path, Ear())


@pytest.fixture
def left(errand: Errand) -> ErrandFolder:
    """A folder that an earlier driver has left."""
    return errand.folders.new(errand.job)


def test_what_nobody_has_submitted_is_to_be_submitted(errand: Errand) -> None:
    system = Paper()
    (found,) = adopt([errand], system)
    assert (found.left, found.dead) == (None, None)
    assert system.calls == [], "nobody has to be asked"


def test_a_result_is_taken_without_asking_anybody(errand: Errand, left: ErrandFolder) -> None:
    left.note_id("7")
    left.begin(Begun("7", "n1"))
    left.give(b"records")
    system = Paper()
    (found,) = adopt([errand], system)
    assert found.left is not None
    assert (found.left.path, found.id, system.calls) == (left.path, "7", [])


@pytest.mark.parametrize("phase", [Phase.pending, Phase.running])
def test_what_waits_or_runs_is_adopted(errand: Errand, left: ErrandFolder, phase: Phase) -> None:
    left.note_id("7")
    system = Paper()
    system.phases["7"] = phase
    (found,) = adopt([errand], system)
    assert found.left is not None
    assert found.id == "7"
    assert left.begun is None


@pytest.mark.parametrize("known", [True, False])
def test_of_what_has_begun_somebody_asks_how_it_ended(errand: Errand, left: ErrandFolder, known: bool) -> None:
    left.note_id("7")
    left.begin(Begun("7", "n1"))
    system = Paper()
    if known:
        system.phases["7"] = Phase.ended
    (found,) = adopt([errand], system)
    assert found.left is not None
    assert (found.left.path, found.id, found.dead) == (left.path, "7", None)


@pytest.mark.parametrize("known", [True, False])
def test_what_ended_before_it_began_is_told_as_dead(errand: Errand, left: ErrandFolder, known: bool) -> None:
    left.note_id("7")
    system = Paper()
    if known:
        system.phases["7"] = Phase.ended
    (found,) = adopt([errand], system)
    assert found.left is None
    assert found.dead is not None
    assert not left.begin(Begun("7", "n1"))


def test_a_result_that_is_not_seen_yet_is_waited_for(
    errand: Errand, left: ErrandFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    left.note_id("7")
    left.begin(Begun("7", "n1"))
    left.give(b"records")
    system = Paper()
    system.phases["7"] = Phase.ended
    # As a file server that tells late.
    monkeypatch.setattr(ErrandFolder, "names", lambda folder: {"id", "begun"})
    (found,) = adopt([errand], system)
    assert found.left is not None
    assert found.left.result() == b"records"


def test_of_two_batch_jobs_the_one_that_performs_is_adopted(errand: Errand, left: ErrandFolder) -> None:
    left.begin(Begun("6", "n1"))
    left.note_id("7")
    system = Paper()
    system.phases.update({"6": Phase.running, "7": Phase.ended})
    (found,) = adopt([errand], system)
    assert found.left is not None
    assert found.id == "6"


def test_a_job_whose_id_got_lost_never_begins(errand: Errand, left: ErrandFolder) -> None:
    (found,) = adopt([errand], Paper())
    assert found.left is None
    assert not left.begin(Begun("7", "n1")), "the batch job that nobody knows of performs nothing"


def test_a_job_that_noted_its_id_itself_is_adopted_by_it(errand: Errand, left: ErrandFolder) -> None:
    Path(left.id_note).write_text("7")
    left.begin(Begun("7", "n1"))
    system = Paper()
    system.phases["7"] = Phase.running
    (found,) = adopt([errand], system)
    assert found.left is not None
    assert found.id == "7"


def test_what_was_taken_note_of_or_taken_back_is_no_use(errand: Errand) -> None:
    system = Paper()
    told = errand.folders.new(errand.job)
    told.note_id("7")
    told.give(b"old")
    told.retire(keep_log=True)
    back = errand.folders.new(errand.job)
    back.note_id("8")
    back.take_back()
    system.phases.update({"7": Phase.running, "8": Phase.running})
    (found,) = adopt([errand], system)
    assert (found.left, found.dead) == (None, None)


def test_the_batch_system_is_asked_once_for_all_and_its_silence_is_told(tmp_path: Path) -> None:
    system, errands = Paper(), [errand_in(tmp_path, Ear(), f"job{n}") for n in range(3)]
    for number, errand in enumerate(errands):
        errand.folders.new(errand.job).note_id(str(number))
        system.phases[str(number)] = Phase.running
    system.fail("standings", BatchSilent("away"))
    with pytest.raises(BatchSilent):
        adopt(errands, system)
    assert len([found for found in adopt(errands, system) if found.left]) == 3
    assert system.calls == ["standings", "standings"]
