"""Calls commands that were made with click or typer as functions, with the parameters of works for their options."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from daskflow.execution.agents.outcome import Unfit

_KINDS = {"click.core": "click.exceptions", "typer._click.core": "typer._click.exceptions"}
"""Modules that commands are made by, each with that of its errors: typer has one of its own."""


def command_of(function: Any) -> Any:
    """The command that something is, an app of typer included; None where it is an ordinary function."""
    if hasattr(function, "registered_commands") and "typer" in sys.modules:
        import typer  # noqa: PLC0415, it is there already where this is an app of it

        return typer.main.get_command(function)
    return function if _kind(function) else None


def _kind(command: Any) -> str:
    """The module of the errors of a command; empty where it is none."""
    for core, errors in _KINDS.items():
        module = sys.modules.get(core)
        if module is not None and isinstance(command, module.Command):
            return errors
    return ""


def call_command(command: Any, parameters: dict[str, Any]) -> Any:
    """Call the function of a command; its options and arguments are read as if they stood on a command line.

    Parameters
    ----------
    parameters
        By the names of the function's arguments, or by those of options, `--name`. Those that are missing have their
        defaults; a flag is true or false, and what takes several values gets a list.

    Returns
    -------
    Any
        What the function returned; None where it ended the command with the exit code 0.

    Raises
    ------
    Unfit
        A parameter is unknown, missing, or does not fit its type.
    RuntimeError
        The function ended the command with another exit code.
    """
    if getattr(command, "commands", None) is not None:
        raise Unfit(f"{command.name!r} is a group of commands: {', '.join(command.commands)}. Name one of these.")
    errors: Any = importlib.import_module(_kind(command))
    with command.context_class(command, info_name=command.name) as context:
        given = _by_names(command, parameters)
        try:
            for option in sorted(command.params, key=lambda option: not option.is_eager):
                option.handle_parse_result(context, given, [])
        except errors.UsageError as error:
            raise Unfit(f"The parameters do not fit {command.name!r}: {error.format_message()}") from None
        unset = getattr(sys.modules[errors.__name__.replace("exceptions", "core")], "UNSET", None)
        context.params = {name: None if value is unset else value for name, value in context.params.items()}
        try:
            return context.invoke(command.callback, **context.params)
        except errors.Exit as end:
            if end.exit_code:
                raise RuntimeError(f"{command.name!r} ended with the exit code {end.exit_code}.") from None
            return None


def _by_names(command: Any, parameters: dict[str, Any]) -> dict[str, Any]:
    """Values by the names that arguments of the function have, as a command line would bring them."""
    names: dict[str, Any] = {}
    for option in command.params:
        names.update(dict.fromkeys([option.name, *option.opts], option))
    found = {}
    for given, value in parameters.items():
        name = given if given in names else given.replace("-", "_")
        if name not in names:
            known = ", ".join(sorted({str(option.name) for option in command.params}))
            raise Unfit(f"{command.name!r} has no parameter {given!r}; it has {known}.")
        found[names[name].name] = _as_typed(names[name], value)
    return {name: value for name, value in found.items() if value is not None}


def _as_typed(option: Any, value: Any) -> Any:
    """A value as it would stand on the command line; numbers are texts there, which a type reads or refuses."""
    if isinstance(value, list):
        return [_as_typed(option, each) for each in value]
    if isinstance(value, bool | str) or value is None or getattr(option, "count", False):
        return value
    if isinstance(value, int | float):
        return str(value)
    return value
