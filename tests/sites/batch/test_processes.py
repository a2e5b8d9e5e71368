from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from daskflow.errors import BatchMissing, BatchRefused
from daskflow.sites.batch.jobfolder import JobFolder, Kept
from daskflow.sites.batch.processes import Processes
from daskflow.sites.batch.system import Phase
from tests.execution.patience import alive, until
from tests.sites.batch import promises


@pytest.fixture
def system(tmp_path: Path) -> Iterator[Processes]:
    made = Processes(str(tmp_path / "jobs"))
    yield made
    ids = [path.name for path in (tmp_path / "jobs").glob("*")]
    made.cancel(ids)
    until(lambda: len(made.certificates(ids)) == len(ids))


def pids(path: Path, count: int) -> list[int]:
    """Processes that wrote down who they are."""
    until(lambda: path.exists() and len(path.read_text().split()) == count)
    return [int(word) for word in path.read_text().split()]


def keeper(system: Processes, id: str) -> int:
    return int(json.loads((system._home / id / "keeper.json").read_text())["pid"])


def test_it_keeps_the_promises(system: Processes, tmp_path: Path) -> None:
    promises.tells_its_own_id_and_node(system, tmp_path)
    promises.performs_an_array(system, tmp_path)
    promises.tells_of_failure(system, tmp_path)
    promises.knows_nothing_of_others(system)
    assert promises.cancels(system, tmp_path).error == "Cancelled"


def test_all_processes_of_a_cancelled_job_are_gone(system: Processes, tmp_path: Path) -> None:
    noted = tmp_path / "pids"
    body = [
        f"setsid bash -c 'echo $$ >> {noted}; trap \"\" TERM; while :; do sleep 600; done' &",
        f"echo $$ >> {noted}",
    ]
    (id,) = promises.submit(system, promises.ask("tree", tmp_path), *body, "sleep 600")
    found = pids(noted, 2)
    system.cancel([id])
    assert promises.certificate(system, id).state == "CANCELLED"
    assert not any(map(alive, found))


def test_what_a_script_leaves_behind_is_killed(system: Processes, tmp_path: Path) -> None:
    noted = tmp_path / "pids"
    body = f"setsid bash -c 'echo $$ > {noted}; exec sleep 600' < /dev/null &"
    (id,) = promises.submit(system, promises.ask("left", tmp_path), body, f"until [ -s {noted} ]; do sleep 0.01; done")
    assert promises.certificate(system, id).error == ""
    assert not any(map(alive, pids(noted, 1)))


def test_walltime_ends_a_job_after_a_warning(system: Processes, tmp_path: Path) -> None:
    wanted = promises.ask("long", tmp_path, walltime=3.0, warn=2.0)
    (id,) = promises.submit(system, wanted, "trap 'echo warned' USR1", "while :; do sleep 0.1; done")
    found = promises.certificate(system, id)
    assert (found.error, found.state) == ("WalltimeExceeded", "TIMEOUT")
    assert found.start is not None
    assert found.stop is not None
    assert found.stop - found.start >= 3.0
    promises.log(wanted, id, "warned")
    promises.log(wanted, id, "it reached its walltime of 3 s")


def test_memory_ends_a_job(system: Processes, tmp_path: Path) -> None:
    grow = "python3 -c 'x = bytearray(600 * 2**20); input()'"
    (id,) = promises.submit(system, promises.ask("big", tmp_path), "exec 0< <(sleep 600)", grow)
    found = promises.certificate(system, id)
    assert found.error == "OutOfMemory"
    assert found.memory is not None
    assert found.memory > 200 * 2**20


def test_jobs_outlive_who_submitted_them_and_are_known_to_others(system: Processes, tmp_path: Path) -> None:
    # The keeper is nobody's child here: nothing of it is left to wait for.
    wanted = promises.ask("lasting", tmp_path)
    (id,) = promises.submit(system, wanted, "sleep 600")
    with pytest.raises(ChildProcessError):
        os.waitpid(keeper(system, id), os.WNOHANG)
    other = Processes(str(system._home))
    assert other == system
    assert hash(other) == hash(system)
    found = other.standings([id])[id]
    assert (found.phase, found.name, found.hopeless) == (Phase.running, "B-lasting", False)
    assert found.start is not None
    assert found.end == found.start + wanted.walltime
    other.cancel([id])
    assert promises.certificate(system, id).error == "Cancelled"


def test_a_killed_keeper_takes_its_job_along(system: Processes, tmp_path: Path) -> None:
    noted = tmp_path / "pids"
    body = [f"setsid bash -c 'echo $$ >> {noted}; exec sleep 600' &", f"echo $$ >> {noted}", "sleep 600"]
    (id,) = promises.submit(system, promises.ask("orphan", tmp_path), *body)
    found = pids(noted, 2)
    os.kill(keeper(system, id), signal.SIGKILL)
    until(lambda: system.standings([id])[id].phase is Phase.ended)
    assert system.certificates([id])[id].error == "WorkerLost"
    until(lambda: not any(map(alive, found)))


def test_a_start_of_the_machine_ends_jobs(system: Processes, tmp_path: Path) -> None:
    (id,) = promises.submit(system, promises.ask("before", tmp_path), "sleep 600")
    pid = keeper(system, id)
    path = system._home / id / "keeper.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"boot": "another"}))
    assert system.certificates([id])[id].error == "NodeFailure"
    assert system.standings([id])[id].state == "REBOOTED"
    # It is this test that told untrue things: the job goes on.
    os.kill(pid, signal.SIGTERM)
    (system._home / id / "stop").touch()
    until(lambda: not alive(pid))


def test_a_job_whose_submitter_was_killed_before_it_began_never_does(system: Processes, tmp_path: Path) -> None:
    folder = JobFolder(system._home / "1")
    kept = Kept("a", "/log", "/", 1, 1.0, 0.0, time.time())
    folder.make("true", kept)
    assert system.standings(["1"])["1"].phase is Phase.pending
    folder._write("asked", kept._replace(submitted=kept.submitted - 1000))
    assert system.standings(["1"])["1"].phase is Phase.ended
    assert system.certificates(["1"])["1"].error == "WorkerLost"


def test_a_job_that_cannot_begin_is_told(system: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BatchRefused, match="one node"):
        promises.submit(system, promises.ask("wide", tmp_path, nodes=2), "true")
    (tmp_path / "file").touch()
    with pytest.raises(BatchRefused, match="cannot be written"):
        promises.submit(Processes(str(tmp_path / "file")), promises.ask("nowhere", tmp_path), "true")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BatchMissing, match="bash"):
        system.rehearse("")


def test_folders_of_ended_jobs_can_be_removed(system: Processes, tmp_path: Path) -> None:
    (done,) = promises.submit(system, promises.ask("done", tmp_path), "true")
    (held,) = promises.submit(system, promises.ask("held", tmp_path), "sleep 600")
    promises.certificate(system, done)
    system.forget([done, held])
    assert list(system.standings([done, held])) == [held]


def test_more_jobs_than_cores_run_at_a_time(system: Processes, tmp_path: Path) -> None:
    count = (os.cpu_count() or 1) + 2
    ids = promises.submit(system, promises.ask("many", tmp_path, count=count), "sleep 600")
    assert {found.phase for found in system.standings(ids).values()} == {Phase.running}


def test_its_limits_are_those_of_the_machine(system: Processes) -> None:
    (found,) = system.limits()
    assert found.cores == os.cpu_count()
    assert found.default
