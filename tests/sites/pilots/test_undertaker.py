from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping

import pytest

from daskflow.errors import BatchSilent
from daskflow.model.needs import Needs
from daskflow.sites.batch.system import Certificate
from daskflow.sites.pilots import undertaker
from daskflow.sites.pilots.room import Room, Stay
from daskflow.sites.pilots.undertaker import Undertaker, Verdict
from daskflow.sites.pools import Pool

POOL = Pool("main", 4, 4000, 3600.0)
Certify = Callable[[list[str]], Mapping[str, Certificate]]


class Court:
    """An undertaker whose batch system is a function."""

    def __init__(self, certify: Certify) -> None:
        self.asked: list[list[str]] = []
        self.judged: list[tuple[str, Certificate, list[Verdict]]] = []
        self.changed = threading.Condition()
        self.certify = certify
        self.undertaker = Undertaker(self._certify, lambda id: f"the log of {id}", self._judge)

    def _certify(self, ids: Iterable[str]) -> Mapping[str, Certificate]:
        self.asked.append(list(ids))
        return self.certify(self.asked[-1])

    def _judge(self, room: Room, certificate: Certificate, verdicts: list[Verdict]) -> None:
        with self.changed:
            self.judged.append((room.id, certificate, verdicts))
            self.changed.notify_all()

    def lose(self, id: str, *keys: str, left: float = 1000.0) -> None:
        room = Room(POOL, id, node="n1", address="tcp://x", ends=time.time() + left)
        self.undertaker.mourn(room, {key: Stay(Needs(), time.time() - 5, None) for key in keys})

    def wait(self, count: int) -> list[tuple[str, Certificate, list[Verdict]]]:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.judged) >= count, 60)
            return self.judged


def all_ended(error: str, state: str) -> Certify:
    return lambda ids: {id: Certificate(id, error, state, node="n1") for id in ids}


def test_those_that_fall_together_are_asked_for_by_one_call() -> None:
    court = Court(all_ended("NodeFailure", "NODE_FAIL"))
    for id in "1234":
        court.lose(id, f"node-{id}")
    court.wait(4)
    assert sum(len(ids) for ids in court.asked) == 4
    assert len(court.asked) <= 2, "the first one may have been asked for already"
    court.undertaker.close()


def test_the_verdict_tells_the_record_and_the_log() -> None:
    court = Court(all_ended("NodeFailure", "NODE_FAIL"))
    court.lose("17_3", "a")
    _, certificate, (verdict,) = court.wait(1)[0]
    assert certificate.error == verdict.error == "NodeFailure"
    assert "batch job 17_3: NODE_FAIL, on n1" in verdict.text
    assert "the log of 17_3" in verdict.text
    assert verdict.again
    assert 4 < verdict.time - verdict.since < 60
    court.undertaker.close()


@pytest.mark.parametrize(("error", "times"), [("WalltimeExceeded", 3), ("OutOfMemory", 3), ("", 4)])
def test_a_node_under_which_pilots_end_again_and_again_is_given_up(error: str, times: int) -> None:
    court = Court(all_ended(error, "BAD"))
    for number in range(times):
        court.lose(str(number), "bad")
        court.wait(number + 1)
    assert [verdicts[0].again for _, _, verdicts in court.judged] == [True] * (times - 1) + [False]
    court.lose("other", "good")
    assert court.wait(times + 1)[-1][2][0].again, "others have done nothing"
    court.undertaker.close()


@pytest.mark.parametrize("error", ["Cancelled", "Preempted", "NodeFailure"])
def test_what_a_node_cannot_help_never_counts(error: str) -> None:
    court = Court(all_ended(error, "BAD"))
    for number in range(6):
        court.lose(str(number), "a")
        court.wait(number + 1)
    assert all(verdicts[0].again for _, _, verdicts in court.judged)
    court.undertaker.close()


def test_the_record_may_come_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(undertaker, "_FIRST_PAUSE", 0.01)
    answers: list[Mapping[str, Certificate]] = [{}, {}, {"1": Certificate("1", "Preempted", "PREEMPTED")}]

    def certify(ids: list[str]) -> Mapping[str, Certificate]:
        if len(answers) == 2:
            answers.pop(0)
            raise BatchSilent
        return answers.pop(0)

    court = Court(certify)
    court.lose("1", "a")
    assert court.wait(1)[0][1].error == "Preempted"
    assert len(court.asked) == 3
    court.undertaker.close()


def test_a_query_that_cannot_be_made_is_made_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(undertaker, "_FIRST_PAUSE", 0.01)

    def certify(ids: list[str]) -> Mapping[str, Certificate]:
        if len(court.asked) == 1:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return {id: Certificate(id, "Preempted", "PREEMPTED") for id in ids}

    court = Court(certify)
    for number, id in enumerate("AB"):
        court.lose(id, "a")
        assert court.wait(number + 1)[-1][1].error == "Preempted"
    court.undertaker.close()


def test_a_verdict_that_is_not_heard_is_said_again_and_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(undertaker, "_FIRST_PAUSE", 0.01)
    court = Court(all_ended("OutOfMemory", "OUT_OF_MEMORY"))
    deaf = [ValueError("not now"), ValueError("nor now")]
    heard = court.undertaker._judged

    def judged(room: Room, certificate: Certificate, verdicts: list[Verdict]) -> None:
        if deaf:
            raise deaf.pop()
        heard(room, certificate, verdicts)

    court.undertaker._judged = judged
    for number in range(3):
        court.lose(str(number), "bad")
        court.wait(number + 1)
    assert [(id, verdicts[0].again) for id, _, verdicts in court.judged] == [("0", True), ("1", True), ("2", False)]
    court.undertaker.close()


@pytest.mark.parametrize(("left", "error"), [(3.0, "WalltimeExceeded"), (1000.0, "WorkerLost")])
def test_where_there_is_no_record_the_time_tells(left: float, error: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(undertaker, "PATIENCE", 0.0)
    court = Court(lambda ids: {})
    court.lose("1", "a", left=left)
    assert court.wait(1)[0][1].error == error
    court.undertaker.close()
