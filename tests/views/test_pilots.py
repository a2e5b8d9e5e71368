from __future__ import annotations

import pytest

from daskflow.execution.insight.pilots import Dashboard, PilotLife
from daskflow.stores.liveness import this_host
from daskflow.views.pilots import pilot_fields, show_dashboards, show_pilots

LIFE = PilotLife("7", "cluster", "big", "ended", 10.0, "n1", 20.0, 22.0, 90.0, "its time was over", "WalltimeExceeded")


def test_pilots_are_listed_the_latest_last(capsys: pytest.CaptureFixture[str]) -> None:
    show_pilots([])
    assert capsys.readouterr().out == ""
    show_pilots([LIFE._replace(id=f"job{number}") for number in range(30)])
    shown = capsys.readouterr().out
    assert "job29" in shown
    assert "job9 " not in shown
    assert "WalltimeExceeded: its time was over" in shown
    assert "and 10 pilots before them" in shown
    assert pilot_fields(LIFE)["worked"] == 68.0


def test_a_dashboard_comes_with_a_tunnel_where_nobody_can_look_at_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    near = Dashboard("a", "http://127.0.0.1:8787/status", this_host())
    monkeypatch.setenv("DISPLAY", ":0")
    show_dashboards([near])
    shown = capsys.readouterr().out
    assert "dashboard: http://127.0.0.1:8787/status (site a)" in shown
    assert "ssh" not in shown
    show_dashboards([near._replace(host="n17")])
    assert "ssh -N -L 8787:127.0.0.1:8787" in capsys.readouterr().out
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    show_dashboards([near])
    assert "then http://localhost:8787/status" in capsys.readouterr().out
