"""The site of works, with real buckets and agents that the tests play themselves."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from daskflow.errors import (
    JobCancelled,
    JobFailed,
    RunInterrupted,
    SiteError,
    SiteUnknown,
    StoreUnavailable,
    UsageError,
)
from daskflow.execution.pipelines.depositor import Depositor, taken
from daskflow.execution.run import Run
from daskflow.execution.worker.perform import perform
from daskflow.graph.job import Job
from daskflow.model.states import JobState, RunState
from daskflow.model.work import Work, WorkStatus
from daskflow.stores.buckets import Buckets
from daskflow.stores.buckets.table import WorkTable
from daskflow.stores.database import Database
from tests.acceptance.gates import with_site
from tests.conftest import Lab

NAME = "buckets"


def _open(path: Path) -> Buckets:
    return Buckets(WorkTable(Database(path)), sites={"local"})


class Stand:
    """A laboratory with the site, and its buckets as agents see them."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.path = directory / "works.db"
        self.lab = self._equipped(lab)
        self.buckets = _open(self.path)

    def _equipped(self, lab: Lab) -> Lab:
        return with_site(lab, Depositor(NAME, partial(_open, self.path), perform))

    def flow(self, marks: list[str], **fields: Any) -> Any:
        @self.lab.task(cache="run", version="1")
        def work(step: str, mark: str, payload: str) -> dict[str, Any]:
            return taken(mark)

        @self.lab.flow(site=NAME)
        def study() -> list[Any]:
            given = {"pipeline": "p", "site": "local", "user": "ada", "function": "f", **fields}
            jobs: list[Job] = [work("alpha", mark, json.dumps(given)) for mark in marks]
            return [job.result(raise_on_failure=False) for job in jobs]

        return study

    def take(self) -> Work:
        """Withdraw the next work, as soon as there is one."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            work = self.buckets.withdraw("p")
            if work is not None:
                return work
            time.sleep(0.01)
        raise AssertionError("nothing was deposited")

    def end(self, work: Work, status: WorkStatus = WorkStatus.success, **fields: Any) -> None:
        for name, value in fields.items():
            setattr(work, name, value)
        work.status, work.stop = status, time.time()
        self.buckets.update(work)

    def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < end, "it never happened"
            time.sleep(0.01)

    def statuses(self) -> list[str]:
        return sorted(str(work.status) for work in self.buckets.view(limit=-1))


@pytest.fixture
def stand(lab: Lab, tmp_path: Path) -> Iterator[Stand]:
    made = Stand(lab, tmp_path)
    yield made
    made.buckets.close()


def test_works_are_deposited_together_and_give_what_agents_made(stand: Stand) -> None:
    run: Run = stand.flow(["step:a[0]", "step:a[1]"], tags=["mine"], event=[42]).submit()
    works = [stand.take(), stand.take()]
    assert [work.tags for work in works] == [["mine", "step:a[0]"], ["mine", "step:a[1]"]]
    assert {work.config.parent for work in works} == {run.id}
    for number, work in enumerate(reversed(works)):
        stand.end(work, results={"dm": number}, products=["a.h5"], log=f"log {number}\n")
    assert [found["results"] for found in run.result(30)] == [{"dm": 1}, {"dm": 0}]
    assert run.result()[0] == {"id": works[0].id, "results": {"dm": 1}, "products": ["a.h5"], "plots": None}
    assert run.jobs[0].log() == "log 1\n"
    outcome = run.jobs[0].outcome
    assert outcome is not None
    assert outcome.start == pytest.approx(works[0].start)


def test_states_follow_those_of_the_works(stand: Stand) -> None:
    run: Run = stand.flow(["step:a"]).submit()
    work = stand.take()
    stand.until(lambda: bool(run.jobs) and run.jobs[0].state is JobState.running)
    stand.end(work)
    assert run.result(30)[0]["results"] is None


def test_an_attempt_that_fails_is_no_end_while_there_are_others(stand: Stand) -> None:
    run: Run = stand.flow(["step:a"], retries=2).submit()
    stand.end(stand.take(), WorkStatus.failure, error="not yet")
    stand.buckets.audit()
    second = stand.take()
    assert second.attempt == 2
    stand.end(second, WorkStatus.failure, error="ValueError: too faint\n", host="cedar5")
    error = run.result(30)[0]
    assert isinstance(error, JobFailed)
    assert "WorkFailed" in str(error)
    assert "too faint" in str(error)
    assert "attempt 2 on cedar5" in str(error)


def test_an_attempt_that_was_given_back_is_none_of_the_retries(stand: Stand) -> None:
    run: Run = stand.flow(["step:a"], retries=2).submit()
    stand.buckets.give_back(stand.take())
    stand.end(stand.take(), WorkStatus.failure, error="not yet")
    assert run.jobs[0].state is not JobState.failed
    stand.buckets.audit()
    third = stand.take()
    assert third.attempt == 3
    stand.end(third)
    assert run.result(30)[0]["results"] is None


def test_a_work_that_somebody_deletes_fails_its_job(stand: Stand) -> None:
    run: Run = stand.flow(["step:a"]).submit()
    stand.buckets.delete(stand.take())
    error = run.result(30)[0]
    assert isinstance(error, JobFailed)
    assert "somebody deleted the work" in str(error)


def test_cancelling_deletes_the_works(stand: Stand) -> None:
    run: Run = stand.flow(["step:a[0]", "step:a[1]"]).submit()
    stand.take()
    run.cancel()
    assert stand.statuses() == []
    with pytest.raises(JobCancelled):
        run.result(30)
    assert run.state is RunState.cancelled


class Held:
    """Works are in their bucket, and their ids are not known yet to who deposits them; `go` is when they are."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.there, self.go, self.done = threading.Event(), threading.Event(), threading.Event()
        deposit, submit = Buckets.deposit, Depositor.submit

        def deposited(buckets: Buckets, works: Any) -> list[str]:
            ids = deposit(buckets, works)
            self.there.set()
            self.go.wait(30)
            return ids

        def submitted(*given: Any) -> None:
            submit(*given)
            self.done.set()

        monkeypatch.setattr(Buckets, "deposit", deposited)
        monkeypatch.setattr(Depositor, "submit", submitted)

    def meet(self, act: Callable[[], None]) -> None:
        """Do something while works are being deposited, and return when both are done."""
        assert self.there.wait(30)
        thread = threading.Thread(target=act)
        thread.start()
        thread.join(0.2)  # what does not wait for the deposit is over by then
        self.go.set()
        thread.join(30)
        assert self.done.wait(30)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    made = Held(monkeypatch)
    yield made
    made.go.set()


def test_what_is_just_being_deposited_is_deleted_when_the_run_is_cancelled(stand: Stand, held: Held) -> None:
    run: Run = stand.flow(["step:a[0]", "step:a[1]"]).submit()
    held.meet(run.cancel)
    assert stand.statuses() == []
    with pytest.raises(JobCancelled):
        run.result(30)


def test_what_is_just_being_deposited_is_left_when_the_driver_stops(stand: Stand, held: Held) -> None:
    run: Run = stand.flow(["step:a[0]", "step:a[1]"]).submit()
    held.meet(run._engine._dispatcher.detach)  # the two steps of a stop, with the end of the deposit between them
    run._engine._canceller.stop(None)
    assert stand.statuses() == ["queued", "queued"]
    stand.lab.launcher.close()
    with pytest.raises(RunInterrupted):
        run.result(30)


def test_works_that_nobody_performs_are_told_of(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daskflow.execution.bucketing.unserved.PATIENCE", 0.2)
    run: Run = stand.flow(["step:a[0]", "step:a[1]"]).submit()
    stand.until(lambda: bool(run.events("bucket.unserved")))
    told = run.events("bucket.unserved")[0].data
    assert (told["waiting"], told["bucket"], told["command"]) == (2, "p", "daskflow work run p --site local")
    for _ in range(2):
        stand.end(stand.take())
    run.result(30)


def test_works_that_are_taken_over_are_told_of_as_well(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    study = stand.flow(["step:a"])
    run: Run = study.submit()
    stand.until(lambda: stand.statuses() == ["queued"])
    stand.lab.launcher.close()
    with pytest.raises(RunInterrupted):
        run.result(30)
    monkeypatch.setattr("daskflow.execution.bucketing.unserved.PATIENCE", 0.2)
    stand._equipped(stand.lab)
    again: Run = stand.lab.launcher.resume(study, stand.lab.project.journal.run(run.id), {}, background=True)
    stand.until(lambda: bool(again.events("bucket.unserved")))
    assert again.events("bucket.unserved")[0].data["bucket"] == "p"
    again.cancel()
    assert stand.statuses() == []


def test_a_locked_work_keeps_no_other_from_being_deleted(stand: Stand) -> None:
    run: Run = stand.flow(["step:a[0]", "step:a[1]"]).submit()
    stand.buckets.lock(stand.take())
    run.cancel()
    assert stand.statuses() == ["running"]


def test_pausing_takes_back_what_no_agent_has(stand: Stand) -> None:
    run: Run = stand.flow(["step:a[0]", "step:a[1]"]).submit()
    first = stand.take()
    run.pause()
    stand.until(lambda: stand.statuses() == ["running"])
    stand.end(first, results=1)
    run.resume()
    second = stand.take()
    assert second.tags == ["step:a[1]"]
    stand.end(second, results=2)
    assert [found["results"] for found in run.result(30)] == [1, 2]


def test_a_run_that_is_resumed_takes_its_works_over(stand: Stand) -> None:
    marks = [f"step:a[{number}]" for number in range(4)]
    study = stand.flow(marks, retries=1)
    run: Run = study.submit()
    works = [stand.take() for _ in range(3)]
    stand.end(works[0], results=0)
    stand.until(lambda: run.jobs[0].state.good)
    stand.lab.launcher.close()  # as if the driver had ended: the works know nothing of that
    with pytest.raises(RunInterrupted):
        run.result(30)
    stand.end(works[1], results=1)
    stand.end(works[2], WorkStatus.failure, error="no")
    assert stand.statuses() == ["failure", "queued", "success", "success"]
    stand._equipped(stand.lab)
    record = stand.lab.project.journal.run(run.id)
    again: Run = stand.lab.launcher.resume(study, record, {}, background=True)
    for number in (3, 2):  # the one that had failed for good is deposited anew, behind
        work = stand.take()
        assert work.tags == [marks[number]]
        stand.end(work, results=number)
    assert [found["results"] for found in again.result(30)] == [0, 1, 2, 3]
    assert stand.statuses() == ["failure", *["success"] * 4]


def test_a_work_for_an_unknown_site_ends_the_run(stand: Stand) -> None:
    run: Run = stand.flow(["step:a"], site="moon").submit()
    with pytest.raises(SiteUnknown, match="moon"):
        run.result(30)
    assert stand.statuses() == []


class Flaky(WorkTable):
    """Works in a database that is away now and then."""

    away = threading.Event()

    def deposit(self, works: Any) -> list[str]:
        if self.away.is_set():
            raise StoreUnavailable("the disk is away")
        return super().deposit(works)

    def view(self, view: Any) -> Any:
        if self.away.is_set():
            raise StoreUnavailable("the disk is away")
        return super().view(view)


def test_buckets_that_are_away_are_waited_for(
    stand: Stand, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("daskflow.execution.outages.FIRST", 0.1)
    monkeypatch.setattr(Flaky, "away", threading.Event())
    with_site(stand.lab, Depositor(NAME, lambda: Buckets(Flaky(Database(stand.path))), perform))

    @stand.lab.task(cache="run", version="1")
    def work(step: str, mark: str, payload: str) -> dict[str, Any]:
        return taken(mark)

    @stand.lab.flow(site=NAME)
    def study() -> Any:
        given = json.dumps({"pipeline": "p", "site": "local", "user": "ada", "function": "f"})
        work("a", "step:a", given).result()
        Flaky.away.set()
        return work("b", "step:b", given).result()

    run: Run = study.submit()
    stand.end(stand.take())
    stand.until(lambda: bool(run.events("site.down")))
    Flaky.away.clear()
    second = stand.take()
    Flaky.away.set()
    stand.until(lambda: "cannot be reached" in caplog.text)
    stand.end(second, results=3)
    Flaky.away.clear()
    assert run.result(60)["results"] == 3


def test_buckets_that_are_away_from_the_beginning_leave_a_run_that_can_be_resumed(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Flaky, "away", threading.Event())
    Flaky.away.set()
    with_site(stand.lab, Depositor(NAME, lambda: Buckets(Flaky(Database(stand.path))), perform))
    run: Run = stand.flow(["step:a"]).submit()
    with pytest.raises(SiteError, match="the disk is away"):
        run.result(30)
    assert run.state is RunState.interrupted


def test_the_task_needs_the_site(stand: Stand) -> None:
    with pytest.raises(UsageError, match="daskflow pipeline run"):
        taken("step:a")
