"""What a server works with, as configured."""

from __future__ import annotations

from pathlib import Path

import pytest

from daskflow.errors import SettingsInvalid, SiteUnknown
from daskflow.settings.gateway import database_of, open_gateway
from tests.conftest import settings_in

WORK = {"pipeline": "sample", "site": "mars", "user": "ada", "function": "math.sqrt"}


def test_works_may_have_a_store_of_their_own(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, works={"store": str(tmp_path / "works.db")})
    assert database_of(settings).place == str(tmp_path / "works.db")
    assert database_of(settings_in(tmp_path)).place == str(tmp_path / "journal.db")


def test_a_server_of_a_server(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="a store of its own"):
        database_of(settings_in(tmp_path, works={"store": "https://flow.example"}))


@pytest.mark.parametrize("sites", [["mars"], ["*"]])
def test_sites_are_those_of_the_server(tmp_path: Path, sites: list[str]) -> None:
    gateway = open_gateway(settings_in(tmp_path), lambda project, record, ended: None)
    with pytest.raises(SiteUnknown, match="mars"):
        gateway.desk.deposit([WORK])
    gateway.close()
    gateway = open_gateway(settings_in(tmp_path, works={"sites": sites}), lambda project, record, ended: None)
    assert len(gateway.desk.deposit([WORK])) == 1
    gateway.close()
