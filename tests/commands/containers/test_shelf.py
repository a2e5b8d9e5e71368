from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from daskflow.commands.containers.images import Image
from daskflow.commands.containers.shelf import Shelf
from daskflow.errors import ContainerError

IMAGE = Image("reference", "code:1")


def test_an_image_is_made_ready_once_however_many_ask(shelf: Shelf) -> None:
    made: list[Path] = []
    together = threading.Barrier(4)

    def make(path: Path) -> None:
        made.append(path)
        path.write_text("image")

    def ask(_: int) -> Path:
        together.wait()
        return shelf.get(IMAGE, "sif", make)

    with ThreadPoolExecutor(4) as pool:
        (found,) = set(pool.map(ask, range(4)))
    assert (found.read_text(), len(made)) == ("image", 1)
    assert found.suffix == ".sif"


def test_what_cannot_be_made_leaves_nothing(shelf: Shelf) -> None:
    def fail(path: Path) -> None:
        path.mkdir()
        (path / "half").touch()
        raise ContainerError("no route")

    with pytest.raises(ContainerError, match="no route"):
        shelf.get(IMAGE, "rootfs", fail)
    assert not [path for path in shelf.root.iterdir() if path.suffix != ".lock"]
    assert shelf.get(IMAGE, "rootfs", Path.mkdir).is_dir()


def test_what_somebody_left_who_was_killed_is_no_obstacle(shelf: Shelf) -> None:
    def die(path: Path) -> None:
        path.mkdir()
        (path / "half").touch()
        path.rename(path.with_name("corpse"))

    with pytest.raises(ContainerError, match="cannot be kept"):
        shelf.get(IMAGE, "rootfs", die)
    corpse = shelf.root / "corpse"
    (lock,) = shelf.root.glob("*.lock")
    corpse.rename(shelf.root / f"{lock.name.removesuffix('.lock')}.part")
    assert not list(shelf.get(IMAGE, "rootfs", Path.mkdir).iterdir())


def test_a_changed_file_is_made_ready_anew(shelf: Shelf, tmp_path: Path) -> None:
    archive = tmp_path / "code.tar"
    archive.write_text("one")
    image = Image("archive", str(archive))
    assert shelf.note(image, "podman", lambda: "first") == "first"
    assert shelf.note(image, "podman", lambda: "second") == "first"
    archive.write_text("three")
    assert shelf.note(image, "podman", lambda: "second") == "second"


def test_forms_do_not_get_in_each_others_way(shelf: Shelf) -> None:
    assert shelf.note(IMAGE, "podman", lambda: "p") == "p"
    assert shelf.note(IMAGE, "docker", lambda: "d") == "d"


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ContainerError, match="code:1 cannot be kept in"):
        Shelf(tmp_path / "file" / "shelf").note(IMAGE, "podman", lambda: "p")
