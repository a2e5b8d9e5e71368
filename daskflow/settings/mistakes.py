"""Tells people what is wrong in a configuration, and what was probably meant."""

from __future__ import annotations

import difflib
from typing import Any

from pydantic import BaseModel, ValidationError

from daskflow.model.mistakes import mistakes_in, models_within

_FOREIGN = {
    "partition": "queue",
    "project": "account",
    "mem": "memory",
    "ram": "memory",
    "time": "walltime",
    "processes": "workers",
    "gres": "gpus",
    "job_extra": "directives",
    "job_extra_directives": "directives",
    "extra": "directives",
    "job_script_prologue": "prologue",
    "env_extra": "prologue",
    "worker_init": "prologue",
    "local_directory": "scratch",
    "shared_temp_directory": "shared",
    "log_directory": "shared",
    "maximum": "max_pilots",
    "max_blocks": "max_pilots",
    "minimum": "min_pilots",
    "min_blocks": "min_pilots",
    "env": "environment",
    "type": "kind",
}
"""What other tools call the same."""


def told(error: ValidationError, model: type[BaseModel]) -> str:
    """The first mistake that validation found, as a sentence without its end.

    Parameters
    ----------
    model
        What was validated.
    """
    first = mistakes_in(error)[0]
    places, owner = _walk(model, first.place)
    place = ".".join(places)
    if first.strange:
        return f"The option {place!r} is not known{_meant(places[-1], owner, model)}"
    return (
        f"The option {place!r} does not fit: {first.text}" if place else f"The configuration does not fit: {first.text}"
    )


def _walk(model: type[BaseModel], where: tuple[int | str, ...]) -> tuple[list[str], type[BaseModel]]:
    """The names on the way to a value, without those of the types that were tried; the model that has the last."""
    places: list[str] = []
    inside: Any = model
    owner = model
    for part in where:
        if _is_model(inside):
            owner, places = inside, [*places, str(part)]
            field = inside.model_fields.get(str(part))
            inside = None if field is None else field.annotation
            continue
        named = models_within(inside)
        if isinstance(part, int) or named or str(inside).startswith("dict["):
            places.append(str(part))
            inside = named[0] if named else None
    return places, owner


def _is_model(found: Any) -> bool:
    return isinstance(found, type) and issubclass(found, BaseModel)


def _meant(name: str, owner: type[BaseModel], model: type[BaseModel]) -> str:
    """What was probably meant by an unknown name."""
    known = owner.model_fields
    if _FOREIGN.get(name) in known:
        return f"; it is called {_FOREIGN[name]!r} here"
    for outer, field in model.model_fields.items():
        for inner in models_within(field.annotation):
            if owner is model and name in inner.model_fields:
                return f"; it belongs to one of those below {outer!r}"
    if near := difflib.get_close_matches(name.lower(), known, n=1):
        return f"; did you mean {near[0]!r}?"
    return f" among {', '.join(known)}"
