"""Pipelines in the configured project."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daskflow.errors import NotFound, RunBusy, RunFailed, SiteUnknown, UsageError
from daskflow.execution.launcher import Order
from daskflow.execution.pipelines.reading import read
from daskflow.model.records import RunRecord
from daskflow.model.states import RunState
from daskflow.settings import front, pipelines
from daskflow.settings.buckets import buckets_of
from daskflow.settings.options import Settings
from tests.conftest import settings_in


def document(**changes: Any) -> dict[str, Any]:
    steps = [{"name": "1st", "work": {"parameters": {"x": 1}}}]
    return {"name": "p", "defaults": {"user": "u", "site": "local"}, "pipeline": {"steps": steps}, **changes}


class Agent:
    """Performs works of a bucket in a thread: a work gives its parameters, or fails without any."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Agent:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _serve(self) -> None:
        with buckets_of(self._settings) as buckets:
            while not self._stop.wait(0.01):
                work = buckets.withdraw("p")
                if work is not None:
                    work.results, work.final = work.parameters, True
                    work.status = "success" if work.parameters else "failure"  # type: ignore[assignment]
                    buckets.update(work)


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    found = settings_in(tmp_path)
    front.choose(found)
    yield found
    front.launcher.close()
    front._chosen.settings = None


def test_a_pipeline_is_a_run_under_its_name(settings: Settings) -> None:
    with Agent(settings):
        run = pipelines.start(json.dumps(document()), Order())
    assert run.result() == {"1st": {"status": "success", "succeeded": 1, "failed": 0}}
    project = front.launcher.project()
    (record,) = pipelines.runs(project, 5)
    assert (record.id, record.flow, record.target) == (run.id, "p", pipelines.TARGET)
    assert pipelines.found_run(project, "last").id == pipelines.found_run(project, run.id[-4:]).id == run.id
    assert [job.task.policy.name for job in run.jobs] == ["step-1st"]
    works = pipelines.works_of(settings, run.id)
    assert [(work["step"], work["status"]) for work in works] == [("1st", "success")]


def test_each_combination_is_a_run_of_its_own(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipelines, "_AT_ONCE", 2)
    steps = [{"name": "a", "work": {"parameters": "${{ matrix.given }}"}}]
    given = document(matrix={"given": [{"x": 1}, {"x": 2}, {}, {"x": 3}]}, pipeline={"steps": steps})
    with Agent(settings):
        run = pipelines.start(json.dumps(given), Order())
    with pytest.raises(RunFailed, match="1 of 4 runs did not succeed"):
        run.result()
    assert [child.state for child in run.children] == [
        RunState.succeeded,
        RunState.succeeded,
        RunState.failed,
        RunState.succeeded,
    ]
    assert {child.site for child in front.launcher.project().journal.children(run.id)} == {":bucket"}


def test_steps_tell_what_became_of_them_last(settings: Settings) -> None:
    steps = [{"name": "a", "work": {"parameters": {}}}, {"name": "b", "stage": 2, "work": {"parameters": {"x": 1}}}]
    told = [("a", "failure", "1 of 1 works failed"), ("b", "skipped", "its condition is success")]
    with Agent(settings):
        run = pipelines.start(json.dumps(document(pipeline={"steps": steps})), Order())
        assert run.wait(60)
        project = front.launcher.project()
        assert pipelines.Starting(front.launcher).go_on(project.journal.run(run.id)).wait(60)
    found = pipelines.steps_of(project, run.id)
    assert [(step["step"], step["status"], step["reason"]) for step in found] == told
    assert len(project.journal.events(run.id, "pipeline.step.*")) == 4


def test_runs_of_others_are_none_of_pipelines(settings: Settings) -> None:
    project = front.launcher.project()
    with pytest.raises(NotFound, match="No run of a pipeline"):
        pipelines.found_run(project, "last")
    project.journal.add_run(RunRecord(id="20260101-study", flow="study", target="m:study"))
    with pytest.raises(NotFound, match="no run of a pipeline"):
        pipelines.found_run(project, "20260101-study")


def test_unknown_sites_are_named_with_their_places(settings: Settings) -> None:
    pipelines.check_sites(read(document()), settings)
    with pytest.raises(SiteUnknown, match=r"steps\.1st\.work\.site: there is no site 'moon'"):
        pipelines.check_sites(read(document(defaults={"user": "u", "site": "moon"})), settings)
    relaxed = {"user": "u", "site": "moon", "config": {"strategy": "relaxed"}}
    pipelines.check_sites(read(document(defaults=relaxed)), settings)
    with pytest.raises(SiteUnknown, match=r"deployments\.d\.site"):
        pipelines.check_sites(read(document(deployments=[{"name": "d", "site": "moon"}])), settings)
    anywhere = Settings.model_validate({"works": {"sites": ["*"]}})
    pipelines.check_sites(read(document(defaults={"user": "u", "site": "moon"})), anywhere)


def test_agents_are_told_where_works_are_and_no_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DASKFLOW_WORKS__TOKEN", "very-secret")
    monkeypatch.setenv("DASKFLOW_SITE", "threads")
    works = {"token": "very-secret", "functions": ["a.*"], "lease": 5}
    told = pipelines.variables_of(Settings.model_validate({"store": "sqlite:///here/journal.db", "works": works}))
    assert "very-secret" not in json.dumps(told)
    assert told["DASKFLOW_SITE"] == "threads"
    known = json.loads(told["DASKFLOW_WORKS"])
    assert (known["store"], known["functions"], known["lease"]) == (f"{tmp_path}/here/journal.db", ["a.*"], 5.0)
    assert Settings.model_validate({"works": known}).works.functions == ("a.*",)


@pytest.mark.parametrize("url", ["postgresql://u@h/d", "https://works.example.org"])
def test_what_is_elsewhere_is_named_as_it_is(url: str) -> None:
    assert pipelines.store_of(Settings.model_validate({"works": {"store": url}})) == url


def test_runs_of_schedules_are_recorded_and_begun(settings: Settings) -> None:
    given = document(schedule={"cronspec": "0 0 1 1 *"})
    record = pipelines.add_schedule(read(given), json.dumps(given))
    assert pipelines.schedules().schedule(record.id).name == "p"
    assert pipelines.schedules().move(record, 1.0)
    with Agent(settings):
        begun, troubles = pipelines.ticker().tick()
        assert troubles == []
        assert begun[0].wait(60)
    assert begun[0].state is RunState.succeeded
    project = front.launcher.project()
    assert pipelines.schedules().schedule(record.id).latest == begun[0].id == pipelines.runs(project, 1)[0].id
    pipelines.schedules().pause(record.id)
    assert (pipelines.unpause(record.id).due or 0.0) > pipelines.now()


def test_a_run_that_goes_on_elsewhere_is_busy(settings: Settings) -> None:
    starting = pipelines.Starting(front.launcher)
    journal = front.launcher.project().journal
    ident = starting.enter(json.dumps(document()))
    assert journal.run(ident).state is RunState.created
    run = starting.go_on(journal.run(ident))
    with pytest.raises(RunBusy):
        starting.go_on(journal.run(ident))
    run.cancel()
    run.wait(30)
    journal.add_run(RunRecord(id="r", flow="p", target="", state=RunState.created))
    with pytest.raises(UsageError, match="cannot be resumed"):
        starting.go_on(journal.run("r"))
