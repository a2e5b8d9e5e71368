from __future__ import annotations

from daskflow.graph.host import CURRENT_HOST, CURRENT_SITE, Callee, Host, Launcher
from tests.graph.projects import FakeHost, FakeLauncher, task


def test_what_the_tests_fake_fits_the_protocols() -> None:
    host: Host = FakeHost()
    launcher: Launcher = FakeLauncher()
    callee: Callee = task(lambda: 1)
    assert host.id == "run-1"
    assert launcher is not None
    assert callee.policy.cache is True


def test_there_is_no_run_and_no_site_unless_somebody_sets_them() -> None:
    assert CURRENT_HOST.get() is None
    assert CURRENT_SITE.get() is None
