"""Pipelines of works in the configured project: the flow that performs them, and what starts it."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

from daskflow.errors import NotFound, RunBusy, RunFailed, SiteUnknown, UsageError
from daskflow.execution.insight.recorded import await_end, cancel, continuation
from daskflow.execution.launcher import Launcher, Order
from daskflow.execution.pipelines.conducting import ENDED, MARK, Conductor
from daskflow.execution.pipelines.crontabs import next_due
from daskflow.execution.pipelines.deployments import Quarters, employed
from daskflow.execution.pipelines.depositor import taken
from daskflow.execution.pipelines.expanding import combinations, fields_of
from daskflow.execution.pipelines.reading import read
from daskflow.execution.pipelines.ticking import Ticker, new_schedule
from daskflow.execution.project import Project
from daskflow.execution.run import Run
from daskflow.execution.worker.attempt import current
from daskflow.graph.flow import Flow
from daskflow.graph.job import Job
from daskflow.model.pipeline import Pipeline, ScheduleRecord
from daskflow.model.records import RunRecord
from daskflow.model.states import RunState
from daskflow.settings.buckets import buckets_of, sites_of
from daskflow.settings.depositing import SITE
from daskflow.settings.front import chosen, flow, launcher, task
from daskflow.settings.options import Settings, variables_to_hand_on, without_password
from daskflow.settings.places import services_of
from daskflow.stores.schedules import Schedules

TARGET = f"{__name__}:pipeline"
"""Where the flow of pipelines is found."""
_SHOWN = {"id": 1, "pipeline": 1, "status": 1, "attempt": 1, "host": 1, "start": 1, "stop": 1, "error": 1, "tags": 1}
_PATIENCE = 15.0
"""So long it is waited for a driver that is told to stop [s]."""
_AT_ONCE = 32
"""So many runs of one pipeline, each for one combination of its matrix, go on at a time."""


@task(cache="run", version="1", name="work")
def _work(step: str, mark: str, fields: str) -> dict[str, Any]:
    """A work of a step, as an agent performed it."""
    return taken(mark)


def _deposit(step: str, mark: str, fields: str) -> Job:
    # Names of tasks begin with a letter.
    name = step if step[0].isalpha() else f"step-{step}"
    return _work.options(name=name)(step, mark, fields)


@flow(name="pipeline", site=SITE)
def pipeline(document: str, matrix: str | None = None) -> dict[str, Any]:
    """Perform a pipeline: one combination of its matrix, or each in a run of its own.

    Parameters
    ----------
    document
        The pipeline, as JSON text.
    matrix
        The combination, as JSON text.

    Returns
    -------
    dict
        What became of each step, or the runs.

    Raises
    ------
    RunFailed
        A step failed, or one of the runs.
    """
    found = read(json.loads(document))
    if found.matrix and matrix is None:
        return _each(found, document)
    run = current().run
    with employed(found, run, _quarters()):
        return Conductor(found, json.loads(matrix or "{}"), _deposit).conduct()


def flow_of(found: Pipeline) -> Flow[Any, Any]:
    """The flow of all pipelines, under the name of one."""
    return Flow(pipeline.function, found.name, SITE, launcher)


def _each(found: Pipeline, document: str) -> dict[str, Any]:
    """Perform each combination in a run of its own, not too many at a time."""
    places = threading.Semaphore(_AT_ONCE)
    runs: deque[Run] = deque()
    for combination in combinations(found.matrix):
        places.acquire()
        run = flow_of(found).submit(document, json.dumps(combination))
        run.tell(places.release)
        runs.append(run)
    for run in runs:
        run.wait()
    lost = [run for run in runs if run.state is not RunState.succeeded]
    if lost:
        told = ", ".join(f"{run.id} {run.state}" for run in lost[:10])
        raise RunFailed(f"Of the pipeline {found.name} {len(lost)} of {len(runs)} runs did not succeed: {told}.")
    return {"runs": [run.id for run in runs]}


def start(document: str, order: Order) -> Run:
    """Run a pipeline in this thread until it has ended."""
    flow = flow_of(read(json.loads(document)))
    arguments = flow.arguments(document)
    run: Run = launcher.start(flow, arguments, background=False, order=order._replace(target=TARGET))
    return run


def _quarters() -> Quarters:
    settings = chosen()
    return Quarters(lambda site: services_of(site, settings), variables_of(settings))


def variables_of(settings: Settings) -> dict[str, str]:
    """What the environment tells agents of the works of a configuration; no secrets."""
    works = settings.works.model_copy(update={"store": without_password(store_of(settings))})
    told = works.model_dump(mode="json", exclude={"token"})
    kept = {name: value for name, value in variables_to_hand_on().items() if not name.startswith("DASKFLOW_WORKS")}
    return {**kept, "DASKFLOW_WORKS": json.dumps(told)}


def store_of(settings: Settings) -> str:
    """Where works are kept, as any process of this machine finds it."""
    url = settings.works.store or settings.store
    if "://" in url and not url.startswith("sqlite:"):
        return url
    path = url.removeprefix("sqlite:///")
    return str(Path(path).expanduser().absolute())


def check_sites(found: Pipeline, settings: Settings) -> None:
    """See that all sites of a pipeline are known.

    Raises
    ------
    SiteUnknown
        One is not.
    """
    known = sites_of(settings)
    if known is None:
        return
    outer = next(combinations(found.matrix))
    named = {each.site: f"deployments.{each.name}.site" for each in found.deployments}
    for step in found.steps:
        for inner in combinations(step.matrix):
            fields = fields_of(found, step, {**outer, **inner}, lambda name: None)
            if (fields.get("config") or {}).get("strategy") != "relaxed" and isinstance(fields.get("site"), str):
                named.setdefault(fields["site"], f"pipeline.steps.{step.name}.work.site")
    for site, place in named.items():
        if site not in known:
            raise SiteUnknown(
                f"{place}: there is no site {site!r}; there are {', '.join(sorted(known))}. Add it under `sites:` of "
                "the configuration, or under `works: sites:` where agents serve it that it does not reach."
            )


class Starting:
    """Begins runs of pipelines in the project of a launcher.

    Parameters
    ----------
    launcher
        Starts runs.
    """

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher

    def enter(self, document: str) -> str:
        """Record a run that somebody is to begin; gives its id."""
        flow = flow_of(read(json.loads(document)))
        return self._launcher.enter(flow, flow.arguments(document), Order(target=TARGET)).id

    def go_on(self, record: RunRecord) -> Run:
        """Begin a recorded run, or go on with it, in the background."""
        project = self._launcher.project()
        try:
            known, (flow, _), arguments = continuation(project, record.id)
        except UsageError as error:
            if project.journal.run(record.id).state in (RunState.running, RunState.paused):
                raise RunBusy(str(error)) from None
            raise
        return self._launcher.resume(flow, known, arguments, background=True)


def ticker() -> Ticker:
    """Starts what the schedules of the configured project say is due."""
    return Ticker(launcher.project().journal, Starting(launcher))


def now() -> float:
    """The time; seconds since the epoch [s]."""
    return time.time()


def runs(project: Project, limit: int) -> list[RunRecord]:
    """The newest runs of pipelines that no other run started, newest first."""
    found = Schedules(project.journal.database).pipeline_runs(TARGET, limit)
    return [project.journal.run(id) for id in found]


def found_run(project: Project, ident: str) -> RunRecord:
    """A run of a pipeline by its id, by how that begins or ends, or the `last` one.

    Raises
    ------
    NotFound
        There is none, or it is not that of a pipeline.
    """
    if ident == "last":
        newest = runs(project, 1)
        if not newest:
            raise NotFound("No run of a pipeline is recorded yet. Start one: daskflow pipeline run FILE")
        return newest[0]
    record = project.journal.run(ident)
    if record.target != TARGET:
        raise NotFound(f"{record.id} is no run of a pipeline. `daskflow pipeline ls` lists those.")
    return record


def works_of(settings: Settings, run: str) -> list[dict[str, Any]]:
    """The works of a run, oldest first, with the steps that they are of."""
    with buckets_of(settings) as buckets:
        found = buckets.view({"config.parent": run}, projection=_SHOWN, limit=-1)
    return [{**{name: each.get(name) for name in _SHOWN}, "step": _step(each)} for each in reversed(found)]


def steps_of(project: Project, run: str) -> list[dict[str, Any]]:
    """What became of the steps of a run that have ended, by their ends: status, numbers of works, and a reason."""
    found: dict[str, dict[str, Any]] = {}
    for event in project.journal.events(run, f"{ENDED}*"):
        # A run that was resumed tells it again.
        found.pop(event.data["step"], None)
        found[event.data["step"]] = event.data
    return list(found.values())


def cancel_run(settings: Settings, ident: str) -> tuple[RunRecord, int]:
    """Stop a run of a pipeline, and delete its works that have not ended, whether it has a driver or not.

    Returns
    -------
    tuple
        The run, and how many works were deleted here; a driver that lives has deleted its own.

    Raises
    ------
    NotFound
        There is no such run.
    WorkLocked
        One of the works is locked.
    """
    journal = launcher.project().journal
    record = found_run(launcher.project(), ident)
    below = journal.trees([record.id])
    if any(not each.state.final for each in below):
        cancel(journal, record.id)
        await_end(journal, record.id, _PATIENCE)
    left = [work for each in below for work in works_of(settings, each.id) if work["status"] in ("queued", "running")]
    with buckets_of(settings) as buckets:
        gone = buckets.delete([work["id"] for work in left]) if left else 0
    return journal.run(record.id), gone


def _step(work: dict[str, Any]) -> str:
    return next((tag.removeprefix(MARK) for tag in reversed(work.get("tags") or ()) if tag.startswith(MARK)), "")


def add_schedule(found: Pipeline, document: str) -> ScheduleRecord:
    """Record the schedule of a pipeline."""
    return schedules().add_schedule(new_schedule(found, document, now()))


def schedules() -> Schedules:
    """The schedules of the configured project."""
    return Schedules(launcher.project().journal.database)


def unpause(ident: str) -> ScheduleRecord:
    """Let a schedule go on from now on."""
    return schedules().unpause(ident, lambda record: next_due(record.cron, record.timezone, now()))
