"""Commands whose code is imported when they are asked for: `daskflow --help` does not wait for it."""

from __future__ import annotations

import importlib
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup


class LateGroup(TyperGroup):
    """A group some of whose commands are only names and helps until one of them is called."""

    homes: ClassVar[dict[str, str]] = {}
    """Where the code of each late command stands: `package.module:name`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the arguments begin with."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, loaded(self.homes[name]) if name in self.homes else command, rest


def add_late(app: typer.Typer, name: str, home: str, text: str) -> None:
    """Add a command, or a group of commands, to an app whose class is a `LateGroup`.

    Parameters
    ----------
    home
        Where it stands: `package.module:name`, a function or an app.
    text
        What the help of the app says of it.
    """
    LateGroup.homes[name] = home

    @app.command(name, help=text)
    def never_called() -> None:
        """Nothing: what is resolved is the real one."""


def loaded(home: str) -> Any:
    """The command, or the group, that stands there."""
    module, _, name = home.partition(":")
    found = getattr(importlib.import_module(module), name)
    if not isinstance(found, typer.Typer):
        function = found
        found = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        found.command()(function)
    return typer.main.get_command(found)
