from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from daskflow.errors import BatchError, BatchRefused, BatchSilent
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


def test_the_batch_job_that_was_first_is_followed_and_the_other_one_cancelled(party: Party) -> None:
    errand, folder = party.errand("8")
    party.system.ends["8"] = Certificate("8", "Cancelled", "CANCELLED")
    party.system.phases.update({"7": Phase.running, "8": Phase.pending})
    folder.begin(Begun("7", "n1", "host", 3))
    until(lambda: party.ear.of("batch.started"))
    assert (errand.id, errand.step) == ("7", Step.performing)
    assert party.ear.of("batch.started") == [{"job": "a-job", "id": "7", "node": "n1"}]
    assert party.system.cancelled == ["8"]
    assert party.watch.followed == {"7"}
    party.follower.standing(Standing("8", Phase.ended, "CANCELLED"))
    party.follower.vanished("8")
    assert errand.step is Step.performing
    folder.give(RESULT)
    until(lambda: party.ear.states == {"a-job": "succeeded"})
    assert not party.lost
    assert party.follower.count() == 0


def test_the_batch_job_that_was_first_is_found_when_the_other_one_has_ended(party: Party) -> None:
    errand, folder = party.errand("8")
    party.system.phases["7"] = Phase.running
    party.system.fail("cancel", BatchSilent("away"))
    with party.follower._lock:  # the follower sees both at its next look
        party.follower.standing(Standing("8", Phase.ended, "COMPLETED"))
        party.system.ends["8"] = Certificate("8", "WorkerLost", "FAILED", 1)
        folder.begin(Begun("7", "n1"))
    until(lambda: errand.step is Step.performing)
    assert errand.id == "7"
    assert not party.lost


def test_the_name_of_a_server_makes_no_other_job_of_it(party: Party) -> None:
    errand, folder = party.errand("8.pbs")
    folder.begin(Begun("8.pbs.example.org", "n1"))
    until(lambda: errand.step is Step.performing)
    assert errand.id == "8.pbs"
    assert party.system.cancelled == []


@pytest.mark.parametrize("error", [BatchRefused("condor_history: refused"), BatchSilent("away"), ValueError("odd")])
def test_an_end_whose_record_cannot_be_had_is_told_all_the_same(
    party: Party, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(following, "_SILENCE", 0.3)
    _, folder = party.errand()
    folder.begin(Begun("7"))
    Path(folder.end_note).write_text("1")
    party.system.fail("certificates", *[error] * 100000)
    until(lambda: party.lost)
    assert party.lost[0][1] == "WorkerLost"
    assert str(error) in party.lost[0][2]
    assert len(party.ear.of("site.silent")) == 1, "told once"


def test_a_record_that_comes_late_since_nobody_answered_counts(party: Party) -> None:
    errand, folder = party.errand()
    folder.begin(Begun("7"))
    Path(folder.end_note).write_text("1")
    party.system.fail("certificates", *[BatchSilent("away")] * 5)
    until(lambda: party.system.calls.count("certificates") >= 5)
    party.system.ends["7"] = Certificate("7", "OutOfMemory", "OUT_OF_MEMORY")
    until(lambda: party.lost)
    assert party.lost[0][1] == "OutOfMemory"
    assert errand.step is Step.told


@pytest.mark.parametrize(("phase", "begun"), [(Phase.pending, False), (Phase.running, True)])
def test_what_has_not_ended_is_not_lost(party: Party, phase: Phase, begun: bool) -> None:
    errand, folder = party.errand()
    party.system.phases["7"] = phase
    if begun:
        folder.begin(Begun("7"))
    party.watch.followed.clear()  # as a watch does that sees nothing of it
    party.follower.vanished("7")
    until(lambda: party.watch.followed == {"7"})
    assert errand.step is (Step.performing if begun else Step.submitted)
    folder.begin(Begun("7"))
    folder.give(RESULT)
    until(lambda: errand.step is Step.told)
    assert not party.lost


def test_a_slow_end_keeps_its_verdict(party: Party) -> None:
    _, folder = party.errand()
    folder.begin(Begun("7"))
    party.system.phases["7"] = Phase.running  # the script is over, what comes after it is not
    Path(folder.end_note).write_text("137")
    until(lambda: party.system.calls.count("standings") >= 2)
    assert not party.lost
    party.system.ends["7"] = Certificate("7", "OutOfMemory", "OUT_OF_MEMORY")
    until(lambda: party.lost)
    assert party.lost[0][1] == "OutOfMemory"


@pytest.mark.parametrize("error", [BatchSilent("away"), ValueError("odd")])
def test_nothing_is_lost_while_nobody_says_how_jobs_stand(party: Party, error: Exception) -> None:
    party.errand()
    party.system.fail("standings", *[error] * 3)
    party.follower.vanished("7")
    until(lambda: party.lost)
    assert party.system.calls.count("standings") == 4


def test_what_cannot_even_be_asked_is_lost_in_the_end(party: Party) -> None:
    party.errand()
    party.system.fail("standings", BatchError("no"))
    party.follower.vanished("7")
    until(lambda: party.lost)


def test_what_fails_for_one_is_not_the_end_for_the_others(party: Party, monkeypatch: pytest.MonkeyPatch) -> None:
    real = ErrandFolder.records

    def records(folder: ErrandFolder, start: int) -> tuple[list[bytes], int]:
        if "bad" in folder.path.name:
            raise OSError(116, "Stale file handle")
        return real(folder, start)

    def refuse(folder: ErrandFolder, size: int) -> None:
        raise OSError(122, "Disk quota exceeded")

    monkeypatch.setattr(ErrandFolder, "records", records)
    monkeypatch.setattr(ErrandFolder, "note_heard", refuse)
    party.errand("6", "bad")
    good, folder = party.errand("7")
    live = Live("a-job", "metric", "loss", "{}", 1.0)
    folder.tell(pickle.dumps([live]))
    folder.give(RESULT)
    until(lambda: good.step is Step.told)
    assert party.ear.live == [live]
    monkeypatch.setattr(ErrandFolder, "records", real)
    (bad,) = party.follower._errands.values()
    assert bad.folder is not None
    bad.folder.give(RESULT)
    until(lambda: bad.step is Step.told)


def test_a_loss_that_cannot_be_told_keeps_no_other_from_being(party: Party, monkeypatch: pytest.MonkeyPatch) -> None:
    tell = party.follower._lose
    trouble = [OSError(122, "Disk quota exceeded")] * 2

    def lose(errand: Errand, error: str, text: str) -> None:
        if errand.id == "6" and trouble:
            raise trouble.pop()
        tell(errand, error, text)

    monkeypatch.setattr(party.follower, "_lose", lose)
    for id in ("6", "7"):
        party.errand(id, f"job{id}")
        party.system.ends[id] = Certificate(id, "Cancelled", "CANCELLED")
        party.follower.vanished(id)
    until(lambda: len(party.lost) == 2)


def test_a_job_that_has_begun_and_is_held_now_is_not_refused(party: Party, monkeypatch: pytest.MonkeyPatch) -> None:
    errand, folder = party.errand()
    folder.begin(Begun("7"))
    held = Standing("7", Phase.pending, "HELD", "memory usage exceeded request_memory", hopeless=True)
    party.follower.standing(held)
    assert not party.lost
    assert party.ear.of("batch.waiting") == [{"job": "a-job", "id": "7", "reason": held.reason}]
    party.system.ends["7"] = Certificate("7", "OutOfMemory", "REMOVED")
    party.follower.vanished("7")
    until(lambda: party.lost)
    assert party.lost[0][1] == "OutOfMemory"
    again, folder = party.errand("8", "other")
    folder.begin(Begun("8"))
    until(lambda: again.step is Step.performing)
    monkeypatch.setattr(following, "_HELD", -1.0)
    party.follower.standing(held._replace(id="8"))
    assert party.lost[1][:2] == ("8", "BatchRefused"), "nobody releases it"
    assert errand.step is again.step is Step.told


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
