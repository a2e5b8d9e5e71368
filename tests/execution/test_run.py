from __future__ import annotations

import contextvars
import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from daskflow.errors import DaskflowError, JobCancelled, RunFailed, RunInterrupted, SiteUnknown
from daskflow.execution.launcher import Order
from daskflow.execution.run import Run
from daskflow.graph.lenient import allow_failure
from daskflow.model.outcome import Failure
from daskflow.model.states import JobState, RunState
from tests.acceptance.shell import environment
from tests.conftest import Lab
from tests.execution.counting import count, counted
from tests.execution.patience import alive, until

SITES = ["synchronous", "threads"]


def waiting(lab: Lab) -> Any:
    """A task that ends when its file is there."""

    @lab.task
    def wait(directory: str, x: int) -> int:
        count(directory, f"began-{x}")
        while not os.path.exists(f"{directory}/go"):
            time.sleep(0.005)
        return x

    return wait


@dataclasses.dataclass
class Fit:
    chisq: Any
    names: list[str]


class Model(BaseModel):
    best: Any
    all: dict[str, Any]


def test_results_stand_where_their_jobs_were(lab: Lab) -> None:
    @lab.task
    def make(x: int) -> dict[str, Any]:
        return {"value": x, "fit": Fit(x / 2, ["a"])}

    @lab.flow
    def study() -> Any:
        one, two = make(1), make(2)
        return (
            [one["value"], {"deep": (two.output["fit"].chisq, None)}],
            Fit(two["value"], ["b"]),
            Model(best=one, all={"two": two["fit"]}),
            "plain",
        )

    many, fit, model, plain = study()
    assert many == [1, {"deep": (1.0, None)}]
    assert fit == Fit(2, ["b"])
    assert model.best["fit"] == Fit(0.5, ["a"])
    assert model.all["two"] == Fit(1.0, ["a"])
    assert plain == "plain"


def test_a_run_tells_where_it_stands(lab: Lab, notes: str) -> None:
    wait = waiting(lab)

    @lab.flow(site="threads")
    def study() -> Any:
        return [wait(notes, x) for x in range(3)]

    run = study.submit()
    until(lambda: len(counted(notes)) == 2)
    assert str(run.state) == "running"
    assert not run.wait(0.01)
    with pytest.raises(TimeoutError, match=f"The run {run.id} was not finished within 0.01 s"):
        run.result(0.01)
    until(lambda: run.counts() == {"wait": {"running": 2, "queued": 1}})
    assert "<td>2</td>" in run._repr_html_()
    Path(notes, "go").touch()
    assert run.result(30) == [0, 1, 2]
    assert run.wait()
    assert run.state is RunState.succeeded
    assert run.counts() == {"wait": {"succeeded": 3}}
    assert [job.number for job in run.jobs] == [0, 1, 2]
    assert repr(run) == f"<Run {run.id} succeeded>"
    record = lab.project.journal.run(run.id)
    assert (record.state, record.error) == (RunState.succeeded, "")
    assert record.started is not None
    assert record.stopped is not None
    assert record.started <= record.stopped
    assert lab.project.journal.counts(run.id) == {"wait": {"succeeded": 3}}


def test_the_failures_of_a_run_are_listed(lab: Lab) -> None:
    @lab.task
    def bad(x: int) -> int:
        raise ValueError(f"no {x}\nsecond line")

    @lab.task
    def after(x: int) -> int:
        return x

    @lab.flow
    def study(n: int) -> Any:
        return [after(bad(x)) for x in range(n)]

    with pytest.raises(RunFailed) as caught:
        study(30)
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("30 of the 60 jobs of run ")
    assert lines[0].endswith(" failed, 30 were skipped:")
    assert sum(": ValueError: no " in line for line in lines) == 20
    assert any("and 10 more: `daskflow show" in line for line in lines)
    assert 'raise ValueError(f"no {x}\\nsecond line")' in str(caught.value)
    assert isinstance(caught.value.__cause__, ValueError)
    assert lab.project.journal.run("last").error.startswith("30 of the 60 jobs")


def test_a_cancelled_run_ends_and_what_it_did_stays(lab: Lab, notes: str) -> None:
    wait = waiting(lab)

    @lab.task
    def quick(x: int) -> int:
        return x

    @lab.flow(site="threads")
    def study() -> Any:
        done = quick(1)
        done.result()
        return [wait(notes, x) for x in range(5)], done

    run = study.submit()
    until(lambda: len(counted(notes)) == 2)
    run.cancel()
    with pytest.raises(JobCancelled, match=f"The run {run.id} was cancelled"):
        run.result(30)
    assert run.state is RunState.cancelled
    assert run.counts() == {"quick": {"succeeded": 1}, "wait": {"cancelled": 5}}
    assert lab.project.journal.counts(run.id) == run.counts()
    assert lab.project.journal.run(run.id).state is RunState.cancelled
    assert run.jobs[0].result(5) == 1, "what was finished can still be had"
    with pytest.raises(JobCancelled):
        run.jobs[1].result(5)
    Path(notes, "go").touch()


def test_a_run_that_has_ended_is_not_cancelled(lab: Lab) -> None:
    @lab.task
    def work(x: int) -> int:
        return x

    @lab.flow
    def study() -> Any:
        return work(1)

    run = study.submit()
    assert run.result(30) == 1
    run.cancel()
    assert run.state is RunState.succeeded
    assert run.jobs[0].result(5) == 1
    assert lab.project.journal.run(run.id).state is RunState.succeeded


def test_a_run_is_cancelled_from_another_process_by_the_journal(lab: Lab, notes: str) -> None:
    wait = waiting(lab)

    @lab.flow(site="threads")
    def study() -> Any:
        return wait(notes, 1)

    run = study.submit()
    until(lambda: counted(notes))
    lab.project.journal.update_run(run.id, state=RunState.cancelled)
    with pytest.raises(JobCancelled):
        run.result(30)
    assert run.state is RunState.cancelled
    Path(notes, "go").touch()


def test_jobs_of_an_interrupted_run_do_not_keep_anybody_waiting(lab: Lab, notes: str) -> None:
    kept: list[Any] = []
    wait = waiting(lab)

    @lab.flow(site="threads")
    def study() -> Any:
        kept.append(wait(notes, 1))
        lab.project  # noqa: B018
        until(lambda: kept[0].host is not None)
        threading.Thread(target=hear, args=(kept[0],)).start()
        until(lambda: counted(notes))
        raise KeyboardInterrupt

    heard: list[Exception] = []

    def hear(job: Any) -> None:
        try:
            job.result()
        except DaskflowError as error:
            heard.append(error)

    with pytest.raises(KeyboardInterrupt):
        study()
    until(lambda: heard)
    assert isinstance(heard[0], RunInterrupted)
    with pytest.raises(RunInterrupted, match="daskflow resume"):
        kept[0].result()
    record = lab.project.journal.run("last")
    assert record.state is RunState.interrupted
    Path(notes, "go").touch()


def test_a_run_that_has_ended_takes_no_jobs(lab: Lab) -> None:
    @lab.task
    def work(x: int) -> int:
        return x

    late: list[Any] = []

    @lab.flow
    def study() -> Any:
        late.append(lambda: work(work(1)))
        return work(1)

    run = study.submit()
    run.result(30)
    first = run.jobs[0]
    assert first.host is not None
    with pytest.raises(RunInterrupted, match="has ended"):
        first.host.wait(first.host.admit(work(2)), 5)


@pytest.mark.parametrize("site", SITES)
def test_several_runs_of_one_flow_side_by_side(lab: Lab, notes: str, site: str) -> None:
    wait = waiting(lab)

    @lab.task
    def double(x: int) -> int:
        return 2 * x

    @lab.flow(site=site)
    def study() -> Any:
        return [double(wait(notes, x)) for x in range(4)]

    runs = [study.submit() for _ in range(4)]
    until(lambda: counted(notes))
    Path(notes, "go").touch()
    assert [run.result(60) for run in runs] == [[0, 2, 4, 6]] * 4
    assert len({run.id for run in runs}) == 4
    found = lab.project.journal.lookup([job.key for job in runs[0].jobs])
    assert len(found) == 8, "each result is recorded once"


def test_an_unknown_site_is_told_where_it_is_named(lab: Lab) -> None:
    @lab.task
    def work(x: int) -> int:
        return x

    @lab.flow
    def study() -> Any:
        with pytest.raises(SiteUnknown, match=r"'mars'.*local, synchronous, threads"):
            work(1, site="mars").result()
        return work(1)

    assert study() == 1


def test_threads_of_a_flow_may_make_jobs(lab: Lab) -> None:
    @lab.task
    def work(x: int) -> int:
        return x

    @lab.flow(site="threads")
    def study() -> Any:
        found: list[int] = []

        def ask(start: int) -> None:
            found.extend(work(x % 50).result() for x in range(start, start + 100))

        threads = [
            threading.Thread(target=contextvars.copy_context().run, args=(ask, start)) for start in range(0, 200, 50)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        return found

    found = study()
    assert sorted(found) == sorted(x % 50 for start in range(0, 200, 50) for x in range(start, start + 100))


class Odd:
    """Has a key, but does not pickle."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __dask_tokenize__(self) -> str:
        return "odd"


@pytest.mark.parametrize("site", [*SITES, "local"])
def test_an_argument_that_cannot_be_sent_fails_its_job_only(lab: Lab, site: str) -> None:
    @lab.task
    def work(x: Any) -> int:
        return 1

    @lab.task
    def fine(x: int) -> int:
        return x

    @lab.flow(site=site)
    def study() -> Any:
        return [fine(3), work(Odd()), fine(work(Odd()))]

    run = study.submit()
    with pytest.raises(RunFailed, match=r"cannot pickle '_thread\.lock' object"):
        run.result(60)
    assert run.counts() == {"fine": {"succeeded": 1, "skipped": 1}, "work": {"failed": 1}}


@pytest.mark.parametrize("site", SITES)
def test_a_failure_at_one_site_is_heard_at_another(lab: Lab, site: str) -> None:
    @lab.task
    def bad(x: int) -> int:
        raise ValueError(x)

    @lab.task
    def after(x: int) -> int:
        return x

    other = next(name for name in SITES if name != site)

    @lab.flow(site=site)
    def study() -> Any:
        return after(after(bad(1), site=other), site=site)

    for _ in range(5):
        with pytest.raises(RunFailed, match=r"1 of the 3 jobs .* failed, 2 were skipped"):
            study.submit().result(30)


@pytest.mark.parametrize("site", [*SITES, "local"])
def test_a_task_that_waits_for_another_is_an_error_at_every_site(lab: Lab, site: str) -> None:
    @lab.task
    def inner() -> int:
        return 1

    @lab.task
    def outer() -> Any:
        return inner().result()

    @lab.flow(site=site)
    def study() -> Any:
        return outer()

    with pytest.raises(RunFailed, match=r"NotInTask: .*\.function\("):
        study.submit().result(60)


@pytest.mark.parametrize("site", [*SITES, "local"])
def test_timeouts_hold_at_every_site(lab: Lab, site: str) -> None:
    @lab.task(timeout=30)
    def fine(x: int) -> int:
        print("in time")
        return x

    @lab.task(timeout=0.2)
    def stuck(x: int) -> int:
        while True:
            signal.pause()

    @lab.flow(site=site)
    def study() -> Any:
        return fine(1), stuck(2)

    run = study.submit()
    with pytest.raises(RunFailed, match="JobTimeout"):
        run.result(60)
    assert [str(job.state) for job in run.jobs] == ["succeeded", "failed"]
    assert run.jobs[0].log() == "in time\n"


def test_who_watches_gets_the_run_before_it_starts(lab: Lab) -> None:
    seen: list[Run] = []

    @lab.flow
    def study() -> Any:
        return len(seen)

    run = lab.launcher.start(study, {}, background=False, order=Order(on_start=seen.append))
    assert run.result() == 1
    assert seen == [run]


SCRIPT = """
import os, signal, sys, time
from pathlib import Path
from daskflow import flow, task

@task
def work(i):
    Path(f"began-{i}").touch()
    while i and not os.path.exists("go"):
        time.sleep(0.01)
    Path("done").open("a").write(f"{i}\\n")
    return i

@flow(site=SITE)
def study():
    first = work(0)
    first.result()
    return [first, work(1), work(2)]

if __name__ == "__main__":
    print(study())
"""


@contextmanager
def driver(directory: Path, site: str) -> Iterator[subprocess.Popen[str]]:
    (directory / "script.py").write_text(textwrap.dedent(SCRIPT).replace("SITE", repr(site)))
    process = subprocess.Popen(
        [sys.executable, "script.py"],
        cwd=directory,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def group(leader: int) -> list[int]:
    """The living processes of one process group."""
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
    return [pid for pid in pids if alive(pid) and _group_of(pid) == leader]


def _group_of(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


@pytest.mark.parametrize("site", ["local", "threads", "synchronous"])
def test_ctrl_c_interrupts_and_the_run_can_be_resumed(tmp_path: Path, site: str) -> None:
    with driver(tmp_path, site) as process:
        until((tmp_path / "began-1").exists)
        # As a terminal does: all processes of the group get it.
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert process.returncode != 0
        assert "KeyboardInterrupt" in errors
        until(lambda: not group(process.pid), 20)
    shown = _daskflow(tmp_path, "runs", "--json")
    assert '"interrupted"' in shown
    (tmp_path / "go").touch()
    _daskflow(tmp_path, "resume", "last")
    assert '"succeeded"' in _daskflow(tmp_path, "runs", "--json")
    assert sorted((tmp_path / "done").read_text().split()) == ["0", "1", "2"], "what was finished is not done again"


def _daskflow(directory: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "daskflow", *arguments],
        cwd=directory,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout


def test_ctrl_c_twice_ends_at_once(tmp_path: Path) -> None:
    with driver(tmp_path, "local") as process:
        until((tmp_path / "began-1").exists)
        process.send_signal(signal.SIGINT)
        until((tmp_path / ".daskflow" / "journal.db").exists)
        process.send_signal(signal.SIGINT)
        start = time.monotonic()
        process.communicate(timeout=60)
        assert time.monotonic() - start < 15
        until(lambda: not group(process.pid), 20)


def test_numbers_and_attempts_count_on_when_a_run_is_resumed(lab: Lab, notes: str) -> None:
    @lab.task
    def flaky(directory: str) -> int:
        count(directory, "flaky")
        if counted(directory)["flaky"] < 3:
            raise ValueError("not yet")
        return 7

    @lab.task
    def fine(x: int) -> int:
        return x

    @lab.flow
    def study(directory: str) -> Any:
        return [fine(1), flaky(directory), fine(3)]

    with pytest.raises(RunFailed):
        study(notes)
    first = lab.project.journal.run("last")
    for expected in (None, [1, 7, 3]):
        run = lab.launcher.resume(study, lab.project.journal.run(first.id), {"directory": notes}, background=True)
        assert run.id == first.id
        if expected is None:
            with pytest.raises(RunFailed):
                run.result(30)
        else:
            assert run.result(30) == expected
    assert [(job.number, str(job.state)) for job in run.jobs] == [(0, "cached"), (1, "succeeded"), (2, "cached")]
    attempts = lab.project.journal.attempts(first.id)
    assert [(a.number, a.attempt, a.state) for a in attempts] == [
        (0, 1, "succeeded"),
        (1, 1, "failed"),
        (1, 2, "failed"),
        (1, 3, "succeeded"),
        (2, 1, "succeeded"),
    ]
    assert run.jobs[1].attempts == 3
    record = lab.project.journal.run(first.id)
    assert (record.state, record.error) == (RunState.succeeded, "")
    assert {job.state for job in lab.project.journal.jobs(first.id)} == {JobState.cached, JobState.succeeded}


@pytest.mark.parametrize("when", [True, False])
def test_a_failure_that_another_job_got_as_a_value_fails_the_run_only_if_that_job_was_skipped(
    lab: Lab, when: bool
) -> None:
    @lab.task
    def ask() -> int:
        raise ConnectionError("nobody answers")

    @lab.task
    def go_on(found: Any) -> str:
        return "without" if isinstance(found, Failure) else "with"

    @lab.flow
    def study() -> Any:
        asked = ask()
        went = go_on(allow_failure(asked), when=asked.failed if when else asked.succeeded)
        return went if when else None

    if when:
        assert study() == "without"
    else:
        with pytest.raises(RunFailed, match="nobody answers"):
            study()


def test_a_body_that_raises_lets_the_runs_below_go_on_to_their_ends(lab: Lab, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    path = str(gate)

    @lab.task
    def wait(path: str) -> int:
        while not os.path.exists(path):
            time.sleep(0.005)
        return 7

    @lab.flow(site="threads")
    def below(path: str) -> Any:
        return wait(path)

    @lab.flow
    def study(path: str) -> Any:
        below.submit(path)
        raise ValueError("not today")

    run = study.submit(path)
    until(lambda: run.children and run.children[0].jobs)
    assert not run.ended
    gate.touch()
    with pytest.raises(ValueError, match="not today"):
        run.result(60)
    assert run.children[0].result(0) == 7


def test_ctrl_c_lets_no_run_below_wait_for_the_store(lab: Lab) -> None:
    begun, gate = threading.Event(), threading.Event()
    runs: list[Run] = []

    @lab.flow
    def last() -> None:
        begun.set()
        gate.wait(60)

    @lab.flow
    def below() -> None:
        last.submit()
        gate.wait(60)

    @lab.flow
    def study() -> None:
        below.submit()
        assert begun.wait(60)
        until(lambda: len(runs[0]._tree()) == 3)
        raise KeyboardInterrupt

    told: list[bool] = []

    def watch(run: Run) -> None:
        runs.append(run)
        stop = run._engine.stop

        def stopped() -> None:
            told.extend(each._engine.hurried.is_set() for each in run._tree())
            gate.set()
            stop()

        run._engine.stop = stopped  # type: ignore[method-assign, assignment]

    with pytest.raises(KeyboardInterrupt):
        lab.launcher.start(study, {}, background=False, order=Order(on_start=watch))
    assert told == [True] * 3, "before the first of them is waited for"


def test_a_failure_that_somebody_started_in_spite_of_does_not_fail_the_run(lab: Lab) -> None:
    @lab.task
    def bad() -> int:
        raise ValueError("no")

    @lab.task
    def mend() -> str:
        return "mended"

    @lab.flow
    def dealt_with() -> Any:
        return mend(when=bad().failed)

    @lab.flow
    def ignored() -> Any:
        bad()
        return mend()

    @lab.flow
    def in_vain() -> Any:
        return mend(when=bad().succeeded).finished.wait()

    assert dealt_with() == "mended"
    for study in (ignored, in_vain):
        with pytest.raises(RunFailed, match="ValueError: no"):
            study()
