"""The command `efficiency`: what the jobs of a run used of what they had."""

from __future__ import annotations

from typing import Any

from daskflow.execution.insight.efficiency import TaskUse, efficiency
from daskflow.model.records import AttemptRecord, JobRecord
from daskflow.views.options import ConfigOption, JsonOption, RunArgument, reading
from daskflow.views.terminal import say, show_json, show_table
from daskflow.views.units import duration, percent, size


def efficiency_command(run: RunArgument = "last", config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Tell what the jobs of a run used of what they had, what was lost, and what to ask for the next time."""
    with reading(config) as project:
        found = efficiency(project.journal, run)
    if as_json:
        show_json([_fields(use) for use in found])
        return
    if not found:
        say("The run has no jobs.")
        return
    columns = ["task", "jobs", "performed", "median", "p95", "cores", "CPU", "memory p95", "max", "of", "lost"]
    show_table(columns, [_row(use) for use in found])
    for use in found:
        say(f"{use.task}: {use.advice}")
    for use in found:
        if use.starved:
            say(f"{use.task}: {use.starved} attempts were killed for their memory", style="yellow")
        if use.lost:
            kinds = ", ".join(f"{count} {name}" for name, count in use.lost.items())
            say(f"{use.task}: attempts that ended with their workers: {kinds}", style="yellow")


def _row(use: TaskUse) -> list[Any]:
    median, most = use.seconds or (None, None)
    usual, highest = use.memory or (None, None)
    return [
        use.task,
        use.jobs,
        use.performed,
        duration(median),
        duration(most),
        use.cores or "",
        percent(use.efficiency),
        "" if usual is None else size(usual),
        "" if highest is None else size(highest),
        size(use.asked) if use.asked else "",
        sum(use.lost.values()) or "",
    ]


def _fields(use: TaskUse) -> dict[str, Any]:
    proposal = None if use.proposal is None else {**use.proposal._asdict(), "text": use.proposal.text}
    return {
        **use._asdict(),
        "seconds": None if use.seconds is None else dict(zip(("median", "p95"), use.seconds, strict=True)),
        "memory": None if use.memory is None else dict(zip(("p95", "max"), use.memory, strict=True)),
        "proposal": proposal,
        "advice": use.advice,
    }


JOB_COLUMNS = ["number", "task", "key", "state", "node", "batch job", "took", "CPU", "memory", "of", "reason"]


def job_row(job: JobRecord, attempt: AttemptRecord | None) -> list[Any]:
    """One line of a table of jobs, with what the latest attempt used."""
    if attempt is None:
        return [job.number, job.task, job.key, str(job.state), "", "", "", "", "", "", job.reason]
    return [
        job.number,
        job.task,
        job.key,
        str(job.state),
        attempt.host,
        attempt.place,
        duration(attempt.seconds),
        percent(attempt.efficiency),
        size(attempt.memory) if attempt.memory else "",
        size(attempt.asked) if attempt.asked else "",
        job.reason,
    ]


def job_fields(job: JobRecord, attempt: AttemptRecord | None) -> dict[str, Any]:
    """A job as JSON shows it, with what the latest attempt used."""
    fields = job.model_dump(exclude={"run"})
    if attempt is None:
        return {**fields, "usage": None}
    used = attempt.model_dump(include={"attempt", "host", "place", "cpu", "cores", "memory", "asked", "start", "stop"})
    return {**fields, "usage": {**used, "seconds": attempt.seconds, "efficiency": attempt.efficiency}}
