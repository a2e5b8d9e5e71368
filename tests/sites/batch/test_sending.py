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
from daskflow.sites.batch.folder import Begun
from daskflow.sites.batch.following import Follower
from daskflow.sites.batch.handing import Handed
from daskflow.sites.batch.sending import Means, Sender
from daskflow.sites.batch.system import Phase
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
    pending, done, dead, new = office.errands(4)
    for id, errand in enumerate((pending, done, dead)):
        left = errand.folders.new(errand.job)
        left.note_id(str(100 + id))
        if errand is not pending:
            left.begin(Begun(str(100 + id), "n1"))
    done.folders.of(done.job)[0].give(RESULT)
    office.system.phases = {"100": Phase.pending, "102": Phase.ended}
    office.sender.put([pending, done, dead, new])
    until(lambda: dead.step is Step.submitted and new.step is Step.submitted)
    assert (pending.step, pending.id) == (Step.submitted, "100")
    assert done.step is Step.told
    assert [ask.name for ask in office.system.asks.values()] == ["a-run-job2", "a-run-job3"]
    assert sorted(data["id"] for data in office.ear.of("batch.adopted")) == ["100", "101"]
    told = [(outcome.key, outcome.state, outcome.final) for outcome in office.ear.outcomes]
    assert ("job2", "failed", False) in told
    assert ("a-job", "succeeded", True) in told


def test_batch_jobs_that_are_to_be_cancelled_are_so_at_the_end_too(office: Office) -> None:
    office.sender.cancel([""])
    office.sender.cancel(["5", "6"])
    office.sender.stop()
    assert sorted(office.system.cancelled) == ["5", "6"]
    (errand,) = office.errands(1)
    office.sender.put([errand])
    until(lambda: errand.step is Step.submitted)


def test_that_a_job_cannot_be_cancelled_disturbs_nobody(office: Office) -> None:
    office.system.fail("cancel", BatchRefused("Invalid job id"))
    office.sender.cancel(["5"])
    (errand,) = office.errands(1)
    office.sender.put([errand])
    until(lambda: errand.step is Step.submitted)
    assert not office.lost
