"""Servers start what schedules say is due: each time once, however many there are, and whatever ends them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from daskflow.execution.pipelines.reading import read
from daskflow.execution.pipelines.ticking import new_schedule
from daskflow.model.records import RunRecord
from daskflow.model.states import RunState
from daskflow.model.work import WorkStatus
from daskflow.settings.pipelines import TARGET
from daskflow.stores import Database, Journal
from daskflow.stores.buckets import Buckets
from daskflow.stores.buckets.table import WorkTable
from daskflow.stores.schedules import Schedules
from tests.execution.patience import until
from tests.services.servers import ServerProcess

pytestmark = pytest.mark.acceptance

PIPELINE = {
    "name": "nightly",
    "defaults": {"user": "ada", "site": "local"},
    "schedule": {"cronspec": "0 0 1 1 *"},
    "pipeline": {"steps": [{"name": "survey", "work": {"parameters": {"x": 1}}}]},
}


class Store:
    """What servers share, seen from inside."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.database = Database(url)
        self.buckets = Buckets(WorkTable(self.database))
        self.journal = Journal(self.database)
        self.schedules = Schedules(self.database)

    def schedule(self, document: str = "", **changes: object) -> str:
        """Record a schedule whose time has come just now."""
        given = PIPELINE | changes
        record = new_schedule(read(given), document or json.dumps(given), time.time())
        self.schedules.add_schedule(record)
        assert self.schedules.move(record, time.time() - 1)
        return record.id

    def runs(self) -> list[RunRecord]:
        return [self.journal.run(id) for id in self.schedules.pipeline_runs(TARGET, 100)]

    def perform(self, bucket: str) -> None:
        """Be the agent of one work."""
        until(lambda: self._performed(bucket))

    def _performed(self, bucket: str) -> bool:
        work = self.buckets.withdraw(bucket)
        if work is not None:
            work.results, work.status = work.parameters, WorkStatus.success
            self.buckets.update(work)
        return work is not None

    def close(self) -> None:
        self.database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = request.getfixturevalue("postgres") if request.param == "postgresql" else str(tmp_path / "journal.db")
    made = Store(url)
    yield made
    made.close()


def server(store: Store, directory: Path, *options: str) -> ServerProcess:
    directory.mkdir()
    return ServerProcess(directory, "--open", *options, DASKFLOW_STORE=store.url)


def test_two_servers_start_each_time_once_and_go_on_with_what_was_killed(store: Store, tmp_path: Path) -> None:
    idents = [store.schedule(name=name) for name in ("nightly", "weekly", "yearly")]
    with server(store, tmp_path / "a") as one, server(store, tmp_path / "b") as two:
        until(lambda: store.buckets.status()["queued"] == 3)
        assert len(store.runs()) == 3
        assert {store.schedules.schedule(ident).latest for ident in idents} == {run.id for run in store.runs()}
        # Whoever performs them, all are gone on with by who comes next.
        one.kill()
        assert two.stop() == 0
        assert "Traceback" not in two.log
        one.start()
        for bucket in ("nightly", "weekly", "yearly"):
            store.perform(bucket)
        until(lambda: {run.state for run in store.runs()} == {RunState.succeeded})
        assert len(store.runs()) == 3
        assert store.buckets.status()["total"] == 3
        assert one.stop() == 0
    told = (tmp_path / "a" / "serve.log").read_text()
    assert "Traceback" not in told
    for run in store.runs():
        assert f"The run {run.id} of {run.flow}" in told


def test_what_is_broken_is_told_and_keeps_nothing_else_from_starting(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "journal.db"))
    broken = store.schedule(name="broken", document='{"name": "broken"}')
    good = store.schedule()
    with server(store, tmp_path / "a") as one:
        store.perform("nightly")
        until(lambda: [run.state for run in store.runs()] == [RunState.succeeded])
        assert store.schedules.schedule(good).latest == store.runs()[0].id
        until(lambda: f"The schedule {broken} of broken: " in one.log)
        assert one.stop() == 0
        assert "Traceback" not in one.log
    store.close()
