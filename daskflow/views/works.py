"""The commands below `daskflow work`: agents, and the works in their buckets."""

from __future__ import annotations

import typer

from daskflow.views.bucketing import (
    audit_command,
    deposit_command,
    lock_command,
    rm_command,
    show_command,
    status_command,
    unlock_command,
    view_command,
)
from daskflow.views.serving import run_command

app = typer.Typer(
    name="work",
    help="Works in buckets: deposit them, serve them, find them again.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("run")(run_command)
app.command("deposit")(deposit_command)
app.command("view")(view_command)
app.command("show")(show_command)
app.command("status")(status_command)
app.command("audit")(audit_command)
app.command("rm")(rm_command)
app.command("lock")(lock_command)
app.command("unlock")(unlock_command)
