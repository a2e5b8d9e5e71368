"""Directories, locks, interfaces and stores."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daskflow.artifacts.store import ObjectStore
from daskflow.execution.doctor import places
from daskflow.execution.doctor.findings import Mark
from tests.services.ports import free_port


def test_a_directory_is_made_and_left_empty(tmp_path: Path) -> None:
    assert places.writable(tmp_path / "a" / "b", "logs").mark is Mark.ok
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_directory_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = places.writable(tmp_path / "file" / "logs", "logs")
    assert (found.mark, found.text) == (Mark.broken, f"{tmp_path}/file/logs cannot be written: Not a directory")
    assert "`logs`" in found.cure


def test_locks_hold_here(tmp_path: Path) -> None:
    assert places.locks(str(tmp_path / "a" / "journal.db")).mark is Mark.ok
    assert list((tmp_path / "a").iterdir()) == []
    assert "database server" in places.locks("postgresql://host/name").text


def test_locks_that_do_not_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*_: Any) -> None:
        pass

    monkeypatch.setattr("fcntl.lockf", nothing)
    found = places.locks(str(tmp_path / "journal.db"))
    assert found.mark is Mark.broken
    assert "two processes got the same lock" in found.text


def test_no_locks_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.lockf", refuse)
    found = places.locks(str(tmp_path / "journal.db"))
    assert (found.mark, "Function not implemented" in found.text) == (Mark.broken, True)


def test_the_file_of_a_journal() -> None:
    assert places.file_of("a/b.db") == Path("a/b.db")
    assert places.file_of("sqlite:////a/b.db") == Path("/a/b.db")
    assert places.file_of("postgresql://host/name") is None


def test_objects_come_back_and_are_removed(tmp_path: Path) -> None:
    store = ObjectStore(str(tmp_path / "artifacts"))
    assert places.objects(store).mark is Mark.ok
    assert list(store.objects()) == []
    assert places.objects_directory(store) == str(tmp_path / "artifacts")
    assert places.objects_directory(ObjectStore("memory://doctor")) == ""
    assert places.objects_directory(None) == ""


def test_interfaces() -> None:
    found = places.interface("lo")
    assert (found.mark, "127.0.0.1" in found.text) == (Mark.warning, True)
    missing = places.interface("ib9")
    assert missing.mark is Mark.broken
    assert "lo (127.0.0.1)" in missing.cure
    assert places.interface("").mark is Mark.ok
    assert places.own_address("lo") == "127.0.0.1"
    assert places.own_address("") in places.addresses().values()


def test_an_interface_of_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    found: Callable[[], dict[str, str]] = lambda: {"ib0": "10.0.0.1"}  # noqa: E731
    monkeypatch.setattr(places, "addresses", found)
    assert places.interface("ib0")[1:3] == (Mark.ok, "ib0 has 10.0.0.1")


def test_schedulers() -> None:
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    with socket.create_server(("127.0.0.1", port)):
        assert places.scheduler(address).mark is Mark.ok
    assert places.scheduler(address).mark is Mark.broken
