"""Calls functions with the parameters of works."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from daskflow.execution.agents.clicking import call_command, command_of
from daskflow.execution.agents.outcome import Outcome, Unfit, outcome_of
from daskflow.model.work import Work

KEPT = ("results", "products", "plots")
_CHANGED = ("tags", "group", "event", "notify", "config", "priority")
"""What a function that gets the work may change besides what comes out."""


def perform_function(function: Any, work: Work, argsource: str) -> Outcome:
    """Call a function for a work.

    Raises
    ------
    Unfit
        The parameters do not fit the function, or what it gave cannot be kept.
    Exception
        What the function raised.
    """
    if argsource == "work":
        given = _called(function, [work], {})
        return _changed(given, work)
    command = command_of(function)
    parameters = dict(work.parameters or {})
    if command is not None:
        return outcome_of(call_command(command, parameters))
    return outcome_of(_called(function, *_bound(function, parameters)))


def _called(function: Any, positional: list[Any], named: Mapping[str, Any]) -> Any:
    value = function(*positional, **named)
    if inspect.iscoroutine(value):
        import asyncio

        return asyncio.run(value)
    return value


def _bound(function: Any, parameters: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Parameters as a function takes them: those that it only takes by their places are found by their names."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some that are written in C have none
        return [], parameters
    positional, named = [], dict(parameters)
    for name, parameter in signature.parameters.items():
        if parameter.kind is parameter.POSITIONAL_ONLY and name in named:
            positional.append(named.pop(name))
    try:
        signature.bind(*positional, **named)
    except TypeError as error:
        called = getattr(function, "__qualname__", None) or type(function).__qualname__
        raise Unfit(f"The parameters do not fit {called}{signature}: {error}.") from None
    return positional, named


def _changed(given: Any, work: Work) -> Outcome:
    if given is not None and not isinstance(given, Work):
        return outcome_of(given)
    made = given or work
    payload = made.payload
    return Outcome(
        payload["results"],
        payload["products"],
        payload["plots"],
        changes={name: payload[name] for name in _CHANGED},
    )
