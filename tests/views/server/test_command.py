"""The command `serve`: nothing is shown to a network without being asked for."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from daskflow.errors import SettingsInvalid
from daskflow.settings import front
from daskflow.settings.options import Settings
from daskflow.settings.works import ServerSettings
from daskflow.views.server.command import _ticking, check_exposure, serve
from tests.acceptance.shell import daskflow
from tests.conftest import settings_in


def options(**changes: Any) -> ServerSettings:
    return ServerSettings.model_validate(changes)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_this_machine_needs_no_certificate(host: str) -> None:
    check_exposure(options(host=host), insecure=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "flow.example"])
def test_others_do(host: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="could read the tokens"):
        check_exposure(options(host=host), insecure=False)
    check_exposure(options(host=host), insecure=True)
    for name in ("a.pem", "a.key"):
        (tmp_path / name).write_text("")
    check_exposure(options(host=host, certificate=tmp_path / "a.pem", private_key=tmp_path / "a.key"), insecure=False)


@pytest.mark.parametrize(("host", "insecure"), [("0.0.0.0", True), ("192.0.2.7", False), ("127.0.0.1", True)])
def test_what_is_open_is_for_this_machine(host: str, insecure: bool) -> None:
    with pytest.raises(SettingsInvalid, match="open server"):
        check_exposure(options(host=host, open=True), insecure=insecure)
    check_exposure(options(open=True), insecure=False)


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    (tmp_path / "a.pem").write_text("")
    with pytest.raises(SettingsInvalid, match="belong together"):
        check_exposure(options(certificate=tmp_path / "a.pem"), insecure=False)
    with pytest.raises(SettingsInvalid, match="no file"):
        check_exposure(options(certificate=tmp_path / "a.pem", private_key=tmp_path / "a.key"), insecure=False)


def test_on_the_command_line(tmp_path: Path) -> None:
    assert "could read the tokens" in daskflow(tmp_path, "serve", "--host", "0.0.0.0", code=2)
    told = daskflow(tmp_path, "serve", "--port", "0", "--certificate", "no", "--private-key", "no", code=2)
    assert "There is no file no." in told
    assert not (tmp_path / ".daskflow").exists()


def test_a_program_shows_no_more_than_the_command_does() -> None:
    with pytest.raises(SettingsInvalid, match="could read the tokens"):
        serve(Settings(server=options(host="0.0.0.0")))


@pytest.mark.parametrize("schedules", [True, False])
def test_schedules_are_looked_at_where_that_is_asked_for(tmp_path: Path, *, schedules: bool) -> None:
    settings = settings_in(tmp_path).model_copy(update={"server": options(schedules=schedules)})
    with _ticking(settings):
        assert ("daskflow-clock" in {thread.name for thread in threading.enumerate()}) is schedules
    assert "daskflow-clock" not in {thread.name for thread in threading.enumerate()}
    front._chosen.settings = None
