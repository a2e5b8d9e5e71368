from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from daskflow.commands.containers.apptainer import Apptainer
from daskflow.commands.containers.call import Bind
from daskflow.commands.containers.images import Image
from daskflow.commands.containers.shelf import Shelf
from daskflow.commands.scratch import Scratch
from daskflow.errors import ContainerError
from tests.commands.containers.conftest import Calling, Stub
from tests.services.images import docker_archive, save

SIF = "/images/code.sif"
_WRITES = "\nopen(next(word for word in arguments if word.endswith('.part')), 'w').close()\n"


def pairs(arguments: list[str], option: str) -> list[str]:
    return [value for name, value in itertools.pairwise(arguments) if name == option]


@pytest.mark.parametrize("name", ["apptainer", "singularity"])
def test_a_command_runs_contained(name: str, stub: Callable[..., Stub], calling: Calling, scratch: Scratch) -> None:
    program = stub(name, image=SIF)
    inner = scratch.work / "inner"
    inner.mkdir()
    binds = [Bind(str(inner), "/tmp/inner"), Bind("/data", "/data")]
    call = calling("sh", "-c", "echo done", env={"A": "a $b,c"}, binds=binds)
    argv, env = Apptainer(name, ["--nv"]).launch(SIF, call)
    assert subprocess.run(argv, env=env, capture_output=True, check=True).stdout == b"done\n"
    ((*arguments,),) = program.calls
    assert "--containall" in arguments
    assert pairs(arguments, "--home") == [str(scratch.work)]
    assert pairs(arguments, "--pwd") == [str(scratch.work)]
    assert pairs(arguments, "--network") == ["none"]
    shown = pairs(arguments, "--bind")
    assert {"/data:/data:ro", f"{scratch.work}:{scratch.work}:rw"} < set(shown)
    # What lies in /tmp is mounted after it, and has a place there.
    assert shown.index(f"{scratch.tmp}:/tmp:rw") < shown.index(f"{inner}:/tmp/inner:ro")
    assert (scratch.tmp / "inner").is_dir()
    assert arguments[arguments.index(SIF) - 1] == "--nv"
    # Values are in the environment: neither on the command line, which everybody can read, nor expanded.
    assert not any("a $b,c" in word for word in arguments)
    assert program.env[f"{name.upper()}ENV_A"] == "a $b,c"
    assert program.env[f"{name.upper()}_NO_EVAL"] == "1"
    assert f"{name.upper()}ENV_HOME" not in program.env


def test_the_network_is_there_when_asked_for(stub: Callable[..., Stub], calling: Calling) -> None:
    stub("apptainer")
    assert "--net" not in Apptainer().launch(SIF, calling("true", network=True)).argv


def test_registries_are_asked_once_and_archives_built_once(
    stub: Callable[..., Stub], shelf: Shelf, tmp_path: Path
) -> None:
    program = stub("apptainer")
    place = tmp_path / "programs/apptainer"
    place.write_text(place.read_text() + _WRITES)
    saved = docker_archive(tmp_path / "image.tar", [{"etc": None}])
    for image in ("docker://code:1", saved):
        one, other = (Apptainer().prepare(Image.named(image), shelf) for _ in range(2))
        assert one == other
        assert one.endswith(".sif")
    pulled, built = program.calls
    assert (pulled[0], pulled[-1]) == ("pull", "docker://code:1")
    assert (built[0], built[-1]) == ("build", f"docker-archive:{saved}")


def test_files_and_directories_are_taken_as_they_are(shelf: Shelf, rootfs: Path, tmp_path: Path) -> None:
    for image in (Image("sif", SIF), Image("squashfs", "/images/code.sqfs"), Image("directory", "/images/code")):
        assert Apptainer().prepare(image, shelf) == image.place
    place = Apptainer().prepare(Image.named(save(rootfs, tmp_path / "image.tar")), shelf)
    assert (Path(place) / "etc/image").exists()


def test_a_registry_that_does_not_give_the_image_is_told(stub: Callable[..., Stub], shelf: Shelf) -> None:
    stub("apptainer", (["pull"], "manifest unknown", 255))
    with pytest.raises(ContainerError, match=r"apptainer cannot pull code:1 \(exit code 255\): manifest unknown"):
        Apptainer().prepare(Image.named("code:1"), shelf)


def test_it_is_absent_where_there_is_no_program(
    stub: Callable[..., Stub], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stub("apptainer")
    assert Apptainer().absence() == ""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Apptainer().absence() == "no such program"
