"""`daskflow work run`, as processes."""

from __future__ import annotations

import json
import os
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


def started(place: Place, buckets: Buckets, running: Callable[..., subprocess.Popen[str]]) -> tuple[Any, str, int]:
    """An agent with a work in hand, and the process that performs it."""
    (id,) = buckets.deposit([make()])
    agent = running("work", "run", "sample", "done.waiting", "--site", "local")
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
