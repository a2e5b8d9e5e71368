from __future__ import annotations

import inspect
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from daskflow.compat.chime.swarm import STATES, Swarm, _state
from daskflow.errors import ArgumentsInvalid, NotFound
from daskflow.sites.batch.service import ServiceStanding, ServiceState
from daskflow.sites.batch.services import Services
from tests.execution.patience import until
from tests.services.images import make_rootfs
from tests.services.programs import needs

LONG = 120.0


@pytest.fixture
def swarm() -> Swarm:
    return Swarm("local")


def spawn(swarm: Swarm, name: str, line: str, **options: Any) -> None:
    swarm.spawn_job("", ["bash"], ["-c", line], name, **options)


def nap(swarm: Swarm, name: str) -> None:
    """A job that runs until it is killed."""
    spawn(swarm, name, "echo it runs; exec sleep 600")
    until(lambda: "it runs" in swarm.get_logs(name)[name], LONG)
    assert swarm.get_job_status(f"^{name}$") == {name: "running"}


def ended(swarm: Swarm, *names: str) -> None:
    until(lambda: not swarm.jobs_running([f"^{name}$" for name in names]), LONG)


def test_a_job_is_spawned_watched_and_pruned(swarm: Swarm) -> None:
    answer = swarm.spawn_job("", ["echo"], ["it is", 2], "say", environment={"A": "b"})
    assert answer["ID"] == swarm.site.batch.get("say").id
    ended(swarm, "say")
    assert swarm.get_jobs() == ["say"]
    assert swarm.get_job_status("say") == {"say": "complete"}
    assert swarm.get_logs("say") == {"say": "it is 2\n"}
    assert swarm.prune_jobs("sa") == {"say": True}
    assert (swarm.get_jobs(), swarm.get_job_status(".*"), swarm.prune_jobs("say")) == ([], {}, {})


def test_states_are_found_by_regular_expressions(swarm: Swarm) -> None:
    spawn(swarm, "fit-1", "exit 0")
    spawn(swarm, "fit-2", "exit 3")
    nap(swarm, "nap")
    try:
        ended(swarm, "fit-1", "fit-2")
        assert swarm.get_job_status("^fit-") == {"fit-1": "complete", "fit-2": "failed"}
        assert swarm.get_job_status("it-[2-9]") == {"fit-2": "failed"}
        assert set(swarm.get_job_status("fit").values()) | {"running"} <= set(STATES)
        assert swarm.jobs_running("nap") is swarm.jobs_running(["fit", "nap"]) is True
        assert swarm.jobs_running("fit") is swarm.jobs_running(["fit-1", "none"]) is False
        # Neither letters nor a part of the name is enough where a job is killed.
        assert swarm.kill_job("na") == {"na": False}
        assert swarm.kill_job("n.p") == {"n.p": False}
        # What runs or failed is not pruned; what runs or completed has not failed.
        assert swarm.prune_jobs() == {"fit-1": True}
        assert swarm.kill_failed_jobs("^it") == {}
        assert swarm.kill_failed_jobs("^fit-[12]$") == {"fit-2": True}
        assert swarm.get_job_status() == {"nap": "running"}
    finally:
        assert swarm.kill_job("nap") == {"nap": True}
    assert swarm.get_jobs() == []
    assert swarm.kill_job("nap") == {"nap": False}


def test_all_that_failed_is_killed_without_a_pattern(swarm: Swarm) -> None:
    spawn(swarm, "a", "exit 1")
    spawn(swarm, "b", "exit 2")
    ended(swarm, "a", "b")
    with pytest.raises(TypeError, match="job_name"):
        swarm.kill_failed_jobs()  # type: ignore[call-arg]
    assert swarm.kill_failed_jobs("") == {"a": True, "b": True}


def test_monitor_counts_right_and_cleans_up(swarm: Swarm, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(4):
        spawn(swarm, f"fit-{number}", f"echo says {number}; exit $(({number} == 2))")
    with caplog.at_level(logging.INFO, "daskflow.compat.chime"):
        assert swarm.monitor_jobs("^fit-", error_logs=True) is False
    assert "Completed: 75 %" in caplog.messages
    assert "Failed: 25 %" in caplog.messages
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert told == ["The job fit-2 is failed", "The job fit-2 printed:\nsays 2\n", "The job fit-2 is removed: True"]
    assert swarm.get_jobs() == []


def test_monitor_says_when_all_is_well(swarm: Swarm, caplog: pytest.LogCaptureFixture) -> None:
    spawn(swarm, "x", "true")
    with caplog.at_level(logging.INFO, "daskflow.compat.chime"):
        assert swarm.monitor_jobs("x") is True
    assert "Completed: 100 %" in caplog.messages
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    with pytest.raises(NotFound, match="no service"):
        swarm.monitor_jobs("x")


def test_failed_jobs_may_be_spawned_again(swarm: Swarm, here: Path, caplog: pytest.LogCaptureFixture) -> None:
    line = 'echo "$OWN $NAME" >> "$NAME"; test "$(wc -l < "$NAME")" -ge $ENOUGH'
    for name, enough in (("fit-a", 1), ("fit-b", 2), ("fit-c", 9)):
        spawn(swarm, name, line, environment={"NAME": f"{here}/{name}", "OWN": "own", "ENOUGH": enough})
    # What another one has spawned is left as it ended.
    spawn(Swarm("local"), "fit-d", f"echo again >> {here}/fit-d; exit 1")
    with caplog.at_level(logging.INFO, "daskflow.compat.chime"):
        assert swarm.monitor_jobs("^fit-", respawn=2) is False
    tries = {name: len((here / name).read_text().splitlines()) for name in ("fit-a", "fit-b", "fit-c", "fit-d")}
    assert tries == {"fit-a": 1, "fit-b": 2, "fit-c": 3, "fit-d": 1}
    assert (here / "fit-b").read_text() == f"own {here}/fit-b\n" * 2
    assert "Completed: 50 %" in caplog.messages
    assert swarm.get_jobs() == []


def test_a_job_that_was_killed_is_not_spawned_again(swarm: Swarm) -> None:
    nap(swarm, "x")
    assert swarm.site.batch.kill("x")
    assert swarm.monitor_jobs("x", respawn=3) is False
    assert swarm.get_jobs() == []


def test_a_killed_job_is_no_success(swarm: Swarm, caplog: pytest.LogCaptureFixture) -> None:
    nap(swarm, "x")
    assert swarm.site.batch.kill("x")
    assert swarm.get_job_status("x") == {"x": "shutdown"}
    assert swarm.prune_jobs("x") == {}
    assert swarm.monitor_jobs("x") is False
    assert "it runs" not in caplog.text
    assert swarm.get_jobs() == []


def test_names_are_given_once(swarm: Swarm) -> None:
    nap(swarm, "x")
    try:
        with pytest.raises(ArgumentsInvalid, match="waits or runs"):
            spawn(swarm, "x", "true")
    finally:
        assert swarm.kill_job("x") == {"x": True}
    with pytest.raises(NotFound, match="'x'"):
        swarm.get_logs("x")
    with pytest.raises(ArgumentsInvalid, match="regular expression"):
        swarm.get_job_status("(")


def orders(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], dict[str, Any]]]:
    """What is asked of the site, instead of asking it."""
    asked: list[tuple[list[str], dict[str, Any]]] = []

    def spawn(services: Services, command: list[str], **options: Any) -> Any:
        asked.append((command, options))
        return SimpleNamespace(id="7")

    monkeypatch.setattr(Services, "spawn", spawn)
    return asked


def test_the_defaults_are_those_that_users_know(monkeypatch: pytest.MonkeyPatch, swarm: Swarm) -> None:
    asked = orders(monkeypatch)
    assert swarm.spawn_job("an/image", ["run"], [], "x") == {"ID": "7"}
    common = {"cores": 1, "core_limit": 1, "memory": 256 << 20, "memory_limit": 4 << 30, "env": {}, "binds": ()}
    assert asked == [(["run"], {"name": "x", "image": "an/image", **common})]
    signature = inspect.signature(Swarm.spawn_job)
    defaults = {name: p.default for name, p in signature.parameters.items() if p.default is not p.empty}
    assert defaults == {
        "mount_archiver": True,
        "swarm_network": True,
        "job_mem_limit": 4294967296,
        "job_mem_reservation": 268435456,
        "job_cpu_limit": 1,
        "job_cpu_reservation": 1,
        "environment": None,
    }


def test_options_reach_the_site(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = orders(monkeypatch)
    swarm = Swarm("local", archivers=["/data:/archive"])
    swarm.spawn_job("i", "run", ["--n", 1], "x", job_cpu_limit=2.5, job_cpu_reservation=0.5, environment={"N": "1"})
    swarm.spawn_job("i", ["run"], [], "y", mount_archiver=False)
    swarm.spawn_job("", ["run"], [], "z")
    assert asked[0][0] == ["run", "--n", "1"]
    assert (asked[0][1]["cores"], asked[0][1]["core_limit"], asked[0][1]["env"]) == (1, 3, {"N": "1"})
    assert [options["binds"] for _, options in asked] == [("/data:/archive",), (), ()]
    with pytest.warns(FutureWarning, match="swarm_network=False is not used"):
        swarm.spawn_job("", ["run"], [], "x", swarm_network=False)


class Api:
    """As users have it: with tokens."""

    access_token: str | None = "access"
    refresh_token: str | None = "refresh"


def test_baseband_jobs_are_as_users_know_them(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = orders(monkeypatch)
    swarm = Swarm(Api())
    environment = {"OWN": "1", "FRB_MASTER_REFRESH_TOKEN": "mine"}
    swarm.spawn_baseband_job(42, "localization", ["--fast", 1], 3, environment=environment)
    command, options = asked[0]
    assert command == [
        "baseband_analysis/pipelines/cluster/cluster_cli.py",
        *("localization", "--event-number", "42", "--job-id", "3", "--", "--fast", "1"),
    ]
    assert (options["name"], options["image"]) == (
        "baseband-42-localization-3",
        "chimefrb/baseband-localization:latest",
    )
    assert (options["cores"], options["core_limit"]) == (2, 2)
    assert options["memory"] == options["memory_limit"] == 10 * 1024**3
    assert options["env"] == {
        "OWN": "1",
        "FRB_MASTER_ACCESS_TOKEN": "access",
        "FRB_MASTER_REFRESH_TOKEN": "mine",
    }
    # What the caller passed is as it was.
    assert environment == {"OWN": "1", "FRB_MASTER_REFRESH_TOKEN": "mine"}


def test_tokens_do_not_leak_into_later_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = orders(monkeypatch)
    Swarm(Api()).spawn_baseband_job(1, "a")
    other = Swarm("local")
    other.spawn_baseband_job(2, "b")
    other.spawn_job("", ["run"], [], "x")
    assert asked[0][1]["env"]["FRB_MASTER_ACCESS_TOKEN"] == "access"
    assert asked[1][1]["env"] == asked[2][1]["env"] == {}
    monkeypatch.setenv("FRB_MASTER_ACCESS_TOKEN", "of the environment")
    other.spawn_baseband_job(3, "c")
    assert asked[3][1]["env"] == {"FRB_MASTER_ACCESS_TOKEN": "of the environment"}


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({}, "baseband-1-a"),
        ({"job_id": 5}, "baseband-1-a-5"),
        ({"job_id": -1}, "baseband-1-a"),
        ({"job_name": "n"}, "n"),
    ],
)
def test_baseband_jobs_have_names(given: dict[str, Any], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = orders(monkeypatch)
    Swarm("local").spawn_baseband_job(1, "a", **given, job_cpu_limit=1)
    command, options = asked[0]
    assert options["name"] == name
    assert ("--job-id" in command) == ("job_id" in given)
    assert (options["cores"], options["core_limit"]) == (2, 1)


def test_the_site_is_that_of_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Swarm().site.name == Swarm(Api()).site.name == "local"
    assert Swarm("cedar").site.name == Swarm(API=SimpleNamespace(site="cedar")).site.name == "cedar"
    monkeypatch.setenv("WORKFLOW_SITE", "chime")
    assert repr(Swarm()) == "Swarm('chime')"
    assert Swarm("cedar").site.name == "cedar"


@pytest.mark.parametrize(
    ("standing", "state"),
    [
        (ServiceStanding("x", ServiceState.pending), "new"),
        (ServiceStanding("x", ServiceState.pending, "7"), "pending"),
        (ServiceStanding("x", ServiceState.pending, "7", hopeless=True), "rejected"),
        (ServiceStanding("x", ServiceState.running, "7"), "running"),
        (ServiceStanding("x", ServiceState.completed, "7"), "complete"),
        (ServiceStanding("x", ServiceState.failed, "7", error="CommandFailed"), "failed"),
        (ServiceStanding("x", ServiceState.failed, "7", error="NodeFailure"), "orphaned"),
        (ServiceStanding("x", ServiceState.killed, "7"), "shutdown"),
    ],
)
def test_each_state_has_its_word(standing: ServiceStanding, state: str) -> None:
    assert _state(standing) == state
    assert state in STATES


def test_there_are_thirteen_states() -> None:
    assert len(STATES) == 13


@pytest.mark.parametrize(
    "program", [pytest.param("ch-run", marks=needs("ch-run")), pytest.param("bwrap", marks=needs("bwrap"))]
)
def test_a_job_runs_in_an_image(program: str, here: Path) -> None:
    runtime = {"ch-run": "charliecloud", "bwrap": "bubblewrap"}[program]
    (here / "daskflow.yaml").write_text(f"containers: [{runtime}]\ncache: {here}/cache\n")
    make_rootfs(here / "rootfs")
    (here / "data").mkdir()
    (here / "data" / "file").write_text("of the archiver\n")
    swarm = Swarm("local", archivers=[f"{here}/data:/mnt"])
    line = "cat /etc/image /mnt/file; echo $OWN"
    swarm.spawn_job("./rootfs", ["sh"], ["-c", line], "x", environment={"OWN": "own"})
    ended(swarm, "x")
    assert swarm.get_logs("x") == {"x": "a small image\nof the archiver\nown\n"}
    assert swarm.monitor_jobs("x") is True


def test_an_image_without_a_runtime_is_told(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "daskflow.yaml").write_text(f"containers: [bubblewrap]\ncache: {here}/cache\n")
    swarm = Swarm("local")
    swarm.spawn_job(str(here / "none.sif"), ["true"], [], "x")
    ended(swarm, "x")
    assert swarm.get_job_status("x") == {"x": "failed"}
    standing = swarm.site.batch.standing("x")
    assert standing.error == "ContainerError"
    assert "none.sif" in standing.reason
