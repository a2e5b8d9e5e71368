from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from daskflow.errors import BatchSilent
from daskflow.model.outcome import Live, Outcome
from daskflow.sites.batch import following
from daskflow.sites.batch.errand import Errand, Step
from daskflow.sites.batch.folder import Begun, ErrandFolder
from daskflow.sites.batch.following import Follower
from daskflow.sites.batch.system import Certificate, Phase, Standing
from tests.execution.patience import until
from tests.sites.batch.papers import Ear, Paper, Silence, errand_in

RESULT = pickle.dumps([Outcome("a-job", "succeeded", 1, 1.0, 2.0)])


class Party:
    """A follower, and what it does."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ear, self.system, self.watch = Ear(), Paper(), Silence()
        self.lost: list[tuple[str, str, str]] = []
        self.ended = 0
        self.follower = Follower(
            self.system, cast(Any, self.watch), threading.RLock(), lose=self._lose, ended=self._end, boxes=""
        )

    def _lose(self, errand: Errand, error: str, text: str) -> None:
        errand.go(Step.told)
        self.follower.forget([errand])
        self.lost.append((errand.id, error, text))

    def _end(self) -> None:
        self.ended += 1

    def errand(self, id: str = "7", name: str = "a-job") -> tuple[Errand, ErrandFolder]:
        errand = errand_in(self.directory, self.ear, name)
        errand.folder = errand.folders.new(errand.job)
        errand.id = id
        errand.go(Step.submitted)
        self.follower.follow([errand])
        return errand, errand.folder


@pytest.fixture
def party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Party]:
    for name, value in {"LOOK": 0.01, "_GAP": 0.01, "_LATE": 0.2, "_RECORD": 0.2, "_SAFE": 0.2}.items():
        monkeypatch.setattr(following, name, value)
    made = Party(tmp_path)
    yield made
    made.follower.stop()


def test_a_job_is_followed_by_its_folder_alone(party: Party) -> None:
    errand, folder = party.errand()
    assert party.watch.followed == {"7"}
    folder.begin(Begun("7", "n1", "host", 3))
    until(lambda: errand.step is Step.performing)
    live = Live("a-job", "metric", "loss", "{}", 1.0)
    folder.tell(pickle.dumps([live]))
    until(lambda: party.ear.live == [live])
    folder.give(RESULT)
    until(lambda: party.ear.states == {"a-job": "succeeded"})
    until(lambda: party.ended == 1)
    assert errand.step is Step.told
    assert errand.well
    assert party.watch.followed == set()
    assert party.ear.of("batch.started") == [{"job": "a-job", "id": "7", "node": "n1"}]
    assert party.ear.live == [live], "told once"
    assert party.system.calls == []


def test_what_was_heard_is_not_heard_again_by_the_next_driver(party: Party) -> None:
    _, folder = party.errand()
    folder.tell(pickle.dumps([Live("a-job", "metric", "loss", "{}", 1.0)]))
    until(lambda: folder.heard > 0)
    assert folder.records(folder.heard) == ([], folder.heard)


def test_an_end_without_a_result_is_certified(party: Party) -> None:
    _, folder = party.errand()
    folder.begin(Begun("7", "n1", "host", 3))
    Path(folder.log).write_text("slurmstepd: out of time\n")
    party.system.ends["7"] = Certificate("7", "WalltimeExceeded", "TIMEOUT", node="n1")
    Path(folder.end_note).write_text("143")
    until(lambda: party.lost)
    assert party.lost[0][:2] == ("7", "WalltimeExceeded")
    assert "TIMEOUT" in party.lost[0][2]
    assert "out of time" in party.lost[0][2]


def test_a_result_that_comes_to_light_late_counts(party: Party, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_LATE", 60.0)
    errand, folder = party.errand()
    folder.begin(Begun("7"))
    party.system.ends["7"] = Certificate("7", "", "COMPLETED", 0)
    party.follower.standing(Standing("7", Phase.ended, "COMPLETED"))
    until(lambda: party.system.calls.count("certificates") > 2)
    folder.give(RESULT)
    until(lambda: errand.step is Step.told)
    assert not party.lost
    assert party.ear.states == {"a-job": "succeeded"}


def test_a_job_that_ended_well_and_left_nothing_is_lost_in_the_end(party: Party) -> None:
    _, folder = party.errand()
    folder.begin(Begun("7"))
    party.system.ends["7"] = Certificate("7", "", "COMPLETED", 0)
    party.follower.standing(Standing("7", Phase.ended, "COMPLETED"))
    until(lambda: party.lost)
    assert party.lost[0][1] == "WorkerLost"
    assert "without leaving a result" in party.lost[0][2]


def test_a_job_that_vanished_without_a_trace_is_lost_in_the_end(party: Party) -> None:
    party.errand()
    party.system.fail("certificates", BatchSilent("away"))
    party.follower.vanished("7")
    until(lambda: party.lost)
    assert party.lost[0][1] == "StartupFailed"
    assert "no record of it" in party.lost[0][2]


def test_several_ends_are_one_question(party: Party, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_RECORD", 60.0)
    monkeypatch.setattr(following, "_GAP", 0.5)
    for number in range(5):
        party.errand(str(number), f"job{number}")
        party.system.ends[str(number)] = Certificate(str(number), "Cancelled", "CANCELLED")
    for number in range(5):
        party.follower.vanished(str(number))
    until(lambda: len(party.lost) == 5)
    assert party.system.calls.count("certificates") <= 2


def test_what_waits_for_ever_is_given_up_and_other_reasons_are_told_once(party: Party) -> None:
    errand, _ = party.errand()
    for _ in range(3):
        party.follower.standing(Standing("7", Phase.pending, "PENDING", "Priority"))
    assert party.ear.of("batch.waiting") == [{"job": "a-job", "id": "7", "reason": "Priority"}]
    party.follower.standing(Standing("7", Phase.pending, "PENDING", "PartitionTimeLimit", hopeless=True))
    assert party.lost[0][:2] == ("7", "BatchRefused")
    assert "PartitionTimeLimit" in party.lost[0][2]
    party.follower.standing(Standing("7", Phase.pending, "PENDING", "PartitionTimeLimit", hopeless=True))
    assert len(party.lost) == 1
    assert errand.step is Step.told


def test_silence_is_told_to_each_run_once(party: Party) -> None:
    party.errand("1", "one")
    party.errand("2", "two")
    party.follower.silent(BatchSilent("away"))
    assert [data["reason"] for data in party.ear.of("site.silent")] == ["away"]


def test_folders_are_removed_when_the_journal_has_their_results(party: Party) -> None:
    errand, folder = party.errand()
    folder.give(RESULT)
    until(lambda: errand.step is Step.told)
    party.errand("8", "other")
    assert folder.path.exists()
    party.follower.retire(folder)
    until(lambda: not folder.path.exists())


def test_nothing_is_followed_after_the_end(party: Party) -> None:
    errand, folder = party.errand()
    party.follower.stop()
    assert party.follower.count() == 0
    assert party.watch.followed == set()
    party.follower.standing(Standing("7", Phase.ended, "COMPLETED"))
    assert errand.step is Step.submitted
    again, left = party.errand("9", "next")
    left.give(RESULT)
    until(lambda: again.step is Step.told)
    assert folder.path.exists()
