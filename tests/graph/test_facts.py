from __future__ import annotations

import datetime
import threading
import time
from typing import Any

import pytest

from daskflow.errors import ConditionMisused, StoreSilent
from daskflow.graph import facts
from daskflow.graph.facts import RunFact, Wanted, at, available
from daskflow.graph.host import CURRENT_HOST
from daskflow.model.policy import Resources
from daskflow.model.states import JobState, RunState
from tests.graph.endings import Theatre, aside, make

PATIENCE = 60.0
WANTED: tuple[Wanted, ...] = ("succeeded", "failed", "finished")
UNDECIDED = (None, None, None)
JOBS = {
    JobState.created: UNDECIDED,
    JobState.waiting: UNDECIDED,
    JobState.queued: UNDECIDED,
    JobState.running: UNDECIDED,
    JobState.succeeded: (True, False, True),
    JobState.cached: (True, False, True),
    JobState.failed: (False, True, True),
    JobState.skipped: (False, False, True),
    JobState.cancelled: (False, False, True),
}
RUNS = {
    RunState.created: UNDECIDED,
    RunState.running: UNDECIDED,
    RunState.paused: UNDECIDED,
    RunState.interrupted: UNDECIDED,
    RunState.succeeded: (True, False, True),
    RunState.failed: (False, True, True),
    RunState.cancelled: (False, False, True),
}


class FakeRun:
    """A run that ends when it is told to."""

    id = "01-study"

    def __init__(self, state: RunState = RunState.running) -> None:
        self.state = state
        self._done = threading.Event()

    def end(self, state: RunState) -> None:
        self.state = state
        self._done.set()

    @property
    def ended(self) -> bool:
        return self._done.is_set()

    def wait(self, timeout: float | None) -> bool:
        return self._done.wait(timeout)


@pytest.mark.parametrize("state", JobState)
def test_facts_of_jobs(state: JobState) -> None:
    (job,) = make(1)
    facts = (job.succeeded, job.failed, job.finished)
    job.state = state
    assert tuple(fact.truth() for fact in facts) == JOBS[state]


@pytest.mark.parametrize("state", RunState)
def test_facts_of_runs(state: RunState) -> None:
    run = FakeRun(state)
    assert tuple(RunFact(run, wanted).truth() for wanted in WANTED) == RUNS[state]


def test_facts_that_are_alike() -> None:
    a, b = make(2)
    run = FakeRun()
    assert (a.succeeded & a.succeeded & b.succeeded & a.failed).facts[0].identity == a.succeeded.identity
    alike = RunFact(run, "failed") & RunFact(run, "failed") & RunFact(run, "finished")
    assert [fact.text() for fact in alike.facts] == ["01-study.failed", "01-study.finished"]
    assert len((at("2040-01-01") | at("2040-01-01") | at("2041-01-01")).facts) == 2
    assert len(((a.metric("x") < 1) | (b.metric("x") < 1)).facts) == 2


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (JobState.failed, "failed"),
        (JobState.cached, "was known already"),
        (JobState.skipped, "was skipped"),
        (JobState.cancelled, "was cancelled"),
    ],
)
def test_what_is_told_of_jobs(state: JobState, told: str) -> None:
    (job,) = make(1)
    job.state = state
    assert job.succeeded.told().endswith(f"… {told}")


def test_waiting_for_runs() -> None:
    run = FakeRun()
    with pytest.raises(TimeoutError, match=r"01-study\.succeeded was not decided within 0 s"):
        RunFact(run, "succeeded").wait(0)
    waiting = aside(RunFact(run, "succeeded").wait)
    run.end(RunState.cancelled)
    assert waiting.result(PATIENCE) is False
    assert RunFact(run, "finished").told() == "run 01-study was cancelled"


def test_a_run_that_was_interrupted_is_not_waited_for() -> None:
    run = FakeRun()
    run.end(RunState.interrupted)
    assert RunFact(run, "finished").wait() is False
    assert [RunFact(run, wanted).truth() for wanted in WANTED] == [False] * 3, "who depends on it is skipped"


def test_points_in_time() -> None:
    now = datetime.datetime.now()
    assert at(now - datetime.timedelta(seconds=1)).truth() is True
    assert at(now + datetime.timedelta(hours=1)).truth() is None
    assert at("1970-01-01T01:00+01:00").due == 0
    assert at("2040-01-31T22:00").due == datetime.datetime(2040, 1, 31, 22).astimezone().timestamp()
    assert at("2000-01-31T22:00").told().startswith("it is past 2000-01-31 22:00:00")
    assert repr(at("2040-01-31T22:00")).startswith("at(2040-01-31 22:00:00")


def test_waiting_for_a_point_in_time() -> None:
    due = time.time() + 0.05
    assert at(datetime.datetime.fromtimestamp(due)).wait(PATIENCE) is True
    assert time.time() >= due - 1e-6
    with pytest.raises(TimeoutError):
        at("9999-12-31T00:00+00:00").wait(0.01)


@pytest.mark.parametrize("when", ["tomorrow", 12, None, datetime.date(2026, 1, 1), datetime.datetime.min])
def test_no_point_in_time(when: Any) -> None:
    with pytest.raises(ConditionMisused, match=r"is no point in time. Give a datetime or text"):
        at(when)


def test_a_site_that_becomes_free() -> None:
    fact = available("cedar", Resources(cores=4))
    rooms = [False, True, False]
    fact.probe = lambda site, resources: (site, resources.cores) == ("cedar", 4) and rooms.pop(0)
    assert not fact.is_met()
    assert fact.truth() is None
    assert fact.is_met()
    assert fact.is_met(), "true for good"
    assert rooms == [False]
    assert fact.text() == "available('cedar', Resources(cores=4))"
    assert fact.told() == "cedar had room"


def test_the_run_of_a_flow_asks_the_site() -> None:
    theatre: Any = Theatre()
    fact = available("cedar")
    token = CURRENT_HOST.set(theatre)
    try:
        assert not fact.is_met()
        assert theatre.watched == [fact]
    finally:
        CURRENT_HOST.reset(token)
    with pytest.raises(ConditionMisused, match=r"only be asked in the body of a flow. Give it to a call as `when=`"):
        fact.is_met()


def test_waiting_for_a_site() -> None:
    fact = available("cedar")
    asked = threading.Event()

    def busy(site: str, resources: Resources) -> bool:
        asked.set()
        return False

    fact.probe = busy
    waiting = aside((~fact).wait)
    assert asked.wait(PATIENCE)
    fact.hold()
    assert waiting.result(PATIENCE) is False


@pytest.mark.parametrize(("site", "resources"), [(None, None), ("cedar", 4), ("cedar", {"cores": 4})])
def test_no_site_and_no_resources(site: Any, resources: Any) -> None:
    with pytest.raises(ConditionMisused, match=r"give a site's name and `Resources\(cores=4\)`"):
        available(site, resources)


class Thing:
    """Somebody uploads it after it was looked for a few times."""

    def __init__(self, *answers: bool | Exception) -> None:
        self.answers = list(answers)

    def exists(self) -> bool:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def __repr__(self) -> str:
        return "Thing"


def test_something_is_there_once_and_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "_LOOKED_EVERY", 0.0)
    fact = available(Thing(False, StoreSilent(), True))
    assert fact.text() == "available(Thing)"
    assert [fact.is_met(), fact.is_met(), fact.is_met()] == [False, False, True]
    assert fact.is_met(), "it is not looked for again"
    assert fact.told() == "Thing was there"
    waited = available(Thing(False, True))
    assert waited.wait(30)


def test_it_is_not_looked_for_all_the_time() -> None:
    fact = available(Thing(False))
    assert not fact.is_met()
    assert not fact.is_met()
