"""The command line: `daskflow`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from daskflow.errors import DaskflowError, StoreError, UsageError
from daskflow.views.asking import answer_command, questions_command
from daskflow.views.late import LateGroup, add_late
from daskflow.views.looking import logs_command, report_command, runs_command, show_command, why_command
from daskflow.views.running import FAILED, INTERRUPTED, USAGE
from daskflow.views.starting import (
    cancel_command,
    demo_command,
    pause_command,
    plan_command,
    resume_command,
    run_command,
)
from daskflow.views.terminal import say

_KILLED_BY_CTRL_C = 130

# Rich would make the help prettier and half as fast.
app = typer.Typer(
    name="daskflow",
    cls=LateGroup,
    help="Scientific workflows as ordinary Python. Exit codes: 0 done, 1 the run failed, 2 usage, 3 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("run")(run_command)
app.command("plan")(plan_command)
app.command("why")(why_command)
app.command("runs")(runs_command)
app.command("show")(show_command)
app.command("logs")(logs_command)
app.command("questions")(questions_command)
app.command("answer")(answer_command)
app.command("cancel")(cancel_command)
app.command("pause")(pause_command)
app.command("resume")(resume_command)
app.command("report")(report_command)
app.command("demo")(demo_command)
add_late(
    app,
    "efficiency",
    "daskflow.views.usage:efficiency_command",
    "What jobs used of what they asked for, and what to ask.",
)
add_late(
    app, "artifact", "daskflow.views.artifacts:app", "Keep files and directories in the artifact store, under names."
)
add_late(app, "site", "daskflow.views.sites:app", "The places that compute: what is configured, and what is wrong.")
add_late(app, "work", "daskflow.views.works:app", "Works in buckets: deposit them, serve them, find them again.")
add_late(app, "pipeline", "daskflow.views.pipelines:app", "Pipelines of works, from YAML, once or by a schedule.")
add_late(app, "serve", "daskflow.views.server.command:serve_command", "Serve works, artifacts, runs and questions.")
add_late(app, "token", "daskflow.views.server.tokens:app", "Who may use the server.")
add_late(app, "batch", "daskflow.views.batches:app", "Batch jobs by name, which outlive this command.")


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
    except (UsageError, StoreError) as error:
        say(str(error), error=True)
        sys.exit(USAGE)
    except DaskflowError as error:
        say(str(error), error=True)
        sys.exit(FAILED)
