"""The command line: `daskflow`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from daskflow.errors import DaskflowError
from daskflow.views.exits import INTERRUPTED, exit_of
from daskflow.views.late import LateGroup, add_late

_KILLED_BY_CTRL_C = 130

# Rich would make the help prettier and half as fast.
app = typer.Typer(
    name="daskflow",
    cls=LateGroup,
    help="Scientific workflows as ordinary Python. "
    "Exit codes: 0 done, 1 it failed or the store does not answer, 2 usage, 3 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for _name, _home, _text in (
    ("run", "starting:run_command", "Run a flow; what is known from earlier runs is not done again."),
    ("plan", "starting:plan_command", "Tell what a flow would do, and what is cached."),
    ("why", "looking:why_command", "Tell why a job ran: what changed since it was last known."),
    ("runs", "looking:runs_command", "List the runs, newest first."),
    ("show", "looking:show_command", "Show a run: its jobs, failures, reports and events."),
    ("logs", "looking:logs_command", "Print what the jobs of a run printed and logged."),
    ("questions", "asking:questions_command", "List what runs ask."),
    ("answer", "asking:answer_command", "Answer a question of a run."),
    ("cancel", "starting:cancel_command", "Stop a run, and those that it started."),
    ("pause", "starting:pause_command", "Let a run start no further jobs."),
    ("resume", "starting:resume_command", "Go on with a run that has ended or was paused."),
    ("report", "looking:report_command", "Write the report of a run: one HTML file."),
    ("demo", "starting:demo_command", "Calibrate and image a real observation."),
    ("efficiency", "usage:efficiency_command", "What jobs used of what they asked for, and what to ask."),
    ("artifact", "artifacts:app", "Keep files and directories in the artifact store, under names."),
    ("site", "sites:app", "The places that compute: what is configured, what is wrong."),
    ("work", "works:app", "Works in buckets: deposit them, serve them, find them again."),
    ("pipeline", "pipelines:app", "Pipelines of works, from YAML, once or by a schedule."),
    ("serve", "server.command:serve_command", "Serve works, artifacts, runs and questions."),
    ("token", "server.tokens:app", "Who may use the server."),
    ("batch", "batches:app", "Batch jobs by name, which outlive this command."),
):
    add_late(app, _name, f"daskflow.views.{_home}", _text)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"daskflow {version('daskflow')}")
        raise typer.Exit


@app.callback()
def _common(
    _version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True)] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line and exit."""
    try:
        app()
    except SystemExit as end:
        sys.exit(INTERRUPTED if end.code == _KILLED_BY_CTRL_C else end.code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except DaskflowError as error:
        from daskflow.views.terminal import say  # noqa: PLC0415, the help does not wait for it

        say(str(error), error=True)
        sys.exit(exit_of(error))
