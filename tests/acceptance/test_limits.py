"""Limits hold: of time, of memory, of a worker's life; and what is cancelled is dead."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daskflow.errors import JobFailed
from daskflow.execution.run import Run
from daskflow.model.records import AttemptRecord
from daskflow.model.states import JobState, RunState
from daskflow.settings.options import SiteSettings
from tests.conftest import Lab, settings_in
from tests.execution.patience import alive, until
from tests.sites.deeds import loop, noted, program

LIMIT = 5.0
"""In this time after a limit was passed, or a job was cancelled, nothing of it is alive [s]."""


@pytest.fixture
def narrow(tmp_path: Path) -> Iterator[Lab]:
    """A laboratory with one slot, in a process of its own, that is warm."""
    lab = Lab(settings_in(tmp_path, sites={"local": SiteSettings(workers=1)}, site="local"), {})

    @lab.flow
    def warm_up() -> Any:
        return lab.task(os.getpid, name="getpid", cache=False)()

    warm_up()
    yield lab
    lab.close()


def python() -> None:
    print("in Python")
    while True:
        pass


def compiled() -> None:
    print("in C")
    sum(itertools.repeat(0))


@pytest.mark.parametrize("function", [python, compiled])
def test_endless_loops_end_in_time_and_their_slot_is_free(narrow: Lab, function: Any) -> None:
    endless = narrow.task(function, timeout="2 s", cache=False)
    pid = narrow.task(os.getpid, name="getpid", cache=False)

    @narrow.flow
    def study() -> Any:
        return endless().result(30, raise_on_failure=False), pid()

    @narrow.flow
    def where() -> Any:
        return pid()

    before = where()
    start = time.monotonic()
    error, after = study()
    assert time.monotonic() - start < LIMIT
    assert isinstance(error, JobFailed)
    assert "longer than its timeout of 2 s" in str(error)
    assert str(error).rstrip().endswith(f"in {'C' if function is compiled else 'Python'}")
    assert after == before, "the worker itself was left alone"


def test_who_uses_too_much_memory_is_told_how_much(narrow: Lab) -> None:
    @narrow.task(resources={"memory": "100 MiB"})
    def hog() -> None:
        print("hungry")
        kept = []
        while True:
            kept.append(bytearray(os.urandom(2**20)) * 10)

    @narrow.task
    def modest(x: int) -> int:
        return x

    @narrow.flow
    def study() -> Any:
        return hog().result(60, raise_on_failure=False), modest(3)

    error, value = study()
    assert value == 3
    text = str(error)
    assert "OutOfMemory" in text
    assert "where it may use 100 MiB" in text
    assert text.rstrip().endswith("hungry")


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Lab]:
    """A laboratory with two slots in one worker process, so that jobs have neighbours."""
    sites = {"local": SiteSettings(workers=1, threads=2), "threads": SiteSettings(kind="threads", workers=2)}
    lab = Lab(settings_in(tmp_path, sites=sites, site="local"), {})
    yield lab
    lab.close()


def test_a_lost_worker_is_charged_to_the_job_that_lost_it(narrow: Lab) -> None:
    @narrow.task
    def deadly() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    @narrow.task
    def neighbour(n: int) -> int:
        return n

    @narrow.flow
    def study() -> Any:
        bad, jobs = deadly(), [neighbour(n) for n in range(8)]
        return bad.result(90, raise_on_failure=False), jobs

    run = study.submit()
    error, values = run.result(120)
    assert values == list(range(8))
    assert isinstance(error, JobFailed)
    assert "killed by SIGKILL" in str(error)
    deaths, others = attempts_of(narrow, run, "deadly")
    assert [attempt.attempt for attempt in deaths] == [1, 2, 3, 4]
    assert all("killed by SIGKILL" in attempt.error_message for attempt in deaths)
    assert len({attempt.pid for attempt in deaths[:3]}) == 3, "each names the process that was lost"
    assert [(attempt.attempt, attempt.state) for attempt in others] == [(1, "succeeded")] * 8


def attempts_of(lab: Lab, run: Run, task: str) -> tuple[list[AttemptRecord], list[AttemptRecord]]:
    """What the journal tells of the attempts at the jobs of a task, and of those at all others."""
    numbers = {job.number for job in run.jobs if job.task.policy.name == task}
    found = lab.project.journal.attempts(run.id)
    return [one for one in found if one.number in numbers], [one for one in found if one.number not in numbers]


@pytest.mark.parametrize("site", ["local", "threads"])
@pytest.mark.parametrize("whole", [True, False])
def test_what_is_cancelled_is_dead(pair: Lab, tmp_path: Path, site: str, whole: bool) -> None:
    pids = tmp_path / "pids"

    @pair.task
    def endless(path: str) -> None:
        loop(path)

    @pair.task(timeout="1000 s")
    def programs(path: str) -> None:
        program(path)

    @pair.task
    def after(value: Any) -> Any:
        return value

    @pair.flow(site=site)
    def study(path: str) -> Any:
        return [after(endless(path)), after(programs(path))]

    run = study.submit(str(pids))
    until(lambda: len(noted(pids)) == 4)
    start = time.monotonic()
    if whole:
        run.cancel()
    else:
        for job in [job for job in run.jobs if job.task.policy.name != "after"]:
            job.cancel()
    assert not any(alive(pid) for pid in noted(pids) if pid not in workers_of(pair, site))
    assert time.monotonic() - start < LIMIT
    assert run.wait(30)
    assert run.state is (RunState.cancelled if whole else RunState.failed)
    ends = {(str(job.task.policy.name), job.state) for job in run.jobs}
    last = JobState.cancelled if whole else JobState.skipped
    assert ends == {("endless", JobState.cancelled), ("programs", JobState.cancelled), ("after", last)}
    until(lambda: not [key for key in scheduler_of(pair, site).tasks if "-" in str(key)], 10)


def scheduler_of(lab: Lab, site: str) -> Any:
    cluster: Any = lab.project.site(site)
    return cluster._closing[0].scheduler


def workers_of(lab: Lab, site: str) -> set[int]:
    """Ids of the processes of the workers, which may go on."""
    return {worker.pid for worker in scheduler_of(lab, site).workers.values()}
