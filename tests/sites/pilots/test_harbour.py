from __future__ import annotations

from pathlib import Path

import pytest
from distributed import Client, SchedulerPlugin

from daskflow.errors import SettingsInvalid
from daskflow.sites.pilots.harbour import check_interface, open_harbour
from daskflow.sites.pilots.plan import SitePlan
from daskflow.sites.security import make_security


class Guest(SchedulerPlugin):  # type: ignore[misc]  # dask's class has no types
    name = "guest"


def test_it_listens_at_the_interface_by_tls_without_workers(tmp_path: Path) -> None:
    security = make_security(tmp_path)
    harbour = open_harbour(SitePlan((), str(tmp_path), interface="lo", dashboard=""), security, [Guest()])
    try:
        assert harbour.scheduler_address.startswith("tls://127.0.0.1:")
        assert isinstance(harbour.scheduler.plugins["guest"], Guest)
        with (
            pytest.raises(OSError, match=r"reset|closed|Timed out|TLS"),
            Client(harbour.scheduler_address.replace("tls", "tcp"), timeout=1, set_as_default=False),
        ):
            pass
        with Client(harbour, set_as_default=False) as client:
            assert client.scheduler_info()["workers"] == {}
    finally:
        harbour.close()


def test_an_interface_that_is_not_there() -> None:
    check_interface("")
    check_interface("lo")
    with pytest.raises(SettingsInvalid, match=r"no network interface 'ib9'; there are .*lo.*`interface`"):
        check_interface("ib9")
