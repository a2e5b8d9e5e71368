"""Describes errors of users' code in a form that needs none of the users' classes to be read."""

from __future__ import annotations

import os
import pickle
import traceback
from types import TracebackType

from daskflow.model.outcome import Failure

_HOUSE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_EXAMPLES = os.path.join(_HOUSE, "examples", "")
_LIMIT = 65536
"""A larger pickled error is not brought to the driver [bytes]."""


def describe(error: BaseException) -> Failure:
    """An error, with its traceback from the user's code on."""
    text = "".join(traceback.format_exception(type(error), error, _users_frames(error)))
    name = type(error).__qualname__
    if type(error).__module__ not in ("builtins", "__main__"):
        name = f"{type(error).__module__}.{name}"
    return Failure(name, _message(error), text, _pickled(error))


def _users_frames(error: BaseException) -> TracebackType | None:
    """The traceback without the frames of daskflow that lead to the user's function."""
    frames = error.__traceback__
    while frames is not None and frames.tb_next is not None:
        file = frames.tb_frame.f_code.co_filename
        if not file.startswith(_HOUSE) or file.startswith(_EXAMPLES):
            break
        frames = frames.tb_next
    return frames


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as second:  # users write `__str__` too
        return f"(its message cannot be had: {type(second).__name__})"


def _pickled(error: BaseException) -> bytes | None:
    try:
        made = pickle.dumps(error)
        pickle.loads(made)
    except Exception:  # many errors pickle, but do not unpickle
        return None
    return made if len(made) <= _LIMIT else None
