"""The commands that run something: `run`, `resume`, `plan`, `demo`; and `cancel` and `pause`, which stop it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from daskflow.errors import ArgumentsInvalid
from daskflow.execution.insight.preview import Preview
from daskflow.execution.insight.recorded import await_end, cancel, continuation, pause, unpause
from daskflow.execution.launcher import Order
from daskflow.execution.run import Run
from daskflow.execution.submitting.submission import prepare_again
from daskflow.execution.target import load_flow, read_arguments
from daskflow.model.records import RunRecord
from daskflow.model.states import JobState
from daskflow.settings.front import choose, launcher
from daskflow.settings.parts import open_project
from daskflow.views.exits import DONE
from daskflow.views.options import (
    AtOption,
    ConfigOption,
    CoresOption,
    JsonOption,
    MemoryOption,
    PoolOption,
    RunArgument,
    SetOption,
    SiteOption,
    SubmitOption,
    TargetArgument,
    WalltimeOption,
    configured,
)
from daskflow.views.report import write_report
from daskflow.views.running import see_through
from daskflow.views.terminal import run_fields, say, show_json, show_table, stdout_kept_clean
from daskflow.views.units import duration, number

_DEMO = "daskflow.examples.imaging:pipeline"
_DEMO_REPORT = Path("daskflow-demo-report.html")
_FIGURES = {
    "peak": "peak [Jy/beam]",
    "noise": "noise [Jy/beam]",
    "dynamic_range_before": "dynamic range before self-calibration",
    "dynamic_range": "dynamic range",
    "offset": "offset from the phase centre [pixel]",
}
_PATIENCE = 15.0


def run_command(  # noqa: PLR0913, each is an option
    target: TargetArgument,
    *,
    set_: SetOption = None,
    site: SiteOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    submit: SubmitOption = False,
    at: AtOption = None,
    pool: PoolOption = None,
    walltime: WalltimeOption = None,
    cores: CoresOption = None,
    memory: MemoryOption = None,
) -> None:
    """Run a flow; what is known from earlier runs is not done again."""
    if wish := _submitted(wanted=submit, at=at, pool=pool, walltime=walltime, cores=cores, memory=memory):
        _submit_new(target, set_ or [], Order(site=site), wish, config, as_json=as_json)
        return
    _, code = _run(target, set_ or [], Order(site=site), config, as_json=as_json)
    raise typer.Exit(code)


def _submitted(*, wanted: bool, **given: Any) -> Any:
    """What the options say of the batch job of the driver; None where there is to be none."""
    said = [f"--{name}" for name, value in given.items() if value is not None]
    if not wanted:
        if said:
            raise ArgumentsInvalid(f"{', '.join(said)} tell of a driver that is submitted. Say --submit as well.")
        return None
    from daskflow.views.submitting import Submit  # noqa: PLC0415, most runs have their driver here

    return Submit(**given)


def _submit_new(target: str, texts: list[str], order: Order, wish: Any, config: Path | None, *, as_json: bool) -> None:
    from daskflow.views.submitting import queue_for, submit, tell_submitted  # noqa: PLC0415, the same

    settings = configured(config, order.site)
    choose(settings)
    with stdout_kept_clean(when=as_json):
        flow, found = load_flow(target)
    arguments = read_arguments(flow, texts)
    order = order._replace(target=found)
    site = order.site or flow.site or settings.site
    queue = queue_for(settings, wish, site)
    record, driver = submit(
        launcher.project(), queue, wish, lambda: launcher.enter(flow, arguments, order), config=config
    )
    tell_submitted(record, driver, as_json=as_json)


def _submit_again(run: str, wish: Any, config: Path | None, *, as_json: bool) -> None:
    from daskflow.views.submitting import (  # noqa: PLC0415, the same
        queue_for,
        refuse_queued,
        submit,
        tell_submitted,
    )

    settings = configured(config)
    choose(settings)
    project = launcher.project()
    record = project.journal.run(run)
    refuse_queued(project, settings, record)
    with stdout_kept_clean(when=as_json):
        queue = queue_for(settings, wish, record.site)
        record, driver = submit(project, queue, wish, lambda: prepare_again(project, record.id), config=config)
    tell_submitted(record, driver, as_json=as_json)


def _run(target: str, texts: list[str], order: Order, config: Path | None, **style: bool) -> tuple[Run, int]:
    choose(configured(config, order.site))
    with stdout_kept_clean(when=style.get("as_json", False)):
        flow, found = load_flow(target)
    arguments = read_arguments(flow, texts)
    site = order.site or flow.site or launcher.project().default_site
    return see_through(
        lambda order: launcher.start(flow, arguments, background=False, order=order),
        order._replace(target=found),
        quiet=_is_plain(site),
        **style,
    )


def _is_plain(site: str) -> bool:
    """Whether jobs run in this very thread, where a live display would spoil the user's prints and breakpoints."""
    return not launcher.project().site(site).bundles


def resume_command(  # noqa: PLR0913, each is an option
    run: RunArgument,
    *,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    submit: SubmitOption = False,
    at: AtOption = None,
    pool: PoolOption = None,
    walltime: WalltimeOption = None,
    cores: CoresOption = None,
    memory: MemoryOption = None,
) -> None:
    """Go on with a run that was paused, interrupted, cancelled or failed; what it finished is not done again."""
    if wish := _submitted(wanted=submit, at=at, pool=pool, walltime=walltime, cores=cores, memory=memory):
        _submit_again(run, wish, config, as_json=as_json)
        return
    choose(configured(config))
    going = unpause(launcher.project().journal, run)
    if going is not None:
        _tell(going, f"Run {going.id} goes on in process {going.pid} on {going.host}.", as_json=as_json)
        return
    with stdout_kept_clean(when=as_json):
        record, (flow, _), arguments = continuation(launcher.project(), run)
    _, code = see_through(
        lambda order: launcher.resume(flow, record, arguments, background=False, order=order),
        Order(),
        quiet=_is_plain(record.site),
        as_json=as_json,
    )
    raise typer.Exit(code)


def _tell(record: RunRecord, text: str, *, as_json: bool) -> None:
    if as_json:
        show_json(run_fields(record))
    else:
        say(text)


def pause_command(run: RunArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Let a run start no further jobs; those that run go on to their ends."""
    project = open_project(configured(config))
    try:
        record = pause(project.journal, run)
    finally:
        project.close()
    _tell(record, f"Run {record.id} is paused. Let it go on: daskflow resume {record.id}", as_json=as_json)


def cancel_command(run: RunArgument, config: ConfigOption = None) -> None:
    """Stop a run that another process performs, and those that it started."""
    from daskflow.views.submitting import cancel_driver  # noqa: PLC0415, most commands have no batch jobs

    settings = configured(config)
    project = open_project(settings)
    try:
        record = cancel(project.journal, run)
        ended = await_end(project.journal, record.id, _PATIENCE)
        cancel_driver(project, settings, record, ended=ended)
        if ended:
            say(f"Run {record.id} is cancelled. Go on with it: daskflow resume {record.id}")
        else:
            say(f"Run {record.id} will stop as soon as its process {record.pid} on {record.host} hears of it.")
    finally:
        project.close()


def plan_command(
    target: TargetArgument, set_: SetOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Tell what a flow would do, what is cached, and why the rest is not. Runs no job."""
    choose(configured(config))
    with stdout_kept_clean(when=as_json):
        flow, _ = load_flow(target)
        preview = launcher.plan(flow, read_arguments(flow, set_ or []))
    if as_json:
        show_json(_plan_fields(preview))
    else:
        _show_plan(preview)


def _plan_fields(preview: Preview) -> dict[str, Any]:
    jobs = [
        {
            "number": job.record.number,
            "key": job.record.key,
            "task": job.record.task,
            "state": job.record.state,
            "why": job.why,
            "seconds": job.seconds,
            "upstream": job.record.upstream,
        }
        for job in preview.jobs
    ]
    return {"flow": preview.flow, "seconds": preview.seconds, "open_end": preview.open_end, "jobs": jobs}


def _show_plan(preview: Preview) -> None:
    states = (JobState.queued, JobState.cached, JobState.skipped)
    rows = [
        [
            task.task,
            *[task.states.get(state, "") for state in states],
            duration(task.seconds or None),
            "\n".join(task.reasons[:3] + ["..."] * (len(task.reasons) > 3)),
        ]
        for task in preview.tasks()
    ]
    show_table(["task", "would run", "cached", "not needed", "work", "why"], rows)
    would, cached = preview.count(JobState.queued), preview.count(JobState.cached)
    expected = f", which takes about {duration(preview.seconds)}" if preview.seconds else ""
    say(f"{would} of {len(preview.jobs)} jobs would run{expected}; {cached} are cached.")
    if preview.open_end:
        say(f"The result of {preview.open_end} decides what comes next.")


def demo_command(
    mode: Annotated[str, typer.Option(help="contselfcal, or cont: without self-calibration.")] = "contselfcal",
    site: SiteOption = None,
    config: ConfigOption = None,
) -> None:
    """Calibrate and image a real observation, print its figures and write its report."""
    run, code = _run(_DEMO, [f"mode={mode}"], Order(site=site), config, brief=True)
    if code == DONE:
        summary = run.result(timeout=0)
        show_table(["figure", "value"], [[text, number(getattr(summary, name))] for name, text in _FIGURES.items()])
    path = write_report(launcher.project(), run.id, _DEMO_REPORT)
    say(f"Report: {path.resolve()}")
    raise typer.Exit(code)
