"""`daskflow work run`, as processes."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daskflow.model.work import Work, WorkStatus
from daskflow.stores.buckets import Buckets
from daskflow.stores.buckets.table import WorkTable
from daskflow.stores.database import Database
from tests.execution.patience import alive
from tests.services.servers import ServerProcess
from tests.views.conftest import Place

DONE = """
import os, pathlib, time

def add(x, y=1):
    return x + y

def waiting():
    pathlib.Path("pid.part").write_text(str(os.getpid()))
    os.rename("pid.part", "pid")
    while not pathlib.Path("go").exists():
        time.sleep(0.01)
    return "gone"

def whole(work):
    work.results = {"event": work.event}
    return work
"""


@pytest.fixture
def buckets(place: Place) -> Buckets:
    place.write("done.py", DONE)
    return Buckets(WorkTable(Database(place.directory / ".daskflow/journal.db")))


def make(function: str | None = None, **fields: Any) -> Work:
    return Work(pipeline="sample", site="local", user="ada", function=function, **fields)


def found(buckets: Buckets, id: str) -> Work:
    work = buckets.get(id)
    assert work is not None
    return work


def test_a_function_that_is_named_performs_all_works_of_the_site(place: Place, buckets: Buckets) -> None:
    other = make(parameters={"x": 1})
    other.site = "elsewhere"
    ids = buckets.deposit([make("not.asked", parameters={"x": 2}), other])
    told = place.run("work", "run", "sample", "done.add", "--site", "local", "--lives", "1")
    assert f"sample {ids[0]} attempt 1: success after" in told
    assert told.endswith("1 success\n")
    assert [found(buckets, id).status for id in ids] == ["success", "queued"]
    assert found(buckets, ids[0]).results == 3


def test_each_end_is_a_line_of_json_where_that_is_asked_for(place: Place, buckets: Buckets) -> None:
    place.write("daskflow.yaml", "works:\n  functions: ['done.*']\n")
    ids = buckets.deposit([make("done.whole", event=[7], tags=["a"]), make("os.getcwd", event=[7])])
    options = ["--event", "7", "--user", "ada", "--priority", "3", "--argsource", "work", "--idle", "0.2", "--json"]
    printed = place.run("work", "run", "sample", "--site", "local", *options)
    lines = {line["id"]: line for line in map(json.loads, printed.splitlines())}
    assert lines[ids[0]]["results"] == {"event": [7]}
    assert (lines[ids[1]]["kind"], lines[ids[1]]["final"]) == ("refused", False)


def test_a_command_that_is_named_performs_all_works(place: Place, buckets: Buckets) -> None:
    (id,) = buckets.deposit([make(parameters={"x": 2})])
    command = 'echo "{\\"double\\": $((2 * DASKFLOW_PARAM_X))}"'
    place.run("work", "run", "sample", "--command", command, "--site", "local", "--lives", "1")
    assert found(buckets, id).results == {"double": 4}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["sample", "done.add", "--command", "true"], "cannot both perform works"),
        (["sample", "done.add", "--function", "done.add"], "Say one of them"),
        (["done.add"], "no name of a bucket"),
        (["sample", "nowhere.fit"], "'nowhere.fit' cannot be imported"),
        (["sample", "done.nothing"], "has no function 'nothing'"),
    ],
)
def test_what_cannot_be_served_is_told_and_the_works_stay(
    place: Place, buckets: Buckets, arguments: list[str], text: str
) -> None:
    (id,) = buckets.deposit([make(parameters={"x": 2})])
    assert text in place.error("work", "run", *arguments, "--site", "local")
    assert found(buckets, id).status is WorkStatus.queued


def test_a_site_that_nobody_has_is_told_in_place_of_waiting(place: Place, buckets: Buckets) -> None:
    told = place.error("work", "run", "sample", "done.add", "--site", "lcoal", "--idle", "0")
    assert "There is no site 'lcoal' in this configuration; there are" in told
    assert "local" in told.partition("there are")[2]
    assert "works: sites:" in told
    for sites in ("[lcoal]", "['*']"):
        place.write("daskflow.yaml", f"works:\n  sites: {sites}\n")
        assert "No work was performed." in place.run(
            "work", "run", "sample", "done.add", "--site", "lcoal", "--idle", "0"
        )


def test_a_server_may_take_works_for_sites_that_are_not_known_here(
    running: Callable[..., subprocess.Popen[str]],
) -> None:
    # Nobody listens there: it is tried for half a minute.
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        agent = running("work", "run", "sample", "math.sqrt", "--site", "mars", "--url", url)
        assert agent.stderr is not None
        told = next(line for line in agent.stderr if "There is no site" in line)
    assert "There is no site 'mars' in this configuration" in told
    assert "That is fine if the server takes works for it." in told


def test_an_agent_that_may_perform_nothing_says_so_when_it_starts(place: Place, buckets: Buckets) -> None:
    warning = "This agent refuses the functions and commands that works name"

    def told(*options: str) -> str:
        return place.both("work", "run", "sample", "--site", "local", "--idle", "0", *options)[1]

    assert warning in told()
    assert warning not in told("--function", "done.add")
    assert warning not in told("--command", "true")
    for allowed in ("functions: ['done.*']", "commands: ['*']"):
        place.write("daskflow.yaml", f"works:\n  {allowed}\n")
        assert warning not in told()


def test_a_store_that_cannot_be_reached_is_told(place: Place) -> None:
    place.write("occupied", "")
    assert "occupied" in place.error("work", "run", "sample", "--site", "local", "--url", "occupied/works.db", code=1)


def started(
    place: Place, buckets: Buckets, running: Callable[..., subprocess.Popen[str]], *options: str
) -> tuple[Any, str, int]:
    """An agent with a work in hand, and the process that performs it."""
    (id,) = buckets.deposit([make()])
    agent = running("work", "run", "sample", "done.waiting", "--site", "local", *options)
    place.until((place.directory / "pid").exists)
    return agent, id, int((place.directory / "pid").read_text())


def test_the_first_signal_lets_it_finish(
    place: Place, buckets: Buckets, running: Callable[..., subprocess.Popen[str]]
) -> None:
    agent, id, _ = started(place, buckets, running)
    agent.send_signal(signal.SIGTERM)
    (place.directory / "go").touch()
    assert agent.wait(60) == 0
    assert found(buckets, id).results == "gone"


def test_another_signal_gives_back_what_is_in_hand(
    place: Place, buckets: Buckets, running: Callable[..., subprocess.Popen[str]]
) -> None:
    agent, id, pid = started(place, buckets, running)
    agent.send_signal(signal.SIGTERM)
    agent.send_signal(signal.SIGHUP)
    assert agent.wait(60) == 0
    assert not alive(pid)
    assert found(buckets, id).status is WorkStatus.queued
    assert found(buckets, id).given_back == 1


def test_an_agent_that_is_killed_leaves_nothing_alive(
    place: Place, buckets: Buckets, running: Callable[..., subprocess.Popen[str]]
) -> None:
    agent, id, pid = started(place, buckets, running)
    agent.kill()
    agent.wait(60)
    place.until(lambda: not alive(pid))
    assert found(buckets, id).status is WorkStatus.running


def test_an_agent_without_works_is_stopped(
    place: Place, buckets: Buckets, running: Callable[..., subprocess.Popen[str]]
) -> None:
    # What the agent has written when it waits tells that it does.
    (id,) = buckets.deposit([make(parameters={"x": 1})])
    agent = running("work", "run", "sample", "done.add", "--site", "local", "--workers", "2")
    place.until(lambda: found(buckets, id).status is WorkStatus.success)
    agent.send_signal(signal.SIGHUP)
    assert agent.wait(60) == 0


def test_the_directory_of_an_agent_is_that_of_its_works(place: Place, buckets: Buckets, tmp_path: Path) -> None:
    (id,) = buckets.deposit([make()])
    place.run("work", "run", "sample", "os.getcwd", "--site", "local", "--lives", "1")
    assert os.path.samefile(found(buckets, id).results, tmp_path)


def test_works_that_an_agent_refused_wait_for_one_that_may_perform_them(place: Place, buckets: Buckets) -> None:
    ids = buckets.deposit([make("done.add", parameters={"x": number}, retries=1) for number in range(2)])
    printed, told = place.both("work", "run", "sample", "--site", "local", "--idle", "0")
    assert "2 refused" in printed
    assert (printed + told).count("Allow it under `works: functions:`") == 1
    place.write("daskflow.yaml", "works:\n  functions: ['done.*']\n")
    assert "2 success" in place.run("work", "run", "sample", "--site", "local", "--idle", "0")
    assert [found(buckets, id).results for id in ids] == [1, 2]


def full(agent: subprocess.Popen[str]) -> None:
    """Let the agent write no file any more, as on a full disk."""
    resource.prlimit(agent.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))


def last_words(agent: subprocess.Popen[str]) -> tuple[list[str], str]:
    """What an agent prints that has a result in hand, is told to stop, and once more when it has said why it stays."""
    assert agent.stdout is not None
    agent.send_signal(signal.SIGTERM)
    lines = []
    for line in agent.stdout:
        lines.append(line)
        if "which could not be written yet" in line:
            break
    agent.send_signal(signal.SIGTERM)
    out, error = agent.communicate(timeout=60)
    assert agent.returncode == 0
    return [*lines, *out.splitlines(keepends=True)], error


def check_last_words(lines: list[str], id: str) -> None:
    (waits,) = [line for line in lines if "yet" in line]
    assert waits.startswith(f"sample {id} attempt 1: success after ")
    assert "until the agent is stopped again: then it is lost" in waits
    (lost,) = [line for line in lines if "is lost:" in line]
    assert lost.startswith(f"sample {id} attempt 1: success after ")
    assert lost.endswith("The work is performed again when its lease is over.\n")
    assert lines[-1] == "1 not written\n"


def test_a_result_that_a_full_disk_does_not_take_is_named_by_who_is_stopped(
    place: Place, buckets: Buckets, running: Callable[..., subprocess.Popen[str]]
) -> None:
    agent, id, _ = started(place, buckets, running)
    full(agent)
    (place.directory / "go").touch()
    lines, _ = last_words(agent)
    check_last_words(lines, id)
    assert found(buckets, id).status is WorkStatus.running


def test_a_result_that_waits_for_a_server_is_named_by_who_is_stopped(
    place: Place, buckets: Buckets, running: Callable[..., subprocess.Popen[str]]
) -> None:
    place.write("daskflow.yaml", "server: {open: true}\nworks: {lease: 6 s}\n")
    (id,) = buckets.deposit([make()])
    with ServerProcess(place.directory) as server:
        agent = running("work", "run", "sample", "done.waiting", "--site", "local", "--url", server.url)
        place.until((place.directory / "pid").exists)
        server.kill()
        (place.directory / "go").touch()
        lines, error = last_words(agent)
        check_last_words(lines, id)
        assert error.count("does not answer") <= 1
        assert "Traceback" not in error
    # As it says: when the lease is over it is performed again.
    place.run("work", "run", "sample", "done.waiting", "--site", "local", "--lives", "1")
    work = found(buckets, id)
    assert (work.status, work.attempt, work.results) == (WorkStatus.success, 2, "gone")


def test_a_result_that_was_not_written_is_in_the_line_of_json(
    place: Place, buckets: Buckets, running: Callable[..., subprocess.Popen[str]]
) -> None:
    (id,) = buckets.deposit([make()])
    agent = running("work", "run", "sample", "done.waiting", "--site", "local", "--json", "--grace", "0")
    place.until((place.directory / "pid").exists)
    full(agent)
    (place.directory / "go").touch()
    assert agent.stderr is not None
    # That it is tried again.
    assert "is tried again" in agent.stderr.readline()
    agent.send_signal(signal.SIGTERM)
    out, error = agent.communicate(timeout=60)
    assert agent.returncode == 0
    line = json.loads(out)
    assert (line["kind"], line["id"], line["status"], line["results"]) == ("not written", id, "success", "gone")
    assert "could not be written and is lost" in error


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_who_is_told_to_stop_says_at_once_what_it_waits_for(
    place: Place, buckets: Buckets, running: Callable[..., subprocess.Popen[str]], options: tuple[str, ...]
) -> None:
    agent, id, _ = started(place, buckets, running, *options, "--grace", "3600")
    agent.send_signal(signal.SIGTERM)
    assert agent.stderr is not None
    # The work goes on until it is heard.
    assert agent.stderr.readline() == "Finishing 1 work (at most 3600 s); another signal gives it back.\n"
    (place.directory / "go").touch()
    assert agent.wait(timeout=60) == 0
    assert found(buckets, id).results == "gone"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--keep"], "--keep looks after agents"),
        (["--pool", "main"], "--pool is for agents"),
        (
            ["--walltime", "2 h", "--cores", "2", "--memory", "1 GiB"],
            "--walltime and --cores and --memory are for agents",
        ),
    ],
)
def test_what_is_said_of_batch_jobs_is_refused_where_there_are_none(
    place: Place, buckets: Buckets, options: list[str], told: str
) -> None:
    (id,) = buckets.deposit([make()])
    said = place.error("work", "run", "sample", "done.add", "--site", "local", "--idle", "0", *options, code=2)
    assert told in said
    assert "Say how many: --pilots N." in said
    assert found(buckets, id).status is WorkStatus.queued
