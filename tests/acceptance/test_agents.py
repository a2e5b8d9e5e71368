"""Agents as people start them: killed, on PostgreSQL, and in tasks of a dask cluster."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, LocalCluster

from daskflow import Buckets, Work
from daskflow.model.work import WorkStatus
from daskflow.settings.agents import serve
from tests.acceptance.shell import environment
from tests.execution.patience import alive, until
from tests.services import postgres as postgresql
from tests.services.fixtures import lacking

pytestmark = pytest.mark.acceptance

_LEASE = "6 s"
_DONE = '''
import os, pathlib, time

def note(what, diary, number):
    line = f"{what} {number} {os.environ['DASKFLOW_ATTEMPT']}\\n".encode()
    descriptor = os.open(diary, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, line)
    os.close(descriptor)

def measure(number, diary, hold=""):
    """Note its beginning and end; the one that is to hold waits for ever, the first time."""
    note("begin", diary, number)
    if hold and os.environ["DASKFLOW_ATTEMPT"] == "1":
        pathlib.Path(hold + ".part").write_text(str(os.getpid()))
        os.rename(hold + ".part", hold)
        while True:
            time.sleep(60)
    note("end", diary, number)
    return {"number": number}

def spin():
    while True:
        pass

def stall(diary, go):
    """The first attempt waits, tells who waits, and ends like the others if it is let; each has a product."""
    number = os.environ["DASKFLOW_ATTEMPT"]
    note("begin", diary, 0)
    if number == "1":
        pathlib.Path(go + ".held.part").write_text(f"{os.getppid()} {os.getpid()}")
        os.rename(go + ".held.part", go + ".held")
        while not os.path.exists(go):
            time.sleep(0.001)
    note("end", diary, 0)
    product = pathlib.Path(f"{diary}.{number}")
    product.write_text(number)
    return {"attempt": number}, [str(product)]
'''


class Camp:
    """A directory from which agents serve one store."""

    def __init__(self, directory: Path, store: str) -> None:
        self.directory = directory
        self.store = store
        (directory / "done.py").write_text(_DONE)
        self.diary = directory / "diary"

    def make(self, function: str = "done.measure", **fields: Any) -> Work:
        return Work(pipeline="sample", site="local", user="ada", function=function, **fields)

    def start(self, *arguments: str, lease: str = _LEASE) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "daskflow", "work", "run", "sample", "--site", "local", "--url", self.store]
        variables = {"DASKFLOW_WORKS__LEASE": lease, "DASKFLOW_WORKS__FUNCTIONS": '["done.*"]'}
        variables["DASKFLOW_WORKS__ARCHIVE"] = str(self.directory / "archive")
        return subprocess.Popen(
            [*command, "--sleep", "0.2", *arguments],
            cwd=self.directory,
            env=environment(DASKFLOW_WORKS__COMMANDS='["*"]', **variables),
            stdout=subprocess.PIPE,
            text=True,
        )

    def lines(self) -> list[list[str]]:
        return [line.split() for line in self.diary.read_text().splitlines()]


@pytest.fixture(params=["sqlite", "postgres"])
def camp(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Camp:
    monkeypatch.chdir(tmp_path)
    store = str(tmp_path / "works.db") if request.param == "sqlite" else request.getfixturevalue("postgres")
    return Camp(tmp_path, store)


@pytest.fixture
def buckets(camp: Camp) -> Iterator[Buckets]:
    with Buckets(camp.store) as found:
        yield found


def ended(agents: list[subprocess.Popen[str]]) -> list[str]:
    """What agents printed that have ended by themselves."""
    printed = [agent.communicate(timeout=120)[0] for agent in agents]
    assert [agent.returncode for agent in agents] == [0] * len(agents)
    return printed


def test_every_work_is_performed_once_though_an_agent_is_killed(camp: Camp, buckets: Buckets) -> None:
    hold = str(camp.directory / "held")
    works = [
        camp.make(parameters={"number": number, "diary": str(camp.diary), "hold": hold if number == 0 else ""})
        for number in range(12)
    ]
    ids = buckets.deposit(works)
    with ExitStack() as stack:
        doomed = stack.enter_context(camp.start())
        stack.callback(doomed.kill)
        until((camp.directory / "held").exists)
        pid = int((camp.directory / "held").read_text())
        doomed.kill()
        until(lambda: not alive(pid))
        # The lease of what it held is over in a while; until then nobody else has that work.
        agents = [stack.enter_context(camp.start("--idle", "15")) for _ in range(2)]
        for agent in agents:
            stack.callback(agent.kill)
        ended(agents)
    found = [buckets.get(id) for id in ids]
    assert [work and (work.status, work.attempt) for work in found] == [
        (WorkStatus.success, 2 if number == 0 else 1) for number in range(12)
    ]
    assert [work and work.results for work in found] == [{"number": number} for number in range(12)]
    ends = [line[1] for line in camp.lines() if line[0] == "end"]
    assert sorted(ends, key=int) == [str(number) for number in range(12)]


def test_an_endless_work_fails_after_its_timeout_and_the_next_is_performed(camp: Camp, buckets: Buckets) -> None:
    endless, after = buckets.deposit(
        [camp.make("done.spin", timeout=2, retries=1), camp.make(parameters={"number": 1, "diary": str(camp.diary)})]
    )
    with camp.start("--lives", "2", "--json") as agent:
        (printed,) = ended([agent])
    lines = [json.loads(line) for line in printed.splitlines()]
    assert [line["id"] for line in lines] == [endless, after]
    assert lines[0]["error"] == "The work took longer than its timeout of 2 s, and was killed."
    assert lines[1]["results"] == {"number": 1}


def test_a_work_that_takes_longer_than_its_lease_stays_with_its_agent(camp: Camp, buckets: Buckets) -> None:
    # More than two leases, while another agent looks for what was lost.
    (id,) = buckets.deposit([Work(pipeline="sample", site="local", user="ada", command=["sleep", "13"])])
    with camp.start("--idle", "1") as first, camp.start("--idle", "14") as second:
        ended([first, second])
    work = buckets.get(id)
    assert work is not None
    assert (work.status, work.attempt) == (WorkStatus.success, 1)


def test_a_command_does_not_outlive_its_agent(camp: Camp, buckets: Buckets) -> None:
    place = camp.directory / "pid"
    line = f"setsid sleep 600 & echo $! > {place}.part; mv {place}.part {place}; wait"
    buckets.deposit(Work(pipeline="sample", site="local", user="ada", command=[line]))
    with camp.start() as agent:
        until(place.exists)
        agent.kill()
    until(lambda: not alive(int(place.read_text())))


def test_tasks_of_a_dask_cluster_may_be_agents(camp: Camp, buckets: Buckets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(camp.directory), os.environ.get("PYTHONPATH", "")]))
    ids = buckets.deposit([camp.make(parameters={"number": number, "diary": str(camp.diary)}) for number in range(6)])
    options = {"site": "local", "url": camp.store, "function": "done.measure", "idle": 0.5, "sleep": 0.1}
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        agents = [client.submit(serve, "sample", pure=False, **options) for _ in range(2)]
        done = [agent.result(timeout=120) for agent in agents]
    assert sum(each.get("success", 0) for each in done) == 6
    found = [buckets.get(id) for id in ids]
    assert [work and work.results for work in found] == [{"number": number} for number in range(6)]


def test_dask_starts_the_agents_of_a_killed_worker_again(
    camp: Camp, buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(camp.directory), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("DASKFLOW_WORKS__LEASE", "2 s")
    hold = camp.directory / "held"
    ids = buckets.deposit(
        [
            camp.make(parameters={"number": number, "diary": str(camp.diary), "hold": str(hold) if number == 0 else ""})
            for number in range(3)
        ]
    )
    options = {"site": "local", "url": camp.store, "function": "done.measure", "idle": 4.0, "sleep": 0.1}
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        (worker,) = client.run(os.getpid).values()
        agent = client.submit(serve, "sample", pure=False, **options)
        until(hold.exists)
        os.kill(worker, signal.SIGKILL)
        until(lambda: not alive(int(hold.read_text())))
        assert agent.result(timeout=120) == {"success": 3}
    found = [buckets.get(id) for id in ids]
    assert [work and (work.status, work.attempt) for work in found] == [
        (WorkStatus.success, 2 if number == 0 else 1) for number in range(3)
    ]


@pytest.mark.parametrize("what", ["agent", "all"])
def test_an_agent_that_was_stopped_for_longer_than_its_lease_writes_nothing(
    camp: Camp, buckets: Buckets, what: str
) -> None:
    go = camp.directory / "go"
    (id,) = buckets.deposit(camp.make("done.stall", parameters={"diary": str(camp.diary), "go": str(go)}))
    with ExitStack() as stack:
        first = stack.enter_context(camp.start("--lives", "2", lease="2 s"))
        stack.callback(first.kill)
        held = camp.directory / "go.held"
        until(held.exists)
        agent, child = map(int, held.read_text().split())
        assert agent == first.pid
        stopped = [agent, child] if what == "all" else [agent]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        if what == "agent":
            # What it performs goes on, and ends: the result waits for the agent.
            go.touch()
            until((camp.directory / "diary.1").exists)
        second = stack.enter_context(camp.start("--lives", "1", lease="2 s"))
        stack.callback(second.kill)
        ended([second])
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
        until(lambda: not alive(child))
        # It goes on as if nothing had been.
        (after,) = buckets.deposit(camp.make(parameters={"number": 1, "diary": str(camp.diary)}))
        (printed,) = ended([first])
    assert f"{id} was killed" in printed
    work, other = buckets.get(id), buckets.get(after)
    assert work is not None
    assert other is not None
    assert (work.status, work.attempt, work.results) == (WorkStatus.success, 2, {"attempt": "2"})
    assert other.status is WorkStatus.success
    archived = [path for path in (camp.directory / "archive").rglob("diary*") if path.is_file()]
    assert [str(path) for path in archived] == work.products
    assert archived[0].read_text() == "2"
    ends = [line for line in camp.lines() if line[:2] == ["end", "0"]]
    assert ends == ([["end", "0", "1"]] if what == "agent" else []) + [["end", "0", "2"]]


def test_a_result_that_postgresql_did_not_take_is_named_by_who_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if postgresql.programs() is None:
        lacking("PostgreSQL", postgresql.INSTALL)
    go = tmp_path / "go"
    with ExitStack() as stack:
        server = stack.enter_context(postgresql.running())
        camp = Camp(tmp_path, stack.enter_context(server.journal()))
        with Buckets(camp.store) as buckets:
            (id,) = buckets.deposit(camp.make("done.stall", parameters={"diary": str(camp.diary), "go": str(go)}))
        agent = stack.enter_context(camp.start(lease="60 s"))
        stack.callback(agent.kill)
        until((tmp_path / "go.held").exists)
        server.stop()
        go.touch()
        assert agent.stdout is not None
        away = agent.stdout.readline()
        assert away.startswith(camp.store.partition("?")[0])
        assert away.endswith("It is tried again.\n")
        agent.send_signal(signal.SIGTERM)
        waits = agent.stdout.readline()
        assert waits.startswith(f"sample {id} attempt 1: success after ")
        assert "could not be written yet" in waits
        server.start()
        # Who stays for it is not in vain.
        (printed,) = ended([agent])
        assert "The store answers again" in printed
        assert printed.endswith("1 success\n")
        with Buckets(camp.store) as buckets:
            work = buckets.get(id)
    assert work is not None
    assert (work.status, work.results) == (WorkStatus.success, {"attempt": "1"})
