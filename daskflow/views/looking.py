"""The commands that look at what is recorded, and change nothing: `runs`, `show`, `logs`, `why`, `report`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from daskflow.execution.insight.pilots import dashboards, pilots
from daskflow.execution.insight.recorded import in_trees, logs, with_trees
from daskflow.execution.insight.summary import Summary, summarize
from daskflow.execution.insight.why import Step, trace
from daskflow.execution.project import Project
from daskflow.model.records import EventRecord, JobRecord, QuestionRecord, RunRecord
from daskflow.model.states import JobState
from daskflow.views.options import ConfigOption, JsonOption, RunArgument, configured, reading
from daskflow.views.pilots import pilot_fields, show_dashboards, show_pilots
from daskflow.views.report import write_report
from daskflow.views.running import show_metrics
from daskflow.views.terminal import asks, counts_rows, run_fields, say, show_json, show_table
from daskflow.views.units import duration, moment, size
from daskflow.views.usage import JOB_COLUMNS, job_fields, job_row

_FAILED, _SKIPPED, _EVENTS, _TITLES = 20, 10, 20, 30

JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="A number, a key or how it begins, or a task's name.")]


def runs_command(
    flow: Annotated[str | None, typer.Option(help="Only runs of this flow.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, the newest first.")] = 20,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the runs, newest first, each with those that it started below it."""
    with reading(config) as project:
        # Among the runs of one flow the tree would have gaps.
        found = (
            in_trees(project.journal, limit) if flow is None else [(0, r) for r in project.journal.runs(limit, flow)]
        )
        drivers = _drivers(project, config, [record for _, record in found if not record.state.final])
    if as_json:
        show_json([run_fields(record) | drivers.fields(record.id) for _, record in found])
        return
    rows = [["  " * depth + r.id, *_about(r), *drivers.cells(r.id), _told(r.arguments)] for depth, r in found]
    show_table(["run", "flow", "state", "created", "took", *drivers.columns, "arguments"], rows)


def _drivers(project: Project, config: Path | None, records: list[RunRecord]) -> Any:
    """The drivers among those of some runs that are batch jobs."""
    from daskflow.views.submitting import drivers_of  # noqa: PLC0415, it knows all batch systems

    return drivers_of(project, configured(config), records)


def _about(record: RunRecord) -> list[str]:
    return [record.flow, str(record.state), moment(record.created), duration(_took(record))]


def _took(record: RunRecord) -> float | None:
    return None if record.stopped is None else record.stopped - (record.started or record.created)


def _told(arguments: dict[str, Any]) -> str:
    text = ", ".join(f"{name}={value}" for name, value in arguments.items())
    return text if len(text) <= 80 else f"{text[:77]}..."


def show_command(  # noqa: PLR0913, PLR0917, typer takes each option as a parameter
    run: RunArgument = "last",
    events: Annotated[str | None, typer.Option(help="Only events of this kind, such as 'qa.*'.")] = None,
    state: Annotated[str | None, typer.Option(help="List the jobs in this state.")] = None,
    task: Annotated[str | None, typer.Option(help="List the jobs of this task.")] = None,
    jobs: Annotated[bool, typer.Option("--jobs", help="List the jobs: where they ran, and what they used.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a run: its jobs, failures, reports and events."""
    with reading(config) as project:
        found = summarize(project.journal, run)
        happened = project.journal.events(found.run.id, events or "*", tree=True)
        below = with_trees(project.journal, [found.run])[1:]
        asked = project.journal.questions(found.run.id, tree=True)
        drivers = _drivers(project, config, [found.run])
    chosen = [job for job in found.jobs if state in (None, str(job.state)) and task in (None, job.task)]
    if as_json:
        fields = {"runs": [run_fields(r) for _, r in below], **drivers.fields(found.run.id)}
        show_json(_summary_fields(found, chosen, happened) | fields)
    elif jobs or state or task:
        show_table(JOB_COLUMNS, [job_row(job, found.latest.get(job.number)) for job in chosen])
    elif events:
        _show_events(happened, found.run.id)
    else:
        _show_summary(found, below, asked, drivers)


def _summary_fields(found: Summary, jobs: list[JobRecord], events: list[EventRecord]) -> dict[str, Any]:
    return {
        "run": run_fields(found.run),
        "seconds": found.seconds,
        "cpu": found.cpu,
        "memory": found.memory,
        "counts": found.counts,
        "jobs": [job_fields(job, found.latest.get(job.number)) for job in jobs],
        "failures": [{"number": f.job.number, "key": f.job.key, "error": f.error} for f in found.failures],
        "pilots": [pilot_fields(life) for life in pilots(found.events)],
        "dashboards": [one._asdict() for one in dashboards(found.run, found.events)],
        "reports": [report.model_dump(exclude={"content"}) for report in found.reports],
        "events": [event.model_dump() for event in events],
    }


def _show_summary(
    found: Summary, below: list[tuple[int, RunRecord]], asked: list[QuestionRecord], drivers: Any
) -> None:
    run = found.run
    say(f"{run.flow}  {run.id}  {run.state}", style="bold")
    say(f"arguments: {_told(run.arguments) or 'none'}", f"target:    {run.target or 'not known'}")
    if run.host:
        say(f"started:   {moment(run.started)} on {run.host} (process {run.pid}), site {run.site}")
    drivers.show(run.id)
    say(f"took:      {duration(found.seconds)}; CPU {duration(found.cpu)}, peak memory {size(found.memory)}")
    show_dashboards(dashboards(run, found.events))
    if found.jobs:
        show_table(*counts_rows(found.counts))
    if below:
        rows = [["  " * (depth - 1) + record.id, *_about(record)] for depth, record in below]
        show_table(["run", "flow", "state", "created", "took"], rows)
    show_pilots(pilots(found.events))
    say(*[asks(question) for question in asked], style="yellow")
    for failed in found.failures[:_FAILED]:
        say(f"{failed.job.number} {failed.job.key} failed: {failed.error}", style="red")
    if len(found.failures) > _FAILED:
        say(f"and {len(found.failures) - _FAILED} more: daskflow show {run.id} --state failed")
    _show_skipped(found)
    if run.error and not found.failures:
        say(run.error, style="red")
    show_metrics([report for report in found.reports if report.kind == "metric"])
    titles = [f"{report.task}: {report.title or report.kind}" for report in found.reports if report.kind != "metric"]
    if titles:
        say(*titles[:_TITLES], *["..."] * (len(titles) > _TITLES))
        say(f"See them: daskflow report {run.id}")
    _show_events(found.events[-_EVENTS:], run.id)


def _show_skipped(found: Summary) -> None:
    """Tell why jobs were skipped; many have the same reason."""
    skipped = Counter((job.task, job.reason) for job in found.jobs if job.state is JobState.skipped)
    for (task, reason), count in skipped.most_common(_SKIPPED):
        say(f"{f'{count} jobs of ' if count > 1 else ''}{task} skipped: {reason}", style="yellow")
    if len(skipped) > _SKIPPED:
        say(f"and others: daskflow show {found.run.id} --state skipped")


def _show_events(events: list[EventRecord], run: str) -> None:
    if events:
        several = any(event.run != run for event in events)
        show_table(
            [*["run"] * several, "time", "event", "job", "data"],
            [[*[e.run] * several, moment(e.time), e.kind, e.key, _told(e.data)] for e in events],
        )


def logs_command(
    run: RunArgument = "last",
    job: Annotated[str | None, typer.Argument(metavar="[JOB]", help="As for `why`; all jobs by default.")] = None,
    driver: Annotated[bool, typer.Option("--driver", help="What the driver of a submitted run printed.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print what the jobs of a run printed and logged, and the tracebacks of those that failed."""
    with reading(config) as project:
        record = project.journal.run(run)
        if driver:
            _drivers(project, config, [record]).show_log(record.id)
            return
        found = list(logs(project, record.id, job))
        if as_json:
            show_json([{**log._asdict(), "job": log.job, "attempts": log.attempts} for log in found])
            return
        if not found:
            say(f"No job of the run {record.id} printed or logged anything.")
        for log in found:
            say(f"{log.job.number} {log.job.key} {log.job.state}", style="bold")
            say(log.text.rstrip("\n") or "(nothing printed or logged)")


def why_command(run: RunArgument, job: JobArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Tell why a job ran: what changed since it was last known, down to the root of it."""
    with reading(config) as project:
        record = project.journal.run(run)
        steps = trace(project.journal, project.journal.job(record.id, job))
    if as_json:
        show_json([{**step._asdict(), "job": step.job.key, "task": step.job.task} for step in steps])
        return
    first = steps[0]
    say(first.job.key, style="bold")
    say(*[f"  {reason}" for reason in first.reasons])
    if not first.root:
        _show_roots(steps)


def _show_roots(steps: list[Step]) -> None:
    by_key = {step.job.key: step for step in steps}
    for root in [step for step in steps if step.root]:
        way = [root.job.task]
        step = root
        while step.below:
            step = by_key[step.below]
            way.append(step.job.task)
        say(f"because of {root.job.key} ({' -> '.join(way)}):", style="bold")
        say(*[f"  {reason}" for reason in root.reasons])


def report_command(
    run: RunArgument = "last",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The file to write.")] = None,
    config: ConfigOption = None,
) -> None:
    """Write the report of a run: one HTML file that needs nothing else."""
    with reading(config) as project:
        record = project.journal.run(run)
        path = write_report(project, record.id, output or Path(f"daskflow-{record.id}.html"))
    say(str(path))
