from __future__ import annotations

from typing import Any

from daskflow.execution.insight.pilots import Dashboard, dashboards, pilots
from daskflow.model.records import EventRecord, RunRecord
from daskflow.model.states import RunState
from daskflow.stores.liveness import this_host


def _events(*told: tuple[float, str, dict[str, Any]]) -> list[EventRecord]:
    return [EventRecord(run="r", kind=kind, time=time, data=data) for time, kind, data in told]


def test_the_life_of_a_pilot_is_folded_from_its_events() -> None:
    own = {"site": "cluster", "id": "7", "pool": "big"}
    (life,) = pilots(
        _events(
            (10.0, "pilot.submitted", own),
            (12.0, "pilot.waiting", {**own, "reason": "Resources"}),
            (20.0, "pilot.started", {**own, "node": "n1"}),
            (22.0, "pilot.arrived", {**own, "node": "n1"}),
            (22.5, "job.failed", {}),
            (90.0, "pilot.ended", {**own, "node": "n1", "reason": "its time was over", "error": "WalltimeExceeded"}),
        )
    )
    assert (life.id, life.site, life.pool, life.stage, life.node) == ("7", "cluster", "big", "ended", "n1")
    assert (life.submitted, life.waited, life.worked) == (10.0, 10.0, 68.0)
    assert (life.error, life.reason) == ("WalltimeExceeded", "its time was over")


def test_one_that_waits_and_one_that_failed_are_told_apart() -> None:
    first = {"site": "a", "id": "1", "pool": "p"}
    second = {"site": "b", "id": "1", "pool": "p"}
    waiting, failed = pilots(
        _events(
            (1.0, "pilot.submitted", first),
            (2.0, "pilot.submitted", second),
            (3.0, "pilot.waiting", {**first, "reason": "Priority"}),
            (4.0, "pilot.started", {**second, "node": "n2"}),
            (5.0, "pilot.failed", {**second, "reason": "no python", "error": "StartupFailed", "log": "..."}),
            (5.5, "pilot.ended", {**second, "reason": "no python", "error": "StartupFailed"}),
        )
    )
    assert (waiting.stage, waiting.reason, waiting.waited, waiting.worked) == ("queued", "Priority", None, None)
    assert (failed.stage, failed.ended, failed.worked, failed.error) == ("failed", 5.0, None, "StartupFailed")


def test_a_live_run_tells_where_its_sites_are_watched() -> None:
    opened = _events(
        (5.0, "site.opened", {"site": "a", "dashboard": "http://127.0.0.1:1/status", "host": "old"}),
        (15.0, "site.opened", {"site": "a", "dashboard": "http://127.0.0.1:8787/status", "host": "login"}),
        (16.0, "site.opened", {"site": "b", "dashboard": "", "host": "login"}),
    )
    run = RunRecord(id="r", flow="f", state=RunState.running, started=10.0)
    (found,) = dashboards(run, opened)
    assert found == Dashboard("a", "http://127.0.0.1:8787/status", "login")
    assert found.far
    assert found.tunnel("ada") == "ssh -N -L 8787:127.0.0.1:8787 ada@login"
    assert found.nearby == "http://localhost:8787/status"
    assert not found._replace(host=this_host()).far
    assert dashboards(run.model_copy(update={"state": RunState.interrupted}), opened) == []
