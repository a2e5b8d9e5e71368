from __future__ import annotations

import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from daskflow.errors import ArgumentsInvalid, BatchSilent, NotFound
from daskflow.sites.batch import services as module
from daskflow.sites.batch.processes import Processes
from daskflow.sites.batch.service import Progress, ServiceState
from daskflow.sites.batch.servicefolder import Began, Ended, ServiceFolder
from daskflow.sites.batch.services import Service, Services
from daskflow.sites.batch.system import Phase, Standing
from daskflow.sites.pools import Pool, Queue
from tests.execution.patience import alive, until
from tests.sites.batch.roster import Roster, services_in


@pytest.fixture
def system() -> Roster:
    return Roster()


def finish(home: Path, name: str, code: int = 0) -> None:
    """Have a service end by itself."""
    folder = ServiceFolder(home, name)
    folder.begin(Began(folder.id(), "n1", time.time()))
    folder.note_ended(Ended(code, "exit code" if code else "", "CommandFailed" if code else "", False, 1.0, 1, 0.1))


def test_services_are_listed_by_name_and_state(tmp_path: Path, system: Roster) -> None:
    services = services_in(tmp_path, system)
    for name in ("fit-1", "fit-10", "clean"):
        services.spawn("true", name=name)
    finish(tmp_path, "fit-1", 2)
    assert [one.name for one in services.ls()] == ["clean", "fit-1", "fit-10"]
    assert [one.name for one in services.ls("fit")] == ["fit-1", "fit-10"]
    assert services.states("^fit-1$") == {"fit-1": ServiceState.failed}
    assert [one.name for one in services.ls(states=["pending"])] == ["clean", "fit-10"]
    assert [one.name for one in services.ls("fit", "failed")] == ["fit-1"]
    assert services.ls("nothing") == []


def test_patterns_and_states_that_are_none_are_refused(tmp_path: Path) -> None:
    services = services_in(tmp_path)
    with pytest.raises(ArgumentsInvalid, match="no regular expression"):
        services.ls("(")
    with pytest.raises(ArgumentsInvalid, match="pending, running"):
        services.ls(states=["COMPLETE"])


def test_another_process_finds_what_was_spawned(tmp_path: Path, system: Roster) -> None:
    services_in(tmp_path, system).spawn("true", name="x")
    again = services_in(tmp_path, system)
    assert again.get("x").id == "1"
    assert again.standing("x").living


def test_only_the_exact_name_is_killed(tmp_path: Path, system: Roster) -> None:
    services = services_in(tmp_path, system)
    for name in ("x", "x-1", "xy"):
        services.spawn("true", name=name)
    assert services.kill("x")
    assert services.states() == {"x": "killed", "x-1": "pending", "xy": "pending"}
    assert system.cancelled == ["1"]
    assert not services.kill("x")
    with pytest.raises(NotFound, match="Did you mean"):
        services.kill("x-")
    with pytest.raises(NotFound):
        services.kill("x.*")
    assert system.cancelled == ["1"]


@pytest.mark.parametrize("name", ["nix", "../x", "", "."])
def test_a_name_that_is_not_there_is_told(tmp_path: Path, name: str) -> None:
    services = services_in(tmp_path)
    for ask in (
        services.get,
        services.standing,
        services.logs,
        services.kill,
        lambda name: list(services.follow(name)),
    ):
        with pytest.raises(NotFound, match="daskflow batch ls --site here"):
            ask(name)


def test_what_is_killed_is_dead_before_that_is_said(tmp_path: Path, system: Roster) -> None:
    class Slow(Roster):
        """Its jobs take their time to end."""

        def cancel(self, ids: object) -> None:
            threading.Timer(0.3, finish_stopped).start()

    def finish_stopped() -> None:
        ServiceFolder(tmp_path, "x").note_ended(Ended(143, "", "CommandFailed", True, 1.0, 1, 0.1))

    services = services_in(tmp_path, Slow())
    service = services.spawn("true", name="x")
    ServiceFolder(tmp_path, "x").begin(Began("1", "n1", 1.0))
    assert service.kill()
    assert service.state is ServiceState.killed


def test_what_is_killed_as_it_starts_is_soon_known_to_be_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Starting(Roster):
        """Its job is there for one more look, and says nothing of its end."""

        def cancel(self, ids: object) -> None:
            self.last = self.questions + 1

        def standings(self, ids: Iterable[str]) -> Mapping[str, Standing]:
            if self.questions == getattr(self, "last", math.inf):
                self.jobs.clear()
            return super().standings(ids)

    monkeypatch.setattr(module, "_PATIENCE", 8.0)
    system = Starting()
    assert services_in(tmp_path, system, poll=600.0).spawn("true", name="x").kill()
    assert system.jobs == {}, "it was looked at again before the patience was over"


def test_a_kill_that_the_batch_system_does_not_hear_is_noted(
    tmp_path: Path, system: Roster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.2)
    services = services_in(tmp_path, system)
    services.spawn("true", name="x")
    system.silence = BatchSilent("down")
    with pytest.raises(BatchSilent, match="down"):
        services.kill("x")
    assert ServiceFolder(tmp_path, "x").killed() is not None
    assert services.silence is system.silence


def test_only_what_ended_is_pruned(tmp_path: Path, system: Roster) -> None:
    services = services_in(tmp_path, system)
    for name in ("done", "failed", "killed", "waiting"):
        services.spawn("true", name=name)
    finish(tmp_path, "done")
    finish(tmp_path, "failed", 1)
    services.kill("killed")
    assert services.prune("^nothing") == []
    assert services.prune() == ["done", "killed"]
    assert list(services.states()) == ["failed", "waiting"]
    assert services.prune(failed=True) == ["failed"]
    assert list(services.states()) == ["waiting"]


def test_what_failed_or_never_will_be_is_removed(tmp_path: Path, system: Roster) -> None:
    services = services_in(tmp_path, system)
    for name in ("done", "failed", "hopeless", "waiting"):
        services.spawn("true", name=name)
    finish(tmp_path, "done")
    finish(tmp_path, "failed", 1)
    system.jobs["3"] = Standing("3", Phase.pending, "PENDING", "PartitionTimeLimit", hopeless=True)
    assert services.kill_failed("^x") == []
    assert services.kill_failed() == ["failed", "hopeless"]
    assert system.cancelled == ["3"]
    assert services.states() == {"done": "completed", "waiting": "pending"}


def test_who_monitors_sees_services_come_to_their_ends(tmp_path: Path, system: Roster) -> None:
    services = services_in(tmp_path, system)
    services.spawn("true", name="x", count=4)
    services.spawn("true", name="other")
    seen: list[Progress] = []

    def see(progress: Progress) -> None:
        seen.append(progress)
        number = progress.completed + progress.failed
        if number < 4:
            finish(tmp_path, f"x-{number}", number % 2)

    assert services.monitor("^x-", on_progress=see, every=0.01) == Progress(completed=2, failed=2)
    assert [progress.pending for progress in seen] == [4, 3, 2, 1, 0]
    assert all(sum(progress.percent.values()) == 100 for progress in seen)


def test_monitoring_nothing_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="'nix'"):
        services_in(tmp_path).monitor("nix")


def test_who_waits_too_long_is_told(tmp_path: Path, system: Roster) -> None:
    service = services_in(tmp_path, system).spawn("true", name="x")
    with pytest.raises(TimeoutError, match="pending 100 %"):
        service.wait(timeout=0.05)


def test_monitoring_goes_on_while_the_batch_system_is_silent(tmp_path: Path, system: Roster) -> None:
    services = services_in(tmp_path, system)
    services.spawn("true", name="x")
    system.silence = BatchSilent("down")
    done = services.monitor("x", on_progress=lambda progress: finish(tmp_path, "x"), every=0.01)
    assert done == Progress(completed=1)


def test_logs_are_those_of_the_service(tmp_path: Path, system: Roster) -> None:
    services = services_in(tmp_path, system)
    service = services.spawn("true", name="x")
    assert service.logs() == ""
    ServiceFolder(tmp_path, "x").log.write_text("one\ntwo\n")
    assert (service.logs(), services.logs("x", 1)) == ("one\ntwo\n", "two\n")


def test_a_log_is_followed_to_its_end(tmp_path: Path, system: Roster) -> None:
    services = services_in(tmp_path, system)
    services.spawn("true", name="x")
    log = ServiceFolder(tmp_path, "x").log
    log.write_bytes("zero\none\nä".encode()[:-1])
    told = services.follow("x", 2, every=0.01)
    assert next(told) == "one\n"
    with open(log, "ab") as file:
        file.write("ä".encode()[-1:] + b"\n")
    finish(tmp_path, "x")
    assert "".join(told) == "ä\n"


def test_the_handle_and_the_services_say_what_they_are(tmp_path: Path, system: Roster) -> None:
    services = services_in(tmp_path, system)
    assert repr(services.spawn("true", name="x")) == "<Service x pending>"
    assert repr(services) == "<Services of the site 'here'>"
    assert isinstance(services.get("x"), Service)


# What follows runs for real, as processes of this machine.


@pytest.fixture
def local(tmp_path: Path) -> Services:
    pools = (Pool("default", 4, 4 << 30, 600.0, queue=Queue(prologue=("export FROM_PROLOGUE=yes",))),)
    return services_in(tmp_path, Processes(str(tmp_path / "jobs")), pools=pools, environment={"FROM_SITE": "it's"})


def test_a_real_service_runs_to_its_end(local: Services, tmp_path: Path) -> None:
    workdir = tmp_path / "a b"
    workdir.mkdir()
    line = 'echo "$FROM_PROLOGUE $FROM_SITE $OWN $DASKFLOW_CORES"; pwd; exit 3'
    service = local.spawn(line, name="x", cores=2, env={"OWN": "a  b"}, workdir=str(workdir))
    found = service.wait(60)
    assert (found.state, found.exit_code, found.error) == (ServiceState.failed, 3, "CommandFailed")
    assert service.logs() == f"yes it's a  b 2\n{workdir}\n"


def test_real_services_are_killed_with_all_they_started(local: Services, tmp_path: Path) -> None:
    service = local.spawn(f"setsid sleep 600 & echo $! > {tmp_path}/pid; wait", name="x")
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip())
    sleeper = int((tmp_path / "pid").read_text())
    assert service.kill()
    assert service.state is ServiceState.killed
    until(lambda: not alive(sleeper))


def test_a_real_service_outlives_who_spawned_it(local: Services, tmp_path: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from daskflow.sites.batch.processes import Processes
from daskflow.sites.pools import Pool
from tests.sites.batch.roster import services_in
home = Path({str(tmp_path)!r})
pools = (Pool("default", 4, 4 << 30, 600.0),)
services = services_in(home, Processes(str(home / "jobs")), pools=pools)
services.spawn("until [ -e go ]; do sleep 0.05; done; echo went", name="x", workdir=str(home))
os.kill(os.getpid(), signal.SIGKILL)
"""
    root = str(Path(__file__).parents[3])
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert local.standing("x").living
    (tmp_path / "go").touch()
    assert local.get("x").wait(60).state is ServiceState.completed
    assert local.logs("x") == "went\n"
    assert local.prune() == ["x"]
    assert os.listdir(tmp_path / "jobs") == []


def test_a_real_service_over_its_walltime_is_told_so(local: Services) -> None:
    found = local.spawn(["sleep", "600"], name="x", walltime=1).wait(60)
    assert (found.state, found.error) == (ServiceState.failed, "WalltimeExceeded")
    assert re.search("TIMEOUT", found.reason)
