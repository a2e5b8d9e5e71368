"""Agents for the time of a run, as batch jobs of this machine."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from daskflow.errors import NotFound, SiteUnknown
from daskflow.execution.pipelines.deployments import Quarters, employed
from daskflow.execution.pipelines.reading import read
from daskflow.model.pipeline import Pipeline
from daskflow.model.work import Work
from daskflow.settings.options import Settings
from daskflow.settings.places import services_of
from daskflow.sites.batch.service import ServiceState
from daskflow.sites.batch.services import Services
from daskflow.stores.buckets import Buckets
from daskflow.stores.buckets.table import WorkTable
from daskflow.stores.database import Database
from tests.conftest import settings_in

RUN = "20260314-000000-p-1a2b3c"


def pipeline(*deployments: dict[str, Any], runs_on: str | None = "crew") -> Pipeline:
    steps = [{"name": "a", "work": {"function": "f"}}, {"name": "b", "work": {"pipeline": "other"}}]
    body = {"steps": steps, **({} if runs_on is None else {"runs_on": runs_on})}
    return read(
        {"name": "p", "defaults": {"user": "u", "site": "local"}, "deployments": list(deployments), "pipeline": body}
    )


def crew(**fields: Any) -> dict[str, Any]:
    return {"name": "crew", "site": "local", "sleep": 1, **fields}


class Stand:
    def __init__(self, directory: Path) -> None:
        self.settings: Settings = settings_in(directory)
        self.works = str(directory / "works.db")
        told = {"store": self.works, "functions": ["statistics.*"]}
        self.quarters = Quarters(self.services, {"DASKFLOW_WORKS": json.dumps(told)})

    def services(self, site: str) -> Services:
        return services_of(site, self.settings)

    def states(self) -> dict[str, ServiceState]:
        return self.services("local").states()


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    monkeypatch.chdir(tmp_path)
    return Stand(tmp_path)


def test_agents_perform_works_of_the_run_only_and_end_with_it(stand: Stand) -> None:
    fields = {"site": "local", "user": "u", "function": "statistics.fmean", "parameters": {"data": [1, 3]}}
    with Buckets(WorkTable(Database(stand.works))) as buckets:
        strange = Work(pipeline="p-crew", **fields)
        works = [Work(pipeline=name, **fields) for name in ("p-crew", "other")]
        for work in works:
            work.config.parent = RUN
        buckets.deposit([strange, *works])
        with employed(pipeline(crew()), RUN, stand.quarters) as names:
            assert names == [f"{RUN}-crew-0"]
            end = time.monotonic() + 60
            while buckets.count({"status": "success"}) < 2:
                assert time.monotonic() < end, stand.services("local").logs(names[0])
                time.sleep(0.05)
        assert stand.states()[names[0]].final
        assert {work.id for work in buckets.view({"status": "queued"})} == {strange.id}
        assert [buckets.get(work.id or "").results for work in works] == [2.0, 2.0]  # type: ignore[union-attr]


def test_agents_that_a_killed_driver_left_are_taken_over_and_dead_ones_are_not(stand: Stand) -> None:
    services = stand.services("local")
    left = services.spawn("sleep 600", name=f"{RUN}-crew-0")
    ended = services.spawn("false", name=f"{RUN}-crew-1")
    ended.wait(60)
    before = left.id
    with employed(pipeline(crew(replicas=2)), RUN, stand.quarters) as names:
        assert [services.standing(name).state.final for name in names] == [False, False]
        assert services.get(names[0]).id == before
    assert all(state.final for state in stand.states().values())


def test_a_deployment_that_cannot_be_had_leaves_no_agents(stand: Stand) -> None:
    found = pipeline(crew(), {"name": "away", "site": "moon"}, runs_on=None)
    steps = [
        step.model_copy(update={"runs_on": name}) for step, name in zip(found.steps, ("crew", "away"), strict=True)
    ]
    found = found.model_copy(update={"steps": tuple(steps)})
    with pytest.raises(SiteUnknown, match="moon"), employed(found, RUN, stand.quarters):
        pytest.fail("it has begun")
    assert [state.final for state in stand.states().values()] == [True]


def test_what_no_step_runs_on_is_not_started(stand: Stand) -> None:
    with employed(pipeline(crew(), runs_on=None), RUN, stand.quarters) as names:
        assert names == []
    with pytest.raises(NotFound):
        stand.services("local").monitor()
