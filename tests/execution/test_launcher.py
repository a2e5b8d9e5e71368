from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daskflow.errors import JobFailed, NotInTask, RunBusy, RunInterrupted, SiteUnknown, StoreFull, StoreUnavailable
from daskflow.execution import engine
from daskflow.execution.admission import Admission
from daskflow.execution.family import Family
from daskflow.execution.launcher import Order, target_of
from daskflow.execution.target import load_flow
from daskflow.execution.worker.attempt import CURRENT_ATTEMPT, Attempt
from daskflow.graph.host import CURRENT_SITE
from daskflow.model.states import RunState
from daskflow.sites import Site
from daskflow.stores import writer
from tests.acceptance.shell import environment
from tests.conftest import Lab, settings_in
from tests.execution.counting import count, counted
from tests.execution.patience import alive, until
from tests.services.postgres import Postgres


@pytest.fixture
def work(lab: Lab) -> Any:
    @lab.task
    def work(x: int) -> int:
        return x + 1

    return work


def test_equal_calls_outside_of_flows_are_one_job(lab: Lab, work: Any) -> None:
    first, second = work(1), work(1)
    assert first is not second
    assert first.result(10) == second.result(10) == 2
    for job in (first, second):
        assert (str(job.state), job.number, job.attempts) == ("succeeded", 0, 1)
        assert job.outcome is first.outcome
    assert work(work(1)).result(10) == 3, "an argument that equals an earlier job"
    assert work(second).result(10) == 3
    lab.project.writer.flush()
    assert len(lab.project.journal.jobs(lab.project.journal.run("last").id)) == 2


def test_failed_jobs_can_be_asked_again(lab: Lab) -> None:
    @lab.task
    def bad(x: int) -> int:
        raise ValueError(x)

    for _ in range(2):
        with pytest.raises(JobFailed, match="ValueError: 1") as caught:
            bad(1).result(10)
        assert isinstance(caught.value.__cause__, ValueError)


def test_a_job_made_outside_that_equals_one_of_the_flow(lab: Lab, work: Any) -> None:
    early = work(1)
    user = work(early)

    @lab.flow
    def study() -> Any:
        own = work(1)
        return own, work(user), work(early)

    assert study() == (2, 4, 3)


def test_the_session_ends_with_the_launcher(lab: Lab, work: Any) -> None:
    assert work(1).result(10) == 2
    journal = lab.project.journal
    run = journal.run("last").id
    assert (journal.run(run).flow, journal.run(run).state) == ("session", RunState.running)
    lab.close()
    assert journal.run(run).state is RunState.succeeded
    assert work(2).result(10) == 3, "another session"
    assert len(journal.runs()) == 2


def test_a_session_that_cannot_go_on_makes_room_for_another(lab: Lab, work: Any) -> None:
    assert work(1).result(10) == 2
    journal = lab.project.journal
    broken = journal.run("last").id

    def fill(journal: Any) -> None:
        raise StoreFull()

    lab.project.writer.call(fill)
    with pytest.raises(StoreFull):
        lab.project.writer.flush()
    assert work(2).result(10) == 3
    assert journal.run(broken).state is RunState.interrupted
    assert journal.run("last").id != broken


def test_ctrl_c_in_a_session_loses_nothing(lab: Lab, tmp_path: Path) -> None:
    notes = str(tmp_path / "notes")
    os.mkdir(notes)

    @lab.task
    def slow(x: int) -> int:
        return x

    @lab.task(version="1")
    def press(x: int) -> int:
        count(notes, "pressed")
        if counted(notes)["pressed"] == 1:
            raise KeyboardInterrupt
        return x

    job = slow(press(slow(1)))
    with pytest.raises(KeyboardInterrupt):
        job.result(10)
    assert job.result(10) == 1, "what was interrupted is performed when somebody asks again"
    assert counted(notes) == {"pressed": 2}


def test_a_run_is_recorded_before_it_starts(lab: Lab, work: Any) -> None:
    @lab.flow(site="threads")
    def study(n: int, name: str, options: dict[str, Any]) -> Any:
        return work(n)

    run = study.submit(3, "x" * 1000, {"a": 1})
    record = lab.project.journal.run(run.id)
    assert (record.flow, record.site, record.target) == ("study", "threads", "")
    assert record.arguments == {"n": 3, "name": "x" * 200 + "...", "options": "{'a': 1}"}
    assert record.payload is not None
    assert (record.pid, record.state in (RunState.running, RunState.succeeded)) == (os.getpid(), True)
    run.result(30)


def test_ids_name_directories_and_can_be_sorted(lab: Lab) -> None:
    @lab.flow
    def study() -> int:
        return 1

    study.name = "über/study ../x"
    ids = [study.submit().id for _ in range(3)]
    assert all(set(id) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") for id in ids)
    assert len(set(ids)) == 3


def test_arguments_that_do_not_pickle_only_keep_a_run_from_being_resumed(lab: Lab) -> None:
    @lab.flow
    def study(lock: Any) -> int:
        return 1

    assert study(threading.Lock()) == 1
    record = lab.project.journal.run("last")
    assert record.payload is None
    assert record.arguments["lock"].startswith("<unlocked _thread.lock")


def test_the_order_comes_before_the_flow_and_the_project(lab: Lab, work: Any) -> None:
    @lab.flow(site="threads")
    def study() -> Any:
        return work(1)

    run = lab.launcher.start(study, {}, background=True, order=Order(site="synchronous", target="here.py:study"))
    assert run.result(30) == 2
    record = lab.project.journal.run(run.id)
    assert (record.site, record.target) == ("synchronous", "here.py:study")
    with pytest.raises(SiteUnknown):
        lab.launcher.start(study, {}, background=True, order=Order(site="mars"))
    assert len(lab.project.journal.runs()) == 1, "nothing was recorded"


def test_inside_a_task_no_run_starts(lab: Lab, work: Any) -> None:
    @lab.flow
    def study() -> Any:
        return 1

    token = CURRENT_ATTEMPT.set(Attempt("outer-1", 1, "a-run", None))
    try:
        for ask in (study, study.plan, work(1).result):
            with pytest.raises(NotInTask, match=r"outer-1 .*NAME\.function"):
                ask()
        with pytest.raises(NotInTask, match="Return what `submit` gave"):
            study.submit().result()
    finally:
        CURRENT_ATTEMPT.reset(token)


def test_closing_interrupts_runs_in_the_background(lab: Lab, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    path = str(gate)

    @lab.task
    def wait(x: int) -> int:
        while not os.path.exists(path):
            time.sleep(0.005)
        return x

    @lab.flow(site="threads")
    def study() -> Any:
        return wait(1)

    run = study.submit()
    until(lambda: run.jobs)
    lab.close()
    with pytest.raises(RunInterrupted):
        run.result(30)
    assert run.state is RunState.interrupted
    gate.touch()


def test_a_closed_launcher_can_be_closed_again(lab: Lab) -> None:
    lab.close()
    lab.close()


MODULE = """
from daskflow import flow

@flow
def study(n: int = 1):
    return n

def make():
    @flow
    def inner():
        return 1
    return inner
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A module that can be imported by its name."""
    (tmp_path / "a_module_of_flows.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield load_flow("a_module_of_flows:study").flow
    sys.modules.pop("a_module_of_flows", None)


def test_how_a_flow_is_found_again(module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert target_of(module) == "a_module_of_flows:study"
    monkeypatch.setattr(module, "__module__", "not_to_be_found_anywhere")
    assert target_of(module) == f"{tmp_path / 'a_module_of_flows.py'}:study", "a file that was loaded by its path"
    monkeypatch.setattr(module, "__module__", "__main__")
    assert target_of(module) == f"{tmp_path / 'a_module_of_flows.py'}:study", "a script"
    assert target_of(sys.modules["a_module_of_flows"].make()) == "", "made by a function"
    (tmp_path / "a_module_of_flows.py").unlink()
    assert target_of(module) == "", "a cell of a notebook"


SESSION = """
import os, sys
from daskflow import flow, task

@task
def work(x):
    return os.getpid()

@flow
def study():
    return [work(i) for i in range(4)]

if __name__ == "__main__":
    print(*study(), *[work(i).result() for i in range(8, 10)], flush=True)
    if sys.argv[1:] == ["wait"]:
        import signal
        signal.pause()
"""


def test_at_its_exit_a_process_leaves_none_behind(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SESSION)
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    pids = {int(text) for text in done.stdout.split()}
    assert pids
    assert not any(map(alive, pids))
    assert done.stderr == ""
    shown = subprocess.run(
        [sys.executable, "-m", "daskflow", "runs", "--json"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert shown.stdout.count('"succeeded"') == 2


def test_workers_end_when_their_driver_is_killed(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SESSION)
    with subprocess.Popen(
        [sys.executable, "script.py", "wait"], cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        pids = {int(text) for text in process.stdout.readline().split()}
        assert all(map(alive, pids))
        process.send_signal(signal.SIGKILL)
    until(lambda: not any(map(alive, pids)))


def test_of_two_who_resume_a_run_at_once_one_does(lab: Lab, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    path = str(gate)

    @lab.task
    def wait() -> int:
        while not os.path.exists(path):
            time.sleep(0.005)
        return 1

    @lab.flow(site="threads")
    def study() -> Any:
        return wait()

    run = study.submit()
    with pytest.raises(RunBusy, match="goes on already"):
        lab.launcher.resume(study, lab.project.journal.run(run.id), {}, background=True)
    gate.touch()
    assert run.result(60) == 1
    assert lab.launcher.resume(study, lab.project.journal.run(run.id), {}, background=True).result(60) == 1


def test_a_flow_within_a_flow_runs_at_its_own_site(lab: Lab, work: Any) -> None:
    @lab.flow(site="threads")
    def inner() -> Any:
        return work(1)

    @lab.flow
    def outer() -> Any:
        own = work(2)
        token = CURRENT_SITE.set("local")  # as `with site("local"):` does
        try:
            return [inner(), own]
        finally:
            CURRENT_SITE.reset(token)

    @lab.flow
    def plain() -> Any:
        return [inner(), work(2)]

    run = plain.submit()
    assert run.result(60) == [2, 3]
    assert [job.site for job in run.jobs] == ["threads", None]
    again = outer.submit()
    assert again.result(60) == [2, 3]
    assert [job.site for job in again.jobs] == [None, "local"], "the block around the call wins"


@pytest.fixture
def remote(tmp_path: Path, postgres: str, postgres_server: Postgres, shared_sites: dict[str, Site]) -> Iterator[Lab]:
    """A laboratory whose store is in PostgreSQL; a test may stop the server."""
    made = Lab(settings_in(tmp_path, store=postgres, store_patience=60), shared_sites)
    yield made
    if not postgres_server.lives():
        postgres_server.start()
    made.close()


def asked(lab: Lab) -> list[Exception]:
    """Have the session's own thread ask the store; what it then meets."""
    session, met = lab.launcher._session, list[Exception]()
    assert session is not None
    ask = lab.project.journal.runs

    def look() -> None:
        try:
            with session._patient():
                ask()
        except StoreUnavailable as error:
            met.append(error)

    session._clerk.post(look)
    return met


def test_the_end_of_a_session_does_not_wait_for_a_store_that_is_away(
    remote: Lab, postgres_server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "LAST", 0.1)

    @remote.task
    def work(x: int) -> int:
        return x + 1

    assert work(1).result(60) == 2
    project = remote.project
    postgres_server.stop()
    met = asked(remote)
    until(lambda: project.journal.patience.away)
    remote.close()
    assert len(met) == 1
    assert "It was waited for" not in str(met[0])


def test_the_end_of_a_session_does_not_wait_for_a_server_that_hangs(
    remote: Lab, postgres_server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "LAST", 0.3)
    monkeypatch.setattr(engine, "BRIEF", 0.1)

    @remote.task
    def work(x: int) -> int:
        return x + 1

    assert work(1).result(60) == 2
    journal, session = remote.project.journal, remote.launcher._session
    assert session is not None
    with postgres_server.frozen():
        session.tell("told")
        asked(remote)
        remote.close()
        assert session._clerk._thread.is_alive()
    session._clerk._thread.join()
    assert journal.run(session.id).stopped is None


def test_the_end_of_a_session_writes_all_where_the_store_is_there(remote: Lab) -> None:
    @remote.task
    def work(x: int) -> int:
        return x + 1

    assert work(1).result(60) == 2
    journal, session = remote.project.journal, remote.launcher._session
    assert session is not None
    for number in range(2000):
        session.tell(f"told.{number}")
    remote.close()
    assert len(journal.events(session.id, "told.*")) == 2000
    assert journal.run(session.id).state is RunState.succeeded


def test_who_makes_jobs_or_runs_waits_for_the_store(lab: Lab, work: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hurried: list[bool] = []
    patience = lab.project.journal.patience

    def note(kind: type, name: str) -> None:
        method = getattr(kind, name)

        def noted(self: Any, *args: Any) -> Any:
            hurried.append(patience._mine.cut is not None)
            return method(self, *args)

        monkeypatch.setattr(kind, name, noted)

    note(Admission, "admit")
    note(Family, "start")
    assert work(1).result(10) == 2

    @lab.flow
    def study() -> Any:
        return work(3)

    session = lab.launcher._session
    assert session is not None
    assert session.start(study, {}, lab.launcher).result(60) == 4
    assert len(hurried) >= 3
    assert all(hurried)
