from __future__ import annotations

import os
import pickle
import subprocess
from pathlib import Path

import pytest

from daskflow.artifacts.cache import NodeCache
from daskflow.commands.containers.container import Containers
from daskflow.commands.processes import Launch
from daskflow.errors import ContainerError
from daskflow.execution.commanding.station import Station
from daskflow.execution.serving.enclosing import Enclosing, enclosed
from tests.services.images import make_rootfs
from tests.services.programs import needs


@pytest.fixture
def station(tmp_path: Path) -> Station:
    cache = NodeCache(tmp_path / "cache")
    shown = tmp_path / "shown"
    shown.mkdir()
    (shown / "file").write_text("by the site\n")
    containers = Containers(Path("unused"), ("bubblewrap", "charliecloud"), {}, (f"{shown}:/shown",))
    return Station("", containers, cache)


def test_an_image_is_known_by_its_whole_name(tmp_path: Path, station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name, given = Enclosing(lambda: station)("./small.sif")
    assert name == f"{tmp_path}/small.sif"
    assert pickle.loads(given).containers == station.containers
    assert Enclosing(lambda: station)("python:3.12")[0] == "docker://python:3.12"


def test_what_names_no_image_is_told(station: Station) -> None:
    with pytest.raises(ContainerError, match="names no image"):
        Enclosing(lambda: station)("Not An Image")


@pytest.mark.parametrize(
    "runtime",
    [pytest.param("charliecloud", marks=needs("ch-run")), pytest.param("bubblewrap", marks=needs("bwrap"))],
)
def test_a_command_runs_in_its_image(tmp_path: Path, station: Station, runtime: str) -> None:
    rootfs = make_rootfs(tmp_path / "rootfs")
    for name in ("work", "own", "temporary"):
        (tmp_path / name).mkdir()
    (tmp_path / "own" / "file").write_text("by the user\n")
    line = "cat /etc/image /shown/file /mnt/file; echo $OWN; pwd; echo new > made; touch /tmp/x"
    own = {"OWN": "a b"}
    launch = Launch(["/bin/sh", "-c", line], tmp_path / "work", {**os.environ, **own}, own)
    offered = station._replace(containers=Containers(Path("unused"), (runtime,), {}, station.containers.binds))
    made = enclosed(
        launch,
        str(rootfs),
        pickle.dumps(offered),
        binds=[f"{tmp_path}/own:/mnt"],
        temporary=tmp_path / "temporary",
        name="daskflow-test",
    )
    done = subprocess.run(made.argv, env=made.env, cwd=made.workdir, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"a small image\nby the site\nby the user\na b\n{tmp_path}/work\n"
    assert (tmp_path / "work" / "made").read_text() == "new\n"
    assert (tmp_path / "temporary" / "tmp" / "x").exists()
    assert made.stop is not None
    made.stop()


def test_an_image_that_is_not_there_is_told(tmp_path: Path, station: Station) -> None:
    launch = Launch(["true"], tmp_path, {}, {})
    with pytest.raises(ContainerError, match="not there"):
        enclosed(launch, "/no/such.sif", pickle.dumps(station), binds=[], temporary=tmp_path, name="x")


def test_a_mistake_in_a_bind_is_told_first(tmp_path: Path, station: Station) -> None:
    launch = Launch(["true"], tmp_path, {}, {})
    with pytest.raises(ContainerError, match="no bind"):
        enclosed(launch, "/no/such.sif", pickle.dumps(station), binds=["relative"], temporary=tmp_path, name="x")
