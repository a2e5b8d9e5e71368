from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from daskflow.sites import packages
from daskflow.sites.packages import Package, Packages, here, plugin, put_in_front, versions_here

ELSEWHERE = ("another-host", 1)


def package(folder: Path, digest: str = "1", *, home: tuple[str, int] = ELSEWHERE, below: str = ".") -> Package:
    return Package("some-model", "1.0", digest, str(folder), below, home)


@pytest.fixture
def path(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What this process imports from, which is as before after the test."""
    monkeypatch.setattr(packages, "_paths", {})
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield sys.path
    sys.modules.pop("some_model", None)


def unpacked(folder: Path, value: int) -> Path:
    folder.mkdir(parents=True)
    (folder / "some_model.py").write_text(f"VALUE = {value}\n")
    return folder


def imported() -> int:
    value: int = __import__("some_model").VALUE
    return value


def test_a_later_state_takes_the_place_of_an_earlier_one(tmp_path: Path, path: list[str]) -> None:
    one, two = unpacked(tmp_path / "1", 1), unpacked(tmp_path / "2" / "src", 2)
    before = list(path)
    put_in_front(package(one))
    assert imported() == 1
    put_in_front(package(two.parent, "2", below="src"))
    assert imported() == 2
    assert path == [str(two), *before]
    put_in_front(package(one))
    assert imported() == 1
    assert path == [str(one), *before]


def test_nothing_changes_in_the_driver_nor_before_all_is_there(tmp_path: Path, path: list[str]) -> None:
    before = list(path)
    put_in_front(package(unpacked(tmp_path / "1", 1), home=here()))
    put_in_front(package(tmp_path / "2"))
    assert path == before


class Handmade:
    """Makes the package when it is unpacked."""

    ready = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def unpack(self) -> str:
        return str(unpacked(self.folder, 3) if not self.folder.exists() else self.folder)


def test_where_no_directory_is_shared_each_node_unpacks_its_own(tmp_path: Path, path: list[str]) -> None:
    shipment = Handmade(tmp_path / "here")
    sent = package(tmp_path / "far")._replace(shipment=shipment)
    put_in_front(sent)
    assert not shipment.folder.exists(), "it is not built yet"
    shipment.ready = True
    for _ in range(2):
        put_in_front(sent)
    assert imported() == 3
    assert path.count(str(tmp_path / "here")) == 1
    assert Packages().offer(sent) == [sent]


def test_the_plugin_travels(tmp_path: Path, path: list[str]) -> None:
    made = pickle.loads(pickle.dumps(plugin(package(unpacked(tmp_path / "1", 1)))))
    made.setup(worker=None)
    assert imported() == 1
    assert made.name == "daskflow-package-some-model"


def test_what_is_to_be_registered(tmp_path: Path) -> None:
    one, two = package(unpacked(tmp_path / "1", 1), "1"), package(tmp_path / "2", "2")
    known = Packages()
    assert known.offer(one) == [one]
    assert known.offer(one) == [], "the workers have it"
    assert known.offer(two) == [], "the job that builds it will do so"
    assert known.offer(one) == [one], "and may have done so"
    assert known.ready() == [one]
    assert known.opened() == [one]
    assert known.offer(one) == []


def test_where_modules_are_imported_from(tmp_path: Path) -> None:
    assert package(tmp_path).path == str(tmp_path)
    assert package(tmp_path, below="src").path == os.path.join(tmp_path, "src")


def test_versions_on_offer(tmp_path: Path, path: list[str]) -> None:
    for version in ("1.0", "1.1"):
        about = tmp_path / version / f"some_model-{version}.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: some-model\nVersion: {version}\n")
        path.insert(0, str(tmp_path / version))
    assert versions_here(["some-model", "some_model"]) == ["1.1", "1.0"]
    assert versions_here(["nowhere"]) == []
