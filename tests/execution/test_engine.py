from __future__ import annotations

import os
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daskflow.errors import (
    ForeignJob,
    JobCycle,
    JobFailed,
    JobSkipped,
    RunFailed,
    SiteError,
    StoreFull,
)
from daskflow.execution.engine import Engine
from daskflow.execution.worker.attempt import current
from daskflow.graph.host import CURRENT_HOST, CURRENT_SITE
from daskflow.model.states import JobState, RunState
from tests.conftest import Lab
from tests.execution.counting import count, counted
from tests.stores.samples import writer_of

SITES = ["synchronous", "threads", "local"]


@pytest.mark.parametrize("site", SITES)
def test_every_site_gives_the_same_keys_and_the_same_result(lab: Lab, site: str) -> None:
    @lab.task
    def square(x: int) -> int:
        return x * x

    @lab.task
    def total(parts: dict[str, list[int]]) -> int:
        return sum(parts["squares"])

    @lab.flow(site=site)
    def study(n: int) -> Any:
        squares = [square(i) for i in range(n)]
        return {"total": total({"squares": squares}), "last": squares[-1]}

    run = study.submit(30)
    assert run.result(60) == {"total": 8555, "last": 841}
    assert run.state is RunState.succeeded
    assert {job.state for job in run.jobs} == {JobState.succeeded}
    assert lab.project.journal.counts(run.id) == {"square": {"succeeded": 30}, "total": {"succeeded": 1}}
    # The one key that all sites, processes and machines must agree on.
    assert run.jobs[-1].key == "total-a9b18ec060b2d662bd6dd27250b0be76"


@pytest.mark.parametrize("site", SITES)
def test_what_is_finished_is_not_done_again(lab: Lab, notes: str, site: str) -> None:
    def declare(lab: Lab) -> Any:
        @lab.task
        def work(x: int) -> int:
            count(notes, f"work-{x}")
            return x + 1

        @lab.flow(site=site)
        def study(n: int) -> Any:
            return [work(work(i)) for i in range(0, n, 10)]

        return study

    first = declare(lab)(50)
    second = declare(lab.again()).submit(50)
    assert second.result(60) == first == [2, 12, 22, 32, 42]
    assert {job.state for job in second.jobs} == {JobState.cached}
    assert set(counted(notes).values()) == {1}


@pytest.mark.parametrize("site", SITES)
def test_failure_takes_down_only_what_depends_on_it(lab: Lab, site: str) -> None:
    @lab.task
    def parse(text: str) -> int:
        print("parsing", text)
        return int(text)

    @lab.task
    def add(a: int, b: int) -> int:
        return a + b

    @lab.flow(site=site)
    def study() -> Any:
        good, bad = parse("1"), parse("one")
        return [add(good, 1), add(bad, 1), add(add(bad, 2), 3)]

    run = study.submit()
    with pytest.raises(RunFailed, match=r"1 of the 6 jobs .* failed, 3 were skipped") as caught:
        run.result(60)
    assert "invalid literal for int() with base 10: 'one'" in str(caught.value)
    assert "return int(text)" in str(caught.value)
    assert isinstance(caught.value.__cause__, ValueError)
    assert [str(job.state) for job in run.jobs] == ["succeeded", "failed", "succeeded", "skipped", "skipped", "skipped"]
    bad = next(job for job in run.jobs if job.state is JobState.failed)
    assert bad.log().startswith("parsing one\n")
    assert all(bad.key in job.reason for job in run.jobs if job.state is JobState.skipped)
    assert run.state is RunState.failed
    assert [event.kind for event in run.events("job.failed")] == ["job.failed"]


def test_a_failure_that_the_flow_looked_at_does_not_fail_the_run(lab: Lab) -> None:
    @lab.task
    def boom(x: int) -> int:
        raise ValueError(x)

    @lab.task
    def fine(x: int) -> int:
        return x

    @lab.flow
    def study() -> Any:
        jobs = [fine(1), boom(2)]
        errors = [job.result(raise_on_failure=False) for job in jobs]
        with pytest.raises(JobSkipped):
            fine(jobs[1]).result()
        return errors[0], type(errors[1]).__name__

    assert study() == (1, "JobFailed")


def test_an_error_of_the_flow_itself_is_raised_as_it_is(lab: Lab, notes: str) -> None:
    @lab.task
    def work(x: int) -> int:
        count(notes, str(x))
        return x

    @lab.flow
    def study() -> Any:
        work(1)
        raise KeyError("in the body")

    with pytest.raises(KeyError, match="in the body"):
        study()
    assert counted(notes) == {"1": 1}, "jobs that were made go on"


@pytest.mark.parametrize("site", SITES)
def test_results_decide_what_runs_next(lab: Lab, site: str) -> None:
    @lab.task
    def halve(x: float) -> float:
        return x / 2

    @lab.flow(site=site)
    def study(x: float) -> Any:
        job = halve(x)
        while job.result(30) > 1:
            job = halve(job)
        return job

    assert study(100.0) == 0.78125


def test_large_results_go_to_the_artifact_store(lab: Lab, tmp_path: Path) -> None:
    @lab.task
    def grid(n: int) -> Any:
        return np.arange(n * n, dtype=float).reshape(n, n)

    @lab.task
    def mean(data: Any) -> float:
        return float(data.mean())

    @lab.flow(site="local")
    def study(n: int) -> Any:
        data = grid(n)
        return data, mean(data), mean(data[0])

    data, whole, first = study(200)
    assert data.shape == (200, 200)
    assert (whole, first) == (19999.5, 99.5)
    objects = [path for path in (tmp_path / "artifacts").rglob("*") if path.is_file() and path.stat().st_size > 300_000]
    assert len(objects) == 1
    with sqlite3.connect(tmp_path / "journal.db") as database:
        assert database.execute("SELECT format, size FROM results WHERE inline IS NULL").fetchall() == [("npy", 320128)]
    database.close()


def test_a_result_whose_object_was_removed_is_made_anew(lab: Lab, tmp_path: Path, notes: str) -> None:
    @lab.task
    def grid(n: int) -> Any:
        count(notes, "grid")
        return np.zeros(n)

    @lab.flow
    def study() -> Any:
        return grid(50_000)

    study()
    for path in (tmp_path / "artifacts").rglob("*"):
        if path.is_file():
            path.unlink()
    assert study().shape == study().shape == (50_000,)
    assert counted(notes) == {"grid": 2}


def test_what_nobody_needs_is_not_run(lab: Lab, notes: str) -> None:
    @lab.task(cache="run")
    def prepare(x: int) -> int:
        count(notes, "prepare")
        return x

    @lab.task(version="1")
    def fit(x: int) -> int:
        count(notes, "fit")
        return x * 2

    @lab.flow
    def study() -> Any:
        return fit(prepare(4))

    assert study() == 8
    run = study.submit()
    assert run.result(10) == 8
    assert counted(notes) == {"fit": 1, "prepare": 2}, "its key is new in each run, but the same inputs are known"


def test_early_cutoff_stops_where_the_bytes_are_the_same(lab: Lab, notes: str) -> None:
    def study_with(version: str) -> Any:
        @lab.task(version=version)
        def clean(x: int) -> int:
            count(notes, f"clean-{version}")
            return abs(x)

        @lab.task
        def fit(x: int, y: int) -> int:
            count(notes, "fit")
            return x * 10 + y

        @lab.task
        def show(x: int) -> str:
            count(notes, "show")
            return f"<{x}>"

        @lab.flow
        def study(x: int) -> Any:
            return show(fit(clean(x), 1))

        return study

    assert study_with("1")(-3) == "<31>"
    run = study_with("2").submit(-3)
    assert run.result(10) == "<31>"
    assert [str(job.state) for job in run.jobs] == ["succeeded", "cached", "cached"]
    assert counted(notes) == {"clean-1": 1, "clean-2": 1, "fit": 1, "show": 1}


def test_tasks_that_are_never_remembered(lab: Lab, notes: str) -> None:
    @lab.task(cache=False)
    def now() -> str:
        count(notes, "now")
        return "now"

    @lab.flow
    def study() -> Any:
        return [now(), now()]

    run = study.submit()
    assert run.result(10) == ["now", "now"]
    assert len({job.key for job in run.jobs}) == 2, "two equal calls are two jobs"
    assert study() == ["now", "now"]
    assert counted(notes) == {"now": 4}


def test_a_job_of_another_run_is_refused(lab: Lab) -> None:
    @lab.task
    def work(x: int) -> int:
        return x

    kept: list[Any] = []

    @lab.flow
    def first() -> Any:
        kept.append(work(1))
        return kept[0]

    @lab.flow
    def second() -> Any:
        return work(kept[0])

    first()
    with pytest.raises(ForeignJob, match=kept[0].key):
        second()


def test_a_circle_is_an_error(lab: Lab) -> None:
    @lab.task
    def work(x: int) -> int:
        return x

    @lab.flow
    def study() -> Any:
        one = work(1)
        two = work(one)
        one.upstream = (two,)
        return two

    with pytest.raises(JobCycle, match="work-"):
        study()


def test_a_run_may_use_several_sites(lab: Lab) -> None:
    @lab.task
    def where(x: Any) -> Any:
        return [*x, (os.getpid(), threading.current_thread().name)]

    @lab.flow
    def study() -> Any:
        token = CURRENT_SITE.set("local")
        far = where([])
        CURRENT_SITE.reset(token)
        near = where(far)
        return where(near, site="threads")

    far, near, threaded = study()
    assert far[0] != os.getpid() == near[0] == threaded[0]
    assert near[1] != threaded[1]


def test_a_site_that_does_not_open_interrupts_the_run(lab: Lab) -> None:
    @lab.task
    def work(x: int) -> int:
        return x

    lab.project._sites["broken"] = _Broken()
    lab.project._makers = {**lab.project._makers, "broken": _Broken}

    @lab.flow(site="broken")
    def study() -> Any:
        return work(1)

    run = study.submit()
    with pytest.raises(SiteError, match="no route"):
        run.result(10)
    assert run.state is RunState.interrupted


class _Broken:
    name = "broken"
    slots = 1
    bundles = False
    chains = True

    def submit(self, *args: Any) -> None:
        raise SiteError("no route to the scheduler")

    def fit(self, needs: Any) -> str:
        return ""

    def larger(self, needs: Any) -> None: ...
    def leave(self, listener: Any) -> None: ...
    def release(self, keys: Any) -> None: ...
    def recall(self, keys: Any) -> set[str]:
        return set(keys)

    def kill(self, keys: Any) -> set[str]:
        return set(keys)

    def running(self) -> list[str]:
        return []

    def address(self) -> str:
        return ""

    def rest(self) -> None: ...
    def close(self) -> None: ...


def test_a_full_disk_stops_the_run_and_what_was_recorded_is_good(lab: Lab, tmp_path: Path) -> None:
    @lab.task
    def work(x: int) -> bytes:
        return bytes(20_000)

    @lab.flow
    def study(n: int) -> Any:
        work(0).result()
        lab.project.writer.flush()
        for i in range(1, n):
            work(i).result()

    project = lab.project
    project.journal.runs()
    project.writer.call(lambda journal: writer_of(journal.database).execute("PRAGMA max_page_count = 400"))
    project.writer.flush()
    run = study.submit(500)
    with pytest.raises(StoreFull):
        run.result(60)
    assert run.state is RunState.interrupted
    lab.close()
    with sqlite3.connect(tmp_path / "journal.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        recorded = database.execute("SELECT count(*) FROM results").fetchone()[0]
    database.close()
    assert 0 < recorded < 500


def test_a_run_whose_last_records_cannot_be_written_did_not_succeed(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(journal: Any) -> None:
        raise StoreFull

    wait_all = Engine.wait_all

    def wait_all_then_lose(engine: Engine) -> None:
        wait_all(engine)
        lab.project.writer.call(lose)

    @lab.task
    def last() -> int:
        return 1

    @lab.flow
    def study() -> Any:
        return last()

    monkeypatch.setattr(Engine, "wait_all", wait_all_then_lose)
    run = study.submit()
    with pytest.raises(StoreFull):
        run.result(60)
    assert run.state is RunState.interrupted


@pytest.mark.parametrize("site", SITES)
def test_a_result_that_does_not_serialise_fails_its_job_and_names_the_type(lab: Lab, site: str) -> None:
    @lab.task
    def handle() -> Any:
        return threading.Lock()

    @lab.flow(site=site)
    def study() -> Any:
        return handle()

    with pytest.raises(RunFailed, match=r"NotSerialisable.*lock"):
        study()


class Box:
    """An object in which nobody looks for jobs."""

    def __init__(self, content: Any) -> None:
        self.content = content


def test_a_job_that_is_hidden_in_what_a_task_returns_is_an_error(lab: Lab) -> None:
    @lab.task
    def inner() -> int:
        return 1

    @lab.task
    def outer() -> Any:
        return Box(inner())

    @lab.flow(site="local")
    def study() -> Any:
        return outer()

    with pytest.raises(RunFailed, match="cannot leave the process"):
        study()


def test_retries_and_attempts_are_recorded(lab: Lab, notes: str) -> None:
    @lab.task(retries=3, retry_on=(OSError,), backoff=0.001)
    def fetch(x: int) -> int:
        count(notes, "fetch")
        if current().number < 3:
            raise OSError("not yet")
        return x

    @lab.task(retries=3, retry_on=(OSError,))
    def parse(x: int) -> int:
        count(notes, "parse")
        raise ValueError("never")

    @lab.flow
    def study() -> Any:
        return fetch(1), parse(2).result(raise_on_failure=False) and 0

    run = study.submit()
    assert run.result(10) == (1, 0)
    assert counted(notes) == {"fetch": 3, "parse": 1}
    attempts = lab.project.journal.attempts(run.id)
    assert [(a.number, a.attempt, a.state) for a in attempts] == [
        (0, 1, "failed"),
        (0, 2, "failed"),
        (0, 3, "succeeded"),
        (1, 1, "failed"),
    ]


def test_outcome_tells_what_the_attempt_used(lab: Lab) -> None:
    @lab.task
    def burn(n: int) -> int:
        data = np.ones(n)
        total = 0.0
        for _ in range(20):
            total += float((data * data).sum())
        return int(total)

    @lab.flow(site="local")
    def study() -> Any:
        return burn(4_000_000)

    run = study.submit()
    run.result(60)
    outcome = run.jobs[0].outcome
    assert outcome is not None
    assert outcome.stop > outcome.start
    assert outcome.cpu > 0.01
    assert outcome.memory > 60e6
    assert outcome.host


def test_hand_made_hosts_see_numbers_and_states(lab: Lab) -> None:
    @lab.task
    def work(x: int) -> int:
        return x

    project = lab.project
    engine = Engine(project, "a-run", "synchronous")
    token = CURRENT_HOST.set(engine)
    try:
        one, two, again = work(1), work(2), work(1)
    finally:
        CURRENT_HOST.reset(token)
    assert again is one
    assert [one.number, two.number] == [0, 1]
    engine.wait_all()
    assert engine.gather([one, two]) == {one.key: 1, two.key: 2}
    engine.close()
    assert [record.state for record in project.journal.jobs("a-run")] == [JobState.succeeded] * 2


def test_waiting_has_a_timeout(lab: Lab, tmp_path: Path) -> None:
    gate = str(tmp_path / "gate")

    @lab.task
    def stuck(x: int) -> int:
        while not os.path.exists(gate):
            time.sleep(0.01)
        return x

    @lab.flow(site="threads")
    def study() -> Any:
        job = stuck(1)
        with pytest.raises(TimeoutError, match="not finished within"):
            job.result(0.05)
        Path(gate).touch()
        return job

    assert study() == 1


def test_code_that_changes_between_call_and_sending_is_not_remembered_under_the_old_key(lab: Lab) -> None:
    factor = 3

    def scaled(x: int) -> int:
        return x * factor

    task = lab.task(scaled)
    job = task(10)
    factor = 4
    with pytest.raises(JobFailed, match="Call the task again"):
        job.result(10)
    assert task(10).result(10) == 40


def test_a_result_whose_bytes_are_away_for_a_while_is_not_forgotten(lab: Lab, notes: str, tmp_path: Path) -> None:
    @lab.task
    def large(directory: str) -> bytes:
        count(directory, "large")
        return b"x" * 200_000

    @lab.flow
    def study(directory: str) -> Any:
        return large(directory)

    study(notes)
    artifacts, away = tmp_path / "artifacts", tmp_path / "away"
    artifacts.rename(away)
    assert study.plan(notes).jobs[0].record.state is JobState.queued
    away.rename(artifacts)
    assert study.plan(notes).jobs[0].record.state is JobState.cached
    artifacts.rename(away)
    assert len(study(notes)) == len(study(notes)) == 200_000
    assert counted(notes)["large"] == 2, "the new result takes the place of the lost one"


class _Watched:
    """A lock that tells when somebody tried in vain to get it."""

    def __init__(self, lock: Any, tried: threading.Event) -> None:
        self._lock, self._tried = lock, tried

    def acquire(self, blocking: bool = True) -> bool:
        got: bool = self._lock.acquire(blocking=blocking)
        if not got:
            self._tried.set()
        return got

    def release(self) -> None:
        self._lock.release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


def test_a_job_that_is_freed_while_somebody_flushes_is_planned(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, tried = tmp_path / "go", threading.Event()

    @lab.task(cache=False)
    def first(path: str) -> None:
        while not os.path.exists(path):
            time.sleep(0.01)

    @lab.task(cache=False)
    def second() -> int:
        return 2

    @lab.flow(site="threads")
    def study() -> Any:
        one = first(str(go))
        two = second(when=one.succeeded)
        with pytest.raises(TimeoutError):
            two.result(0.1)
        engine: Any = CURRENT_HOST.get()
        dispatch = engine._dispatcher.dispatch

        def slowly() -> None:
            go.touch()
            assert tried.wait(60), "the engine's own thread wanted to plan what was freed"
            dispatch()

        with monkeypatch.context() as patched:
            patched.setattr(engine, "_flushing", _Watched(engine._flushing, tried))
            patched.setattr(engine._dispatcher, "dispatch", slowly)
            engine._dispatcher.due = True
            engine.flush()
        return two.result(30)

    assert study() == 2
