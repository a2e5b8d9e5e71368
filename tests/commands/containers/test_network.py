from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from daskflow.commands.containers import network
from daskflow.commands.containers.network import without_network
from tests.services.programs import needs


@pytest.fixture(autouse=True)
def _asked_anew() -> Iterator[None]:
    network._permitted.cache_clear()
    yield
    network._permitted.cache_clear()


@needs("unshare", "ip")
def test_only_the_loopback_device_is_there_and_up() -> None:
    prefix = without_network()
    assert prefix, "this machine permits no network namespaces"
    said = subprocess.run([*prefix, "ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    (device,) = said.splitlines()
    assert "lo:" in device
    assert "LOOPBACK,UP" in device


@needs("unshare")
def test_arguments_and_exit_codes_are_those_of_the_command() -> None:
    done = subprocess.run(
        [*without_network(), "sh", "-c", 'echo "$1"; exit 7', "sh", "a 'b'\n"], capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (7, b"a 'b'\n\n")


def test_where_it_is_not_permitted_nothing_is_taken_away(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "unshare").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "unshare").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert without_network() == []
