"""The getting-started page of CHIME/FRB Workflow, line by line: with the same interface, and with daskflow's own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import daskflow
from daskflow.compat import chime
from daskflow.errors import TokenRefused, WorkLost
from tests.acceptance.shell import daskflow as shell
from tests.acceptance.shell import environment
from tests.execution.patience import until
from tests.services.servers import ServerProcess
from tests.services.slurm import Slurm

pytestmark = pytest.mark.acceptance

_CREATE = """
work = Work(
    pipeline="sample-pipeline",
    site="local",
    user="username",
    function="daskflow.compat.chime.examples.function.math",
    parameters={"alpha": 1, "beta": 2},
)
"""
_ADD = """
def add(a: int, b: int) -> int:
    result = a + b
    return result
"""
_RECOMMENDED = """
work.event = [12345, 67890]
work.user = "some-user"
work.tag = ["some-tag", "some-other-tag"]
work.group = ["some-working-group", "some-other-working-group"]
work.site = "chime"
work.results = {"some-parameter": "some-value"}
work.plots = ["some-plot.png"]
work.products = ["some-product.fits"]
work.status = "success"
"""
_IMPORT = {"chime": "from daskflow.compat.chime import Work\n", "own": "from daskflow import Buckets, Work\n"}
_DEPOSIT = {"chime": "assert work.deposit() is True\n", "own": "Buckets().deposit(work)\n"}
_WITHDRAW = {
    "chime": 'work = Work.withdraw(pipeline="sample-pipeline")\n',
    "own": 'buckets = Buckets()\nwork = buckets.withdraw(pipeline="sample-pipeline")\n',
}
_UPDATE = {"chime": "assert work.update() is True\n", "own": "buckets.update(work)\n"}
_PERFORM = """
result = add(**work.parameters)
work.results = result
work.status = "success"
"""
FACES = ["chime", "own"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of the user, with the function that performs the work in a module."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "functions.py").write_text(_ADD)
    (tmp_path / "daskflow.yaml").write_text(
        "works: {sites: [chime], functions: [daskflow.compat.chime.examples.function.*]}\n"
    )
    return tmp_path


def script(here: Path, *parts: str) -> None:
    """Run a script of the user; a warning is an error."""
    (here / "script.py").write_text("".join(parts))
    done = subprocess.run(
        [sys.executable, "-W", "error", "script.py"],
        cwd=here,
        env=environment(GITHUB_TOKEN="of-the-user"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def works(query: dict[str, Any] | None = None) -> list[Any]:
    """What the buckets of the user hold."""
    with daskflow.Buckets() as buckets:
        return buckets.view(query or {})


@pytest.mark.parametrize("face", FACES)
def test_deposit_a_work(face: str, here: Path) -> None:
    script(here, _IMPORT[face], _CREATE, 'assert work.status == "created"\n', _DEPOSIT[face])
    (work,) = works()
    # Lifecycle parameters are added.
    assert (work.pipeline, work.site, work.user, work.parameters) == (
        "sample-pipeline",
        "local",
        "username",
        {"alpha": 1, "beta": 2},
    )
    assert work.id
    assert work.creation > 0
    assert (work.status, work.attempt, work.start, work.timeout, work.retries, work.priority) == (
        "queued",
        *(0, None, 3600, 2, 3),
    )


@pytest.mark.parametrize("face", FACES)
def test_perform_it_manually(face: str, here: Path) -> None:
    create = _CREATE.replace('"alpha": 1, "beta": 2', '"a": 1, "b": 2')
    script(here, _IMPORT[face], create, _DEPOSIT[face])
    script(here, _ADD, _IMPORT[face], _WITHDRAW[face], _PERFORM, _UPDATE[face])
    (work,) = works()
    assert (work.results, work.status, work.attempt) == (3, "success", 1)
    assert work.start >= work.creation


@pytest.mark.parametrize("face", FACES)
def test_perform_it_automatically(face: str, here: Path) -> None:
    create = _CREATE.replace('"alpha": 1, "beta": 2', '"a": 1, "b": 2')
    script(here, _IMPORT[face], create, _DEPOSIT[face])
    shell(here, "work", "run", "sample-pipeline", "functions.add", "--site", "local", "--lives", "1", "--sleep", "1")
    (work,) = works()
    assert (work.results, work.status, work.attempt, work.error) == (3, "success", 1, None)
    assert work.stop >= work.start >= work.creation


@pytest.mark.parametrize("face", FACES)
def test_perform_what_the_work_names(face: str, here: Path) -> None:
    create = _CREATE.replace('"beta": 2', f'"beta": 2, "directory": {json.dumps(str(here))}')
    script(here, _IMPORT[face], create, _DEPOSIT[face])
    shell(here, "work", "run", "sample-pipeline", "--site", "local", "--lives", "1", "--sleep", "1")
    (work,) = works()
    assert (work.status, work.error) == ("success", None)
    assert work.results == {"sum": 3, "difference": -1, "product": 2, "quotient": 0.5}
    assert ([Path(path).name for path in work.products], [Path(path).name for path in work.plots]) == (
        ["math.json"],
        ["math.svg"],
    )


@pytest.mark.parametrize("face", FACES)
def test_recommended_fields_find_it_again(face: str, here: Path) -> None:
    script(here, _IMPORT[face], _CREATE, _DEPOSIT[face], _WITHDRAW[face], _RECOMMENDED, _UPDATE[face])
    for query in (
        {"event": 12345},
        {"user": "some-user"},
        {"tags": "some-other-tag"},
        {"group": "some-working-group"},
        {"site": "chime"},
        {"results.some-parameter": "some-value"},
        {"plots": "some-plot.png"},
        {"products": "some-product.fits"},
        {"status": "success"},
    ):
        assert len(works(query)) == 1, query
    assert works({"event": 1}) == []
    assert works({"results.some-parameter": "another-value"}) == []
    (work,) = works()
    assert work.tag == work.tags == ["some-tag", "some-other-tag"]
    assert "token" not in work.payload


class Server(NamedTuple):
    """One that keeps the works of a laboratory."""

    url: str
    token: str


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """`daskflow serve` in a directory of its own, and a token for it."""
    home = tmp_path / "laboratory"
    home.mkdir()
    (home / "daskflow.yaml").write_text("works: {sites: [chime]}\n")
    with ServerProcess(home) as process:
        yield Server(process.url, process.token("read", "deposit", "perform", "admin"))


def test_the_same_over_http(here: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKFLOW_TOKEN", server.token)
    place = f'base_url="{server.url}"'
    deposit = f"assert work.deposit(return_ids=True, {place}) == [work.id]\n"
    withdraw = f'work = Work.withdraw("sample-pipeline", site="local", {place}, timeout=15.0)\n'
    script(here, _ADD, _IMPORT["chime"], _CREATE.replace('"alpha": 1, "beta": 2', '"a": 1, "b": 2'), deposit)
    script(here, _ADD, _IMPORT["chime"], withdraw, _PERFORM, _UPDATE["chime"])
    assert works() == []
    with chime.Results(server.url) as results:
        assert results.status() == {"sample-pipeline": 1}
        (found,) = results.view("sample-pipeline", {"parameters.a": 1})
        assert (found["results"], found["status"]) == (3, "success")
        assert set(results.info()) == {"client", "server"}
        assert results.lock("sample-pipeline", found["id"])
        assert results.get_locked_count("sample-pipeline") == 1
        assert results.unlock("sample-pipeline", found["id"], force=True)


def test_many_over_http(here: Path, server: Server) -> None:
    given = {"pipeline": "many", "site": "chime", "user": "ada", "function": "math.hypot"}
    with chime.Buckets(server.url, token=server.token) as buckets:
        ids = buckets.deposit([{**given, "event": [number]} for number in range(300)], return_ids=True)
        assert isinstance(ids, list)
        assert buckets.view({"pipeline": "many"}, skip=5, limit=1)[0]["event"] == [294]
        late, gone = buckets.withdraw("many", event=[7, 8]), buckets.withdraw("many")
        assert late is not None
        assert gone is not None
        assert (late["event"], gone["event"]) == ([7], [0])
        assert buckets.delete_ids(gone["id"])
        with pytest.raises(WorkLost):
            buckets.update({**gone, "status": "success"})
        assert buckets.delete_many("many", events=list(range(100)), force=True, limit=-1)
        # So many ids would not fit in an address.
        assert buckets.delete_ids(ids)
        assert buckets.audit() == {"failed": 0, "expired": 0, "stale": 0}
        assert buckets.pipelines() == []
    with pytest.raises(TokenRefused), chime.Buckets(server.url, token="not-one") as stranger:
        stranger.status()


@pytest.mark.integration
def test_jobs_of_a_cluster(slurm: Slurm, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slurm.activate(monkeypatch)
    pool = {"queue": "main", "cores": 2, "memory": "1 GiB", "walltime": "10 min"}
    site = {"kind": "slurm", "shipping": False, "poll": "1 s", "pools": {"main": pool}}
    (here / "daskflow.yaml").write_text(json.dumps({"sites": {"cluster": site}}))
    swarm = chime.Swarm("cluster")
    small: Any = {"job_mem_limit": 256 << 20}
    fails_once = f"test -e {here}/seen || {{ touch {here}/seen; exit 1; }}"
    try:
        for number, line in enumerate(["true", fails_once]):
            answer = swarm.spawn_job(
                "", ["bash"], ["-c", f"echo $OWN; {line}"], f"x-{number}", environment={"OWN": "o"}, **small
            )
            assert answer["ID"].isdigit()
        swarm.spawn_job("", ["sleep", "600"], [], "y", **small)
        assert swarm.jobs_running("x-")
        until(lambda: not swarm.jobs_running("x-"), 120)
        assert swarm.get_job_status("x-") == {"x-0": "complete", "x-1": "failed"}
        assert swarm.get_logs("x-0") == {"x-0": "o\n"}
        assert swarm.monitor_jobs("^x-", respawn=1) is True
        until(lambda: swarm.get_job_status() == {"y": "running"}, 120)
    finally:
        swarm.kill_job("y")
        slurm.clear()
    assert swarm.get_jobs() == []
