from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from daskflow.commands.containers.images import Image
from daskflow.commands.containers.shelf import Shelf
from daskflow.commands.containers.udocker import Udocker
from daskflow.commands.scratch import Scratch
from daskflow.errors import ContainerError
from tests.commands.containers.conftest import Calling, Stub
from tests.services.images import docker_archive

Stubs = Callable[..., Stub]


def test_a_command_runs_in_the_container_of_its_image(stub: Stubs, calling: Calling, scratch: Scratch) -> None:
    program = stub("udocker", image="0a1b")
    argv, env = Udocker(["--hostauth"]).launch("0a1b", calling("sh", "-c", "echo done", env={"A": "1"}))
    assert subprocess.run(argv, env=env, capture_output=True, check=True).stdout == b"done\n"
    ((*arguments,),) = program.calls
    expected = {f"--workdir={scratch.work}", f"--volume={scratch.work}:{scratch.work}", "--env=A=1", "--entrypoint="}
    assert expected <= set(arguments)
    assert arguments[arguments.index("0a1b") - 1] == "--hostauth"


def test_an_image_is_pulled_and_made_a_container_once(stub: Stubs, shelf: Shelf) -> None:
    program = stub("udocker", (["pull"], "Downloading layer", 0), (["create"], "Info: creating\n0a1b-2c", 0))
    for _ in range(2):
        assert Udocker().prepare(Image.named("docker://code:1"), shelf) == "0a1b-2c"
    pulled, created = program.calls
    assert pulled[-2:] == ["pull", "code:1"]
    assert created[-2:] == ["create", "code:1"]


def test_an_archive_is_loaded(stub: Stubs, shelf: Shelf, tmp_path: Path) -> None:
    program = stub("udocker", (["load"], "['small:1']\nsmall:1", 0), (["create"], "0a1b", 0))
    saved = docker_archive(tmp_path / "image.tar", [{"etc": None}])
    assert Udocker().prepare(Image.named(saved), shelf) == "0a1b"
    assert program.calls[-1][-1] == "small:1"


def test_a_program_that_gives_no_name_is_told(stub: Stubs, shelf: Shelf) -> None:
    stub("udocker", (["pull"], "", 0), (["create"], "cannot do it", 0))
    with pytest.raises(ContainerError, match='gives no name: "cannot do it"'):
        Udocker().prepare(Image.named("code:1"), shelf)


def test_it_is_absent_where_there_is_no_program(stub: Stubs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stub("udocker")
    assert Udocker().absence() == ""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Udocker().absence() == "no such program"
