from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from daskflow.commands.containers.call import Bind
from daskflow.commands.containers.engines import Engine
from daskflow.commands.containers.images import Image
from daskflow.commands.containers.shelf import Shelf
from daskflow.commands.scratch import Scratch
from daskflow.errors import ContainerError
from tests.commands.containers.conftest import Calling, Stub
from tests.services.images import docker_archive, save

Stubs = Callable[..., Stub]


@pytest.mark.parametrize("name", ["podman", "docker"])
def test_a_command_runs_in_a_container_of_its_own(
    name: str, stub: Stubs, calling: Calling, scratch: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEFT", "host")
    program = stub(name, (["info"], "[]", 0), image="code:1")
    call = calling("sh", "-c", "echo done", env={"SECRET": "s", "LEFT": "job"}, binds=[Bind("/data", "/data")])
    argv, env = Engine(name, ["--device=gpu"]).launch("code:1", call)
    assert subprocess.run(argv, env=env, capture_output=True, check=True).stdout == b"done\n"
    arguments = program.calls[-1]
    assert arguments[0] == "run"
    expected = {"--rm", "--init", "--interactive", "--entrypoint=", "--name=daskflow-test", "--network=none"}
    expected |= {f"--workdir={scratch.work}", f"--volume={scratch.work}:{scratch.work}:rw", "--volume=/data:/data:ro"}
    assert expected <= set(arguments)
    assert f"--user={os.getuid()}:{os.getgid()}" in arguments
    assert arguments[arguments.index("code:1") - 1] == "--device=gpu"
    # The program hands on what it finds in its environment; what it needs itself, or has otherwise, is told.
    assert "--env=SECRET" in arguments
    assert program.env["SECRET"] == "s"
    assert {"--env=LEFT=job", f"--env=HOME={scratch.work}"} <= set(arguments)
    assert program.env["LEFT"] == "host"


def test_the_network_of_the_host_is_there_when_asked_for(stub: Stubs, calling: Calling) -> None:
    stub("podman")
    assert "--network=host" in Engine().launch("code:1", calling("true", network=True)).argv


def test_files_belong_to_the_user_whatever_the_engine_runs_as(
    stub: Stubs, calling: Calling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    stub("podman", (["info"], "true", 0))
    stub("docker", (["info"], '["name=seccomp","name=rootless"]', 0))
    assert "--userns=keep-id" in Engine("podman").launch("code:1", calling("true")).argv
    assert "--user=0:0" in Engine("docker").launch("code:1", calling("true")).argv


def test_it_is_there_only_if_it_answers(stub: Stubs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stub("docker", (["info"], "cannot connect to the daemon", 1))
    stub("podman", (["info"], "true", 0))
    assert "does not answer" in Engine("docker").absence()
    assert Engine("podman").absence() == ""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "no such program" in Engine("podman").absence()


def test_what_is_there_is_not_pulled(stub: Stubs, shelf: Shelf) -> None:
    program = stub("podman", (["inspect", "here:1"], "{}", 0), (["inspect"], "", 1), (["pull", "new:1"], "", 0))
    assert Engine().prepare(Image.named("here:1"), shelf) == "here:1"
    assert Engine().prepare(Image.named("docker://new:1"), shelf) == "new:1"
    assert [call for call in program.calls if call[0] == "pull"] == [["pull", "new:1"]]


def test_an_engine_is_asked_for_an_image_once(stub: Stubs, shelf: Shelf) -> None:
    program = stub("podman", (["inspect"], "{}", 0))
    engine = Engine()
    for _ in range(3):
        engine.prepare(Image.named("here:1"), shelf)
    assert len(program.calls) == 1


def test_archives_are_loaded_and_root_filesystems_imported_once(
    stub: Stubs, shelf: Shelf, rootfs: Path, tmp_path: Path
) -> None:
    known = (["inspect", "localhost/small:1"], "sha256:4567", 0), (["inspect"], "sha256:0123", 0)
    program = stub("podman", *known, (["load"], "Loaded image: localhost/small:1", 0), (["import"], "sha256:0123", 0))
    layers, system = docker_archive(tmp_path / "layers.tar", [{"etc": None}]), save(rootfs, tmp_path / "system.tar")
    for _ in range(2):
        # By its id: another archive may hold an image of the same name.
        assert Engine().prepare(Image.named(layers), shelf) == "sha256:4567"
        assert Engine().prepare(Image.named(system), shelf) == "sha256:0123"
    assert [call[0] for call in program.calls if call[0] != "image"] == ["load", "import"]


def test_what_somebody_removed_is_loaded_again(stub: Stubs, shelf: Shelf, rootfs: Path, tmp_path: Path) -> None:
    program = stub("podman", (["inspect", "old"], "", 1), (["inspect"], "new", 0), (["import"], "new", 0))
    image = Image.named(save(rootfs, tmp_path / "system.tar"))
    shelf.note(image, "podman", lambda: "old")
    assert Engine().prepare(image, shelf) == Engine().prepare(image, shelf) == "new"
    assert [call[0] for call in program.calls if call[0] != "image"] == ["import"]


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("Loaded image: small:1", "small:1"),
        ("Loaded image ID: sha256:0123", "sha256:0123"),
        ("Loaded image(s): localhost/small:1", "localhost/small:1"),
        ("Getting image\nLoaded image: small:1\n", "small:1"),
    ],
)
def test_engines_say_in_many_ways_what_they_loaded(
    said: str, name: str, stub: Stubs, shelf: Shelf, tmp_path: Path
) -> None:
    stub("docker", (["inspect", name], "id", 0), (["inspect", "id"], "id", 0), (["load"], said, 0))
    assert Engine("docker").prepare(Image.named(docker_archive(tmp_path / "a.tar", [{}])), shelf) == "id"


def test_an_engine_that_does_not_say_it_is_told(stub: Stubs, shelf: Shelf, tmp_path: Path) -> None:
    stub("docker", (["load"], "well done", 0))
    with pytest.raises(ContainerError, match=r'does not say as what: "well done"'):
        Engine("docker").prepare(Image.named(docker_archive(tmp_path / "a.tar", [{}])), shelf)


def test_a_container_is_killed_by_its_name(stub: Stubs) -> None:
    program = stub("podman", (["kill"], "no such container", 1))
    Engine().stop("daskflow-1")
    assert program.calls == [["kill", "daskflow-1"]]
