"""Binds the arguments of a call to the parameters of a function, faster than `inspect` where that is possible."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from daskflow.errors import ArgumentsInvalid

_KINDS = inspect.Parameter


class Shape(NamedTuple):
    """How bound values are handed to the function again."""

    positional: int
    """How many of the values are passed by position."""
    names: tuple[str, ...]
    """Names of all parameters."""
    variable: tuple[bool, bool]
    """Whether there is a `*args` after the positional ones, and a `**kwargs` at the end."""

    def call(self, function: Callable[..., Any], values: list[Any]) -> Any:
        """Call a function with one value for each parameter."""
        if len(self.names) == self.positional:
            return function(*values)
        args, rest = values[: self.positional], values[self.positional :]
        names = self.names[self.positional :]
        if self.variable[0]:
            args, rest, names = [*args, *rest[0]], rest[1:], names[1:]
        extra = rest.pop() if self.variable[1] else {}
        return function(*args, **dict(zip(names, rest, strict=False)), **extra)


class Binder:
    """Binds calls of one function.

    Parameters
    ----------
    function
        The function whose signature counts.
    reserved
        Names that no parameter may have.

    Raises
    ------
    ArgumentsInvalid
        A parameter has a reserved name, or what is declared is no plain function.
    """

    def __init__(self, function: Callable[..., Any], reserved: tuple[str, ...] = ()) -> None:
        self._function = getattr(function, "__qualname__", repr(function))
        self.signature = _signature(function, self._function)
        parameters = list(self.signature.parameters.values())
        taken = [p.name for p in parameters if p.name in reserved]
        if taken:
            raise ArgumentsInvalid(
                f"{self._function}() has a parameter {taken[0]!r}, which every call reserves. Give it another name."
            )
        kinds = [p.kind for p in parameters]
        variable = (_KINDS.VAR_POSITIONAL in kinds, _KINDS.VAR_KEYWORD in kinds)
        positional = sum(kind in (_KINDS.POSITIONAL_ONLY, _KINDS.POSITIONAL_OR_KEYWORD) for kind in kinds)
        self.shape = Shape(positional, tuple(p.name for p in parameters), variable)
        self._simple = not any(variable) and _KINDS.POSITIONAL_ONLY not in kinds
        self._unnamed = {p.name for p in parameters if p.kind is _KINDS.POSITIONAL_ONLY and variable[1]}
        self._defaults = [p.default for p in parameters]

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Any]:
        """One value for each parameter, defaults included.

        Raises
        ------
        ArgumentsInvalid
            The call does not fit the signature.
        """
        if self._simple and len(args) <= self.shape.positional:
            if not kwargs and len(args) == len(self.shape.names):
                return list(args)
            values = list(args)
            used = 0
            for name, default in zip(self.shape.names[len(args) :], self._defaults[len(args) :], strict=True):
                if name in kwargs:
                    values.append(kwargs[name])
                    used += 1
                elif default is not _KINDS.empty:
                    values.append(default)
                else:
                    return self._bind(args, kwargs)
            if used == len(kwargs):
                return values
        return self._bind(args, kwargs)

    def _bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Any]:
        # Below Python 3.13 `bind` refuses keywords that are named like positional-only parameters.
        apart = {name: value for name, value in kwargs.items() if name in self._unnamed}
        try:
            bound = self.signature.bind(*args, **{name: kwargs[name] for name in kwargs if name not in apart})
        except TypeError as error:
            unknown = [] if self.shape.variable[1] else [name for name in kwargs if name not in self.shape.names]
            text = "; ".join([_unknown(name, self.shape.names) for name in unknown]) or str(error)
            raise ArgumentsInvalid(f"{self._function}{self.signature}: {text}.") from None
        bound.apply_defaults()
        if apart:
            bound.arguments[self.shape.names[-1]].update(apart)
        return [bound.arguments[name] for name in self.shape.names]


def _signature(function: Callable[..., Any], name: str) -> inspect.Signature:
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise ArgumentsInvalid(
            f"{name}() is a coroutine or a generator, which gives its result bit by bit. Declare a plain function that "
            "returns it as a whole."
        )
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):  # many functions of C
        raise ArgumentsInvalid(f"{name} does not tell its parameters. Declare a function that calls it.") from None


def _unknown(name: str, names: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, names, 1)
    return f"it has no parameter {name!r}" + (f", but {near[0]!r}" if near else "")
