from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from daskflow.errors import BatchMissing, BatchRefused, BatchSilent
from daskflow.model.outcome import Outcome
from daskflow.sites.batch import following, sending
from daskflow.sites.batch.errand import Errand, Step
from daskflow.sites.batch.folder import Begun, ErrandFolder
from daskflow.sites.batch.following import Follower
from daskflow.sites.batch.handing import Handed
from daskflow.sites.batch.sending import Means, Sender
from daskflow.sites.batch.system import Certificate, Phase
from daskflow.sites.packages import Packages
from tests.execution.patience import until
from tests.sites.batch.papers import Ear, Paper, Silence, errand_in, plan_in

RESULT = pickle.dumps([Outcome("a-job", "succeeded", 1, 1.0, 2.0)])


def perform(package: bytes, *values: Any) -> tuple[Any, bytes, bytes]:
    return None, package, b""


class Office:
    """A sender, and what it does."""

    def __init__(self, directory: Path, **changes: Any) -> None:
        self.directory = directory
        self.ear, self.system = Ear(), Paper()
        self.lock = threading.RLock()
        self.lost: list[tuple[str, str, str]] = []
        self.follower = Follower(self.system, cast(Any, Silence()), self.lock, lose=self._lose, ended=self._end)
        means = Means("cedar", self.system, plan_in(directory, **changes), perform, Packages())
        self.sender = Sender(means, self.follower, self.lock, lose=self._lose)

    def _lose(self, errand: Errand, error: str, text: str) -> None:
        errand.go(Step.told)
        self.lost.append((errand.job, error, text))

    def _end(self) -> None:
        self.sender.nudge()

    def errands(self, count: int, **needs: Any) -> list[Errand]:
        return [errand_in(self.directory, self.ear, f"job{number}", **needs) for number in range(count)]

    def close(self) -> None:
        self.sender.stop()
        self.follower.stop()


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(sending, "LONGEST_PAUSE", 0.02)
    monkeypatch.setattr(following, "LOOK", 0.01)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.close()


def test_errands_are_submitted_with_all_that_they_need(office: Office) -> None:
    (errand,) = office.errands(1, nodes=2, cores=2)
    office.sender.put([errand])
    until(lambda: errand.step is Step.submitted)
    assert errand.folder is not None
    assert (errand.id, errand.folder.id) == ("1", "1")
    ask = office.system.asks["1"]
    assert (ask.name, ask.nodes, ask.log) == ("a-run-job0", 2, errand.folder.log)
    handed: Handed = pickle.loads(errand.folder.handed())
    assert handed.place[:5] == ("paper", "", "cedar", "", "")
    assert handed.place.memory == ask.memory
    assert handed.variables["DASKFLOW_LAUNCH"] == "mpirun"
    assert (errand.folder.path / "script").read_text() == office.system.scripts["1"]
    assert office.ear.of("batch.submitted") == [{"job": "job0", "id": "1", "nodes": 2, "queue": ""}]


def test_whoever_asks_does_not_wait_for_the_batch_system(office: Office) -> None:
    gate = threading.Event()
    office.system.on_submit = lambda id: cast(None, gate.wait(60))
    errands = office.errands(2)
    office.sender.put(errands)
    until(lambda: office.system.calls == ["submit"])
    assert [errand.step for errand in errands] == [Step.waiting, Step.waiting]
    gate.set()
    until(lambda: all(errand.step is Step.submitted for errand in errands))


def test_a_silent_batch_system_is_asked_again_and_the_folder_is_the_same(office: Office) -> None:
    office.system.fail("submit", BatchSilent("away"), BatchSilent("away"))
    (errand,) = office.errands(1)
    office.sender.put([errand])
    until(lambda: errand.step is Step.submitted)
    assert office.system.calls == ["submit"] * 3
    assert len(errand.folders.of(errand.job)) == 1
    assert [data["reason"] for data in office.ear.of("site.silent")] == ["away"], "told once"
    assert not office.lost


@pytest.mark.parametrize("error", [BatchRefused("no such partition"), BatchMissing("no sbatch")])
def test_a_refusal_loses_one_errand_and_the_others_go_on(office: Office, error: Exception) -> None:
    office.system.fail("submit", error)
    errands = office.errands(2)
    office.sender.put(errands)
    until(lambda: errands[1].step is Step.submitted)
    ((job, name, text),) = office.lost
    assert (job, name) == ("job0", type(error).__name__)
    assert text == str(error)


def test_what_cannot_be_written_is_told(office: Office) -> None:
    (errand,) = office.errands(1)
    errand.foreign = {"a": threading.Lock()}
    office.sender.put([errand])
    until(lambda: office.lost)
    assert office.lost[0][:2] == ("job0", "SiteError")
    assert "pickle" in office.lost[0][2]


def test_not_more_jobs_than_allowed_are_there_at_a_time(tmp_path: Path) -> None:
    office = Office(tmp_path, max_jobs=2)
    errands = office.errands(3)
    office.sender.put(errands)
    until(lambda: [errand.step for errand in errands].count(Step.submitted) == 2)
    assert errands[2].step is Step.waiting
    assert errands[0].folder is not None
    errands[0].folder.give(RESULT)
    until(lambda: errands[2].step is Step.submitted)
    office.close()


def test_who_is_killed_while_it_is_submitted_is_cancelled(office: Office) -> None:
    (errand,) = office.errands(1)

    def kill(id: str) -> None:
        with office.lock:
            assert errand.folder is not None
            assert errand.folder.take_back()
            errand.go(Step.told)

    office.system.on_submit = kill
    office.sender.put([errand])
    until(lambda: office.system.cancelled == ["1"])
    assert errand.folder is not None
    until(lambda: errand.folder is not None and not errand.folder.path.exists())


def test_who_is_killed_before_is_never_submitted(office: Office) -> None:
    first, second = office.errands(2)
    first.go(Step.told)
    office.sender.put([first, second])
    until(lambda: second.step is Step.submitted)
    assert [ask.name for ask in office.system.asks.values()] == ["a-run-job1"]
    assert office.system.cancelled == []


def test_what_an_earlier_driver_left_is_found_and_nothing_is_submitted_twice(office: Office) -> None:
    pending, done, dead, new, over = office.errands(5)
    for id, errand in enumerate((pending, done, dead, over)):
        left = errand.folders.new(errand.job)
        left.note_id(str(100 + id))
        if errand in (done, over):
            left.begin(Begun(str(100 + id), "n1"))
    done.folders.of(done.job)[0].give(RESULT)
    Path(over.folders.of(over.job)[0].end_note).write_text("143")
    office.system.phases = {"100": Phase.pending, "102": Phase.ended, "103": Phase.ended}
    office.system.ends["103"] = Certificate("103", "WalltimeExceeded", "TIMEOUT")
    office.sender.put([pending, done, dead, new, over])
    until(lambda: dead.step is Step.submitted and new.step is Step.submitted)
    until(lambda: office.lost)
    assert (pending.step, pending.id) == (Step.submitted, "100")
    assert done.step is Step.told
    assert [ask.name for ask in office.system.asks.values()] == ["a-run-job2", "a-run-job3"]
    assert sorted(data["id"] for data in office.ear.of("batch.adopted")) == ["100", "101", "103"]
    assert [(outcome.key, outcome.state) for outcome in office.ear.outcomes] == [("a-job", "succeeded")]
    assert [lost[:2] for lost in office.lost] == [("job4", "WalltimeExceeded")], "as if a driver had been there"


def test_batch_jobs_that_are_to_be_cancelled_are_so_at_the_end_too(office: Office) -> None:
    office.sender.cancel([""])
    office.sender.cancel(["5", "6"])
    office.sender.stop()
    assert sorted(office.system.cancelled) == ["5", "6"]
    (errand,) = office.errands(1)
    office.sender.put([errand])
    until(lambda: errand.step is Step.submitted)


@pytest.mark.parametrize("noted", [True, False])
def test_a_job_of_which_the_answer_got_lost_is_not_submitted_again(office: Office, noted: bool) -> None:
    (errand,) = office.errands(1)

    def lose_answer(id: str) -> None:
        assert errand.folder is not None
        if noted:
            Path(errand.folder.id_note).write_text("A-1")
        else:
            errand.folder.begin(Begun("A-1", "n1"))
        raise BatchSilent("no answer within 60 s")

    office.system.on_submit = lose_answer
    office.sender.put([errand])
    until(lambda: errand.step in (Step.submitted, Step.performing))
    assert (errand.id, office.system.calls) == ("A-1", ["submit"])
    assert [data["id"] for data in office.ear.of("batch.submitted")] == ["A-1"]


@pytest.mark.parametrize(
    "words",
    [
        "sbatch: error: QOSMaxSubmitJobPerUserLimit",
        "Unable to run job: job rejected: Only 2 jobs are allowed per user (current job count: 2)",
    ],
)
def test_where_there_are_enough_jobs_the_next_waits(
    office: Office, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    monkeypatch.setattr(sending, "FIRST_REST", 0.01)
    monkeypatch.setattr(sending, "LONGEST_REST", 0.02)
    office.system.fail("submit", *[BatchRefused(words)] * 4)
    errands = office.errands(2)
    office.sender.put(errands)
    until(lambda: [errand.step for errand in errands] == [Step.submitted] * 2)
    assert office.system.calls == ["submit"] * 6
    assert office.ear.of("batch.waiting") == [{"job": "job0", "id": "", "reason": words}], "told once"
    assert not office.lost


def test_what_waits_for_room_keeps_nobody_from_being_cancelled(office: Office) -> None:
    office.system.fail("submit", BatchRefused("qsub: Maximum number of jobs already in queue"))
    (errand,) = office.errands(1)
    office.sender.put([errand])
    until(lambda: office.ear.of("batch.waiting"))
    office.sender.cancel(["5"])
    until(lambda: office.system.cancelled == ["5"])
    assert errand.step is Step.waiting
    assert office.system.calls.count("submit") == 1


def test_what_fails_while_errands_are_placed_is_tried_again(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    errands = office.errands(3)
    for errand in errands:
        errand.folders.new(errand.job)
    real, full = ErrandFolder.take_back, [OSError(122, "Disk quota exceeded")] * 2

    def take_back(folder: ErrandFolder) -> bool:
        if full:
            raise full.pop()
        return real(folder)

    monkeypatch.setattr(ErrandFolder, "take_back", take_back)
    office.sender.put(errands)
    until(lambda: [errand.step for errand in errands] == [Step.submitted] * 3)
    assert len(office.system.asks) == 3
    assert ["quota" in data["reason"] for data in office.ear.of("site.silent")] == [True]


def test_a_result_that_cannot_be_read_yet_is_taken_later(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    (errand,) = office.errands(1)
    left = errand.folders.new(errand.job)
    left.note_id("100")
    left.begin(Begun("100", "n1"))
    left.give(RESULT)
    real, stale = ErrandFolder.result, [OSError(116, "Stale file handle")]

    def result(folder: ErrandFolder) -> bytes:
        if stale:
            raise stale.pop()
        return real(folder)

    monkeypatch.setattr(ErrandFolder, "result", result)
    office.sender.put([errand])
    until(lambda: errand.step is Step.told)
    assert office.ear.states == {"a-job": "succeeded"}
    assert office.system.calls == []


def test_notes_that_cannot_be_written_lose_no_batch_job(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: ErrandFolder, text: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ErrandFolder, "note_id", refuse)
    monkeypatch.setattr(ErrandFolder, "note_script", refuse)
    (errand,) = office.errands(1)
    office.sender.put([errand])
    until(lambda: errand.step is Step.submitted)
    assert not office.lost


def test_that_a_job_cannot_be_cancelled_disturbs_nobody(office: Office) -> None:
    office.system.fail("cancel", BatchRefused("Invalid job id"))
    office.sender.cancel(["5"])
    (errand,) = office.errands(1)
    office.sender.put([errand])
    until(lambda: errand.step is Step.submitted)
    assert not office.lost
