"""The commands of tokens: who may use the server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from daskflow.errors import SettingsInvalid
from daskflow.model.access import Scope, TokenRecord
from daskflow.model.quantities import seconds
from daskflow.settings.gateway import database_of
from daskflow.stores.tokens import Tokens
from daskflow.views.options import ConfigOption, JsonOption, configured
from daskflow.views.terminal import say, show_json, show_table
from daskflow.views.units import moment

app = typer.Typer(
    name="token",
    help="Who may use the server.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Whose it is.")]
ScopeOption = Annotated[
    list[str] | None,
    typer.Option("--scope", help=f"What it allows: {', '.join(Scope)}; several with commas. Default: read."),
]
ExpiresOption = Annotated[str | None, typer.Option(help="After this time it ends: '30 d'. Default: never.")]
IdentArgument = Annotated[str, typer.Argument(metavar="TOKEN", help="Its id, as `ls` shows it, or whose tokens.")]


@app.command("create")
def create_command(
    name: NameArgument,
    scope: ScopeOption = None,
    expires: ExpiresOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token, and show it this once."""
    scopes = [part.strip() for given in scope or [Scope.read] for part in given.split(",") if part.strip()]
    with _tokens(config) as tokens:
        id, token = tokens.create(name, scopes, None if expires is None else _seconds(expires))
    if as_json:
        show_json({"id": id, "name": name, "scopes": sorted(set(scopes)), "token": token})
        return
    say(token)
    say(f"Keep it: it is not shown again. Its id is {id}; it allows {', '.join(sorted(set(scopes)))}.", error=True)


@app.command("ls")
def ls_command(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the tokens: whose they are, and what they allow."""
    with _tokens(config) as tokens:
        found = tokens.all()
    if as_json:
        show_json([record.model_dump(mode="json") | {"scopes": _scopes(record)} for record in found])
        return
    show_table(
        ["id", "name", "allows", "created", "ends", "revoked"],
        [[r.id, r.name, ", ".join(_scopes(r)), moment(r.created), moment(r.expires), moment(r.revoked)] for r in found],
    )


@app.command("revoke")
def revoke_command(token: IdentArgument, config: ConfigOption = None) -> None:
    """Let nobody in any more by a token, or by all of somebody."""
    with _tokens(config) as tokens:
        gone = tokens.revoke(token)
    for record in gone:
        say(f"The token {record.id} of {record.name} is revoked.")
    if not gone:
        say("It was revoked before.")


def _scopes(record: TokenRecord) -> list[str]:
    return sorted(str(scope) for scope in record.scopes)


def _seconds(text: str) -> float:
    try:
        return seconds(text)
    except ValueError as error:
        raise SettingsInvalid(f"--expires: {error}") from None


@contextmanager
def _tokens(config: Path | None) -> Iterator[Tokens]:
    database = database_of(configured(config))
    try:
        yield Tokens(database)
    finally:
        database.close()
