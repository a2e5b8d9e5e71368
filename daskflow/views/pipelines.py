"""The commands below `daskflow pipeline`: pipelines of works, checked, run, listed, and started by schedules."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from daskflow.errors import DaskflowError
from daskflow.execution.agents.outcome import in_short
from daskflow.execution.launcher import Order
from daskflow.execution.pipelines.checking import warnings
from daskflow.execution.pipelines.expanding import bucket_of, combinations, fields_of
from daskflow.execution.pipelines.reading import read_file, read_value
from daskflow.execution.pipelines.ticking import Ticker, new_schedule
from daskflow.execution.run import Run
from daskflow.execution.target import read_pairs
from daskflow.model.pipeline import Pipeline, ScheduleRecord, ScheduleState
from daskflow.model.states import RunState
from daskflow.settings import pipelines
from daskflow.settings.front import choose, launcher
from daskflow.settings.options import Settings
from daskflow.views.exits import DONE, FAILED, INTERRUPTED
from daskflow.views.options import ConfigOption, JsonOption, RunArgument, configured, reading
from daskflow.views.running import see_through
from daskflow.views.stopping import told_to_stop
from daskflow.views.terminal import run_fields, say, show_json, show_table
from daskflow.views.units import moment

app = typer.Typer(
    help="Pipelines of works, from YAML, once or by a schedule.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A pipeline, in YAML.")]
PutOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Instead of what stands in the file: defaults.site=cedar."),
]
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The id of a schedule, or how only that begins.")]

_LEAST = 0.2
"""A ticker does not look more often than this [s]."""


def _read(file: Path, texts: list[str] | None, settings: Settings) -> tuple[Pipeline, str]:
    changes = {name: read_value(text) for name, text in read_pairs(texts or []).items()}
    found, document = read_file(file, changes)
    pipelines.check_sites(found, settings)
    return found, document


@app.command("check")
def check_command(
    file: FileArgument, set_: PutOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Check a pipeline, and list the works that it would deposit. Deposits nothing."""
    found, document = _read(file, set_, configured(config))
    due = None if found.schedule is None else new_schedule(found, document, pipelines.now()).due
    works = list(_works(found))
    runs = len(list(combinations(found.matrix)))
    if as_json:
        show_json({"name": found.name, "runs": runs, "due": due, "warnings": warnings(found), "works": works})
        return
    show_table(
        ["stage", "step", "if", "works", "bucket", "what"],
        [
            [
                step.stage,
                step.name,
                step.condition,
                sum(each["step"] == step.name for each in works),
                str(step.work.get("pipeline") or bucket_of(found, step)),
                _what(step.work),
            ]
            for stage in found.stages()
            for step in stage
        ],
    )
    say(f"{found.name}: {len(works)} works{f' in each of {runs} runs' if found.matrix else ''}.")
    if due is not None and found.schedule is not None:
        say(f"Scheduled, it would first start at {moment(due, found.schedule.timezone)}.")
    say(*[f"Note: {text}" for text in warnings(found)], style="yellow")


def _works(found: Pipeline) -> Iterator[dict[str, Any]]:
    """The works of the first combination; what depends on results is left out."""
    outer = next(combinations(found.matrix))
    for stage in found.stages():
        for step in stage:
            for inner in combinations(step.matrix):
                fields = fields_of(found, step, {**outer, **inner}, None)
                yield {"step": step.name, "stage": step.stage, "matrix": {**outer, **inner}, "work": fields}


def _what(work: dict[str, Any]) -> str:
    command = work.get("command")
    text = work.get("function") or (command if isinstance(command, str) else " ".join(map(str, command or ())))
    return text if len(text) <= 60 else f"{text[:57]}..."


@app.command("run")
def run_command(
    file: FileArgument, set_: PutOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Run a pipeline: deposit its works stage by stage, and wait for their ends."""
    settings = configured(config)
    choose(settings)
    found, document = _read(file, set_, settings)
    for text in warnings(found):
        say(f"Note: {text}", error=True)
    _, code = see_through(lambda order: pipelines.start(document, order), Order(), quiet=False, as_json=as_json)
    raise typer.Exit(code)


@app.command("ls")
def ls_command(
    limit: Annotated[int, typer.Option("--limit", min=1, help="So many at most, the newest.")] = 20,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the runs of pipelines, the newest first."""
    with reading(config) as project:
        found = pipelines.runs(project, limit)
    if as_json:
        show_json([run_fields(record) for record in found])
        return
    show_table(
        ["run", "pipeline", "state", "started"],
        [[each.id, each.flow, each.state.value, moment(each.started or each.created)] for each in found],
    )


@app.command("show")
def show_command(run: RunArgument = "last", config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show the works of a run by their steps, or of its runs where the pipeline has a matrix, and what was skipped."""
    settings = configured(config)
    with reading(config) as project:
        record = pipelines.found_run(project, run)
        below = project.journal.trees([record.id])
        works = {each.id: pipelines.works_of(settings, each.id) for each in below}
        steps = {each.id: pipelines.steps_of(project, each.id) for each in below}
    if as_json:
        show_json([run_fields(each) | {"works": works[each.id], "steps": steps[each.id]} for each in below])
        return
    say(f"{record.id}  {record.state}{f': {in_short(record.error)}' if record.error else ''}")
    show_table(
        ["run", "combination", "step", "work", "status", "attempt", "host"],
        [
            [each.id, each.arguments.get("matrix") or "", *row]
            for each in below
            for row in _rows(works[each.id], steps[each.id])
        ],
    )


def _rows(works: list[dict[str, Any]], steps: list[dict[str, Any]]) -> Iterator[list[Any]]:
    """The works of a run, and the steps that have none: skipped ones, and those whose works do not fit."""
    for work in works:
        yield [work["step"], work["id"], work["status"], work["attempt"], work["host"] or ""]
    for step in steps:
        if not step["succeeded"] + step["failed"]:
            yield [step["step"], "", f"{step['status']}: {in_short(step['reason'])}", "", ""]


@app.command("cancel")
def cancel_command(run: RunArgument, config: ConfigOption = None) -> None:
    """Stop a run, and delete its works that have not ended; also of a run whose driver is gone."""
    settings = configured(config)
    choose(settings)
    record, gone = pipelines.cancel_run(settings, run)
    say(f"Run {record.id} is {record.state}; {gone} works are deleted.")


# Schedules.


@app.command("schedule")
def schedule_command(
    file: FileArgument, set_: PutOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Record the schedule of a pipeline; `daskflow pipeline tick` starts what is due."""
    settings = configured(config)
    choose(settings)
    found, document = _read(file, set_, settings)
    record = pipelines.add_schedule(found, document)
    if as_json:
        show_json(_fields(record))
    else:
        say(f"{record.id}: {record.name} starts at {moment(record.due, record.timezone)}, and then by {record.cron!r}.")


@app.command("schedules")
def schedules_command(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List schedules: when they start the next run, and how many they have left."""
    choose(configured(config))
    found = pipelines.schedules().schedules()
    if as_json:
        show_json([_fields(record) for record in found])
        return
    show_table(
        ["id", "pipeline", "state", "cron", "time zone", "next", "lives", "latest run"],
        [
            [
                each.id,
                each.name,
                each.state.value,
                each.cron,
                each.timezone,
                moment(each.due, each.timezone) if each.state is ScheduleState.active and each.due is not None else "",
                "for ever" if each.lives < 0 else each.lives,
                each.latest,
            ]
            for each in found
        ],
    )


def _fields(record: ScheduleRecord) -> dict[str, Any]:
    fields = record.model_dump(mode="json", exclude={"document"})
    return fields if record.state is ScheduleState.active else {**fields, "due": None}


@app.command("pause")
def pause_command(ident: IdArgument, config: ConfigOption = None) -> None:
    """Let a schedule start nothing until `unpause`."""
    choose(configured(config))
    record = pipelines.schedules().pause(ident)
    say(f"{record.id} is paused. Let it go on: daskflow pipeline unpause {record.id}")


@app.command("unpause")
def unpause_command(ident: IdArgument, config: ConfigOption = None) -> None:
    """Let a schedule go on; what it missed is not started."""
    choose(configured(config))
    record = pipelines.unpause(ident)
    say(f"{record.id}: {record.name} starts at {moment(record.due, record.timezone)}.")


@app.command("unschedule")
def unschedule_command(ident: IdArgument, config: ConfigOption = None) -> None:
    """Remove a schedule; the runs that it started stay."""
    choose(configured(config))
    record = pipelines.schedules().remove(ident)
    say(f"{record.id}, the schedule of {record.name}, is removed.")


@app.command("tick")
def tick_command(
    every: Annotated[
        float | None, typer.Option("--every", min=1, help="Go on for ever, and look at least so often [s].")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Start what is due, and see it through; runs whose process died are gone on with."""
    choose(configured(config))
    ticker = pipelines.ticker()
    going: list[Run] = []
    with told_to_stop() as told:
        while not told.is_set():
            begun = _tick(ticker, patient=every is not None)
            going = [*[run for run in going if not run.ended or every is None], *begun]
            if every is None:
                break
            told.wait(_pause(ticker, every))
        while not told.is_set() and not all(run.wait(0.2) for run in going):
            pass
    ended = [run.ended for run in going]
    launcher.close()
    if not all(ended):
        raise typer.Exit(INTERRUPTED)
    good = every is not None or all(run.state is RunState.succeeded for run in going)
    raise typer.Exit(DONE if good else FAILED)


def _tick(ticker: Ticker, *, patient: bool) -> list[Run]:
    try:
        begun, troubles = ticker.tick()
    except DaskflowError as error:
        if not (patient and error.transient):
            raise
        say(str(error), error=True)
        return []
    say(*[f"Run {run.id}" for run in begun])
    say(*troubles, error=True)
    return begun


def _pause(ticker: Ticker, every: float) -> float:
    try:
        return max(_LEAST, ticker.patience(every))
    except DaskflowError as error:
        if not error.transient:
            raise
        return every
