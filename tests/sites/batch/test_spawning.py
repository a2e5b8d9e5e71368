from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path
from typing import Any

import pytest

from daskflow.errors import (
    ArgumentsInvalid,
    BatchRefused,
    BatchSilent,
    ContainerError,
    FitsNowhere,
    StoreUnavailable,
)
from daskflow.sites.batch.service import ServiceState
from daskflow.sites.batch.servicefolder import Began, ServiceFolder
from daskflow.sites.batch.spawning import cancel, forget
from daskflow.sites.batch.system import Ask, Certificate
from tests.sites.batch.roster import KEEPER, Roster, services_in


@pytest.fixture
def system() -> Roster:
    return Roster()


def test_a_service_asks_for_what_it_needs(tmp_path: Path, system: Roster) -> None:
    service = services_in(tmp_path, system).spawn("true", name="x", cores=2, memory="1 GiB", walltime="1 min")
    folder = ServiceFolder(tmp_path, "x")
    record = folder.record()
    assert record is not None
    (ask,) = system.asks
    assert ask._replace(memory=0) == Ask("x", 2, 0, 60.0, str(folder.log), queue=ask.queue)
    # What keeps it needs some, too.
    assert 1 << 30 < ask.memory < 3 << 29
    assert (record.memory, record.pool, ask.queue.queue) == (1 << 30, "small", "short")
    assert (service.id, folder.id()) == ("1", "1")


def test_what_is_not_said_is_that_of_the_pool(tmp_path: Path, system: Roster) -> None:
    services_in(tmp_path, system).spawn("true", name="x")
    record = ServiceFolder(tmp_path, "x").record()
    assert record is not None
    assert (record.memory, record.walltime) == (1 << 30, 600.0)
    assert record.order.workdir == os.getcwd()


def test_the_larger_of_what_is_reserved_and_of_the_limit_is_asked_for(tmp_path: Path, system: Roster) -> None:
    services_in(tmp_path, system).spawn("true", name="x", memory="256 MiB", memory_limit="2 GiB")
    assert system.asks[0].memory == 2 << 30


def test_the_script_hands_the_service_over_to_its_keeper(tmp_path: Path, system: Roster) -> None:
    home = tmp_path / "a b"
    services = services_in(home, system, environment={"A": "it's"}, python="/opt/my python")
    services.spawn("echo $SECRET", name="x", env={"SECRET": "hidden"})
    record = ServiceFolder(home, "x").record()
    assert record is not None
    lines = system.scripts[0].splitlines()
    assert lines[1:4] == ["set -e", "module load x", "set +e"]
    assert shlex.split(lines[4]) == ["export", "A=it's"]
    call = ["exec", "/opt/my python", "-P", "-m", KEEPER, str(home), "x", record.token, "$ID", "$NODE"]
    assert shlex.split(lines[5]) == call
    assert "hidden" not in system.scripts[0]


def test_several_have_numbers(tmp_path: Path, system: Roster) -> None:
    spawned = services_in(tmp_path, system).spawn("true", name="x", count=20)
    assert [service.name for service in spawned] == [f"x-{number}" for number in range(20)]
    records = [ServiceFolder(tmp_path, service.name).record() for service in spawned]
    assert [record and record.index for record in records] == list(range(20))
    assert len({ServiceFolder(tmp_path, service.name).id() for service in spawned}) == 20


def test_a_service_without_a_name_gets_one_of_its_own(tmp_path: Path, system: Roster) -> None:
    services = services_in(tmp_path, system)
    names = [services.spawn(["/opt/lmp mpi", "-in", "x"]).name, services.spawn("./run.sh -v").name]
    assert names[0].startswith("lmp-mpi-")
    assert names[1].startswith("run-sh-")
    assert services.spawn("./run.sh").name != names[1]
    assert services.spawn("'").name


def test_a_name_is_taken_as_long_as_its_service_lives(tmp_path: Path, system: Roster) -> None:
    services = services_in(tmp_path, system)
    services.spawn("true", name="x-1")
    with pytest.raises(ArgumentsInvalid, match="daskflow batch kill x-1 --site here"):
        services_in(tmp_path, system).spawn("true", name="x-1")
    with pytest.raises(ArgumentsInvalid, match="x-1"):
        services.spawn("true", name="x", count=3)
    # None of them was submitted, and none is left.
    assert len(system.asks) == 1
    assert list(services.states()) == ["x-1"]
    services.kill("x-1")
    before = ServiceFolder(tmp_path, "x-1").record()
    services.spawn("false", name="x-1")
    after = ServiceFolder(tmp_path, "x-1").record()
    assert before is not None
    assert after is not None
    assert (before.token != after.token, after.order.command) == (True, "false")
    assert services.states() == {"x-1": ServiceState.pending}


@pytest.mark.parametrize("name", ["", "a/b", "..", ".x", "-x", "a b", "x" * 101, "x\n"])
def test_names_that_are_none_are_refused(tmp_path: Path, system: Roster, name: str) -> None:
    with pytest.raises(ArgumentsInvalid, match="no name"):
        services_in(tmp_path, system).spawn("true", name=name)
    assert system.asks == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"cores": 99}, "'wide', which lacks 99 cores"),
        ({"walltime": "3 h"}, "walltime"),
        ({"memory_limit": "1 TiB"}, "memory"),
        ({"nodes": 5}, "span 4 at most"),
        ({"pool": "small", "nodes": 2}, "span 1 at most"),
        ({"pool": "small", "gpus": 1}, "gpus"),
    ],
)
def test_what_fits_nowhere_is_told_before_anything_is_submitted(
    tmp_path: Path, system: Roster, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(FitsNowhere, match=told):
        services_in(tmp_path, system).spawn("true", name="x", **options)
    assert system.asks == []
    assert ServiceFolder.all(tmp_path) == []


def test_the_first_pool_that_holds_it_is_taken(tmp_path: Path, system: Roster) -> None:
    services = services_in(tmp_path, system)
    for options in ({}, {"cores": 3}, {"nodes": 2}, {"pool": "wide"}, {"queue": "other", "cores": 64}):
        services.spawn("true", **options)
    queues = [ask.queue.queue for ask in system.asks]
    assert queues == ["short", "long", "long", "long", "other"]
    assert (system.asks[-1].queue.account, system.asks[2].nodes) == ("me", 2)


def test_a_pool_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(ArgumentsInvalid, match="'small', 'wide'"):
        services_in(tmp_path).spawn("true", pool="huge")


def test_there_is_at_least_one_of_several(tmp_path: Path) -> None:
    with pytest.raises(ArgumentsInvalid, match="count"):
        services_in(tmp_path).spawn("true", count=0)


def test_what_is_refused_leaves_nothing(tmp_path: Path, system: Roster) -> None:
    system.trouble = [None, BatchRefused("no such partition")]
    with pytest.raises(BatchRefused, match="no such partition"):
        services_in(tmp_path, system).spawn("true", name="x", count=8)
    assert sorted(system.cancelled) == sorted(str(n + 1) for n in range(len(system.asks)))
    assert ServiceFolder.all(tmp_path) == []


def test_an_answer_that_got_lost_is_asked_for_again(tmp_path: Path, system: Roster) -> None:
    system.trouble = [BatchSilent("timeout")]
    assert services_in(tmp_path, system).spawn("true", name="x").id == "1"


def test_what_was_taken_twice_runs_once(tmp_path: Path) -> None:
    class Forgetful(Roster):
        """Takes the first job without saying so."""

        def submit(self, script: str, ask: Ask) -> list[str]:
            ids = super().submit(script, ask)
            if ids == ["1"]:
                raise BatchSilent("timeout")
            return ids

    system = Forgetful()
    services = services_in(tmp_path, system)
    service = services.spawn("true", name="x")
    assert (list(system.jobs), service.id) == (["1", "2"], "2")
    folder = ServiceFolder(tmp_path, "x")
    assert [folder.begin(Began(id, "n1", 1.0)) for id in system.jobs] == [True, False]
    # The other one has ended well, and there is nothing to say of that.
    del system.jobs["2"]
    system.ends["2"] = Certificate("2", "", "COMPLETED", 0)
    assert (service.id, service.state) == ("1", ServiceState.running)
    assert service.kill()
    assert system.cancelled == ["1"]


def test_what_has_begun_without_an_answer_is_not_submitted_again(tmp_path: Path) -> None:
    class Forgetful(Roster):
        """Starts a job without saying so."""

        def submit(self, script: str, ask: Ask) -> list[str]:
            (id,) = super().submit(script, ask)
            assert ServiceFolder(tmp_path, ask.name).begin(Began(id, "n1", 1.0))
            raise BatchSilent("timeout")

    system = Forgetful()
    service = services_in(tmp_path, system).spawn("true", name="x")
    assert (list(system.jobs), service.id, service.state) == (["1"], "1", ServiceState.running)


def test_what_was_taken_without_an_answer_never_runs(tmp_path: Path, system: Roster) -> None:
    system.trouble = [BatchSilent("down")] * 2
    services = services_in(tmp_path, system)
    with pytest.raises(BatchSilent, match="down"):
        services.spawn("true", name="x")
    # Its keeper, if it ever begins, sees that.
    assert ServiceFolder(tmp_path, "x").killed() is not None
    assert services.states() == {"x": ServiceState.killed}
    assert services.spawn("true", name="x").state is ServiceState.pending


def test_the_record_is_there_before_the_batch_system_is_told(tmp_path: Path, system: Roster) -> None:
    seen = []

    class Looking(Roster):
        def submit(self, script: str, ask: Ask) -> list[str]:
            folder = ServiceFolder(tmp_path, ask.name)
            seen.append((folder.record() is not None, folder.id()))
            return super().submit(script, ask)

    services_in(tmp_path, Looking()).spawn("true", name="x")
    assert seen == [(True, "")]


def test_images_are_checked_and_known_to_all_nodes(tmp_path: Path, system: Roster) -> None:
    services = services_in(tmp_path, system, enclose=lambda image: (f"/abs/{image}", b"station"))
    services.spawn("true", name="x", image="a.sif", binds=["/data:/mnt"])
    folder = ServiceFolder(tmp_path, "x")
    record = folder.record()
    assert record is not None
    assert (record.order.image, record.order.binds, folder.station()) == ("/abs/a.sif", ("/data:/mnt",), b"station")
    assert stat.S_IMODE((folder.path / "station").stat().st_mode) == 0o600
    with pytest.raises(ArgumentsInvalid, match="no images"):
        services_in(tmp_path, system).spawn("true", image="a.sif")

    def refuse(image: str) -> tuple[str, bytes]:
        raise ContainerError("none")

    with pytest.raises(ContainerError):
        services_in(tmp_path, system, enclose=refuse).spawn("true", image="a.sif")
    assert len(system.asks) == 1


def test_a_shared_directory_that_is_full_or_forbidden_is_told(tmp_path: Path, system: Roster) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable, match="Nothing was submitted"):
        services_in(tmp_path / "file", system).spawn("true", name="x")
    assert system.asks == []


def test_cancelling_tells_what_went_wrong(tmp_path: Path, system: Roster) -> None:
    services_in(tmp_path, system).spawn("true", name="x")
    folders = [ServiceFolder(tmp_path, "x"), ServiceFolder(tmp_path, "not there")]
    system.silence = BatchSilent("down")
    assert cancel(system, folders) is system.silence
    system.silence = None
    assert cancel(system, folders) is None
    assert system.cancelled == ["1"]
    assert cancel(system, folders[1:]) is None


def test_what_is_forgotten_is_gone(tmp_path: Path, system: Roster) -> None:
    services_in(tmp_path, system).spawn("true", name="x")
    assert forget(system, ServiceFolder(tmp_path, "x"))
    assert not forget(system, ServiceFolder(tmp_path, "x"))
