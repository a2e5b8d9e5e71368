"""`batch spawn|ls|logs|kill|prune|monitor`, as processes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from subprocess import Popen

import pytest

from tests.views.conftest import Place


@pytest.fixture(autouse=True)
def _nothing_is_left(place: Place) -> Iterator[None]:
    yield
    for one in place.json("batch", "ls"):
        if one["living"]:
            place.run("batch", "kill", one["name"])


def spawn(place: Place, *arguments: str) -> list[str]:
    """The words that are printed for the services that a command spawns."""
    return place.run("batch", "spawn", *arguments).split()


def test_a_service_is_spawned_listed_read_and_pruned(place: Place) -> None:
    place.environment["HERE"] = "from here"
    options = ["--env", "OWN=a=b", "--env", "HERE", "--cores", "2", "--memory", "1GiB", "--walltime", "10 min"]
    id, name = spawn(place, "--name", "x", *options, "--", 'echo "$OWN, $HERE, $DASKFLOW_CORES"; pwd')
    assert name == "x"
    assert "completed 100 %" in place.run("batch", "monitor", "^x$")
    (found,) = place.json("batch", "ls")
    assert (found["name"], found["id"], found["state"], found["exit_code"]) == ("x", id, "completed", 0)
    printed = f"a=b, from here, 2\n{place.directory}\n"
    assert place.run("batch", "logs", "x") == printed
    assert place.run("batch", "logs", "x", "--tail", "1") == f"{place.directory}\n"
    assert place.run("batch", "logs", "x", "--follow") == printed
    assert place.json("batch", "logs", "x") == {"name": "x", "log": printed}
    table = place.run("batch", "ls")
    assert all(word in table for word in ("x", "completed", id))
    assert place.run("batch", "prune") == "x is removed.\n"
    assert place.json("batch", "ls") == []
    assert "Nothing" in place.run("batch", "prune")


def test_several_arguments_are_no_line_for_a_shell(place: Place) -> None:
    spawn(place, "--name", "x", "echo", "$HOME;", "--name", "y")
    place.run("batch", "monitor")
    assert place.run("batch", "logs", "x") == "$HOME; --name y\n"


def test_several_are_followed_until_they_have_ended(place: Place) -> None:
    assert spawn(place, "--name", "fit", "--count", "3", "exit $DASKFLOW_INDEX")[1::2] == ["fit-0", "fit-1", "fit-2"]
    found = place.json("batch", "monitor", "^fit-", code=1)
    assert (found["completed"], found["failed"], sum(found["percent"].values())) == (1, 2, 100)
    assert {one["name"]: one["exit_code"] for one in found["failures"]} == {"fit-1": 1, "fit-2": 2}
    told = place.run("batch", "monitor", "^fit-", "--logs", code=1)
    assert "fit-2 failed: its command ended with exit code 2" in told
    assert [one["name"] for one in place.json("batch", "ls", "--state", "failed")] == ["fit-1", "fit-2"]
    assert [one["name"] for one in place.json("batch", "ls", "--name", "2$")] == ["fit-2"]
    assert place.run("batch", "prune") == "fit-0 is removed.\n"
    assert place.json("batch", "kill", "--failed") == ["fit-1", "fit-2"]


def test_the_exact_name_is_killed(place: Place) -> None:
    for name in ("x", "x-1"):
        spawn(place, "--name", name, "sleep", "600")
    assert "waits or runs" in place.error("batch", "spawn", "--name", "x", "true")
    assert place.run("batch", "kill", "x") == "x was killed.\n"
    assert place.run("batch", "kill", "x") == "x had ended before.\n"
    assert {one["name"]: one["living"] for one in place.json("batch", "ls")} == {"x": False, "x-1": True}
    assert "Did you mean" in place.error("batch", "kill", "x-1", "x-2")
    assert place.json("batch", "kill", "x-1") == {"x-1": True}


def test_a_log_is_followed(place: Place, running: Callable[..., Popen[str]]) -> None:
    spawn(place, "--name", "x", "echo one; until [ -e go ]; do sleep 0.05; done; echo two")
    following = running("batch", "logs", "x", "-f")
    assert following.stdout is not None
    assert following.stdout.readline() == "one\n"
    (place.directory / "go").touch()
    assert following.stdout.read() == "two\n"
    assert following.wait(60) == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["kill"], "batch kill NAME"),
        (["kill", "x", "--failed"], "batch kill NAME"),
        (["kill", "x"], "no service named 'x'"),
        (["logs", "x"], "no service named 'x'"),
        (["monitor", "x"], "'x'"),
        (["ls", "--name", "("], "regular expression"),
        (["ls", "--site", "nowhere"], "'nowhere'"),
        (["spawn", "--memory", "much", "true"], "memory"),
        (["spawn", "--cores", "100000", "true"], "100000 cores"),
        (["spawn", "--env", "no_such_variable", "true"], "--env NAME=VALUE"),
        (["spawn", "--bind", "/a", "true"], "image"),
    ],
)
def test_what_cannot_be_done_is_told(place: Place, arguments: list[str], told: str) -> None:
    assert told in place.error("batch", *arguments)


def test_the_python_of_the_command_is_the_one_of_the_shell(place: Place) -> None:
    spawn(place, "--name", "x", sys.executable, "-c", "print(6 * 7)")
    assert place.run("batch", "logs", "x", "--follow") == "42\n"
