"""Describes errors of users' code in a form that needs none of the users' classes to be read."""

from __future__ import annotations

import os
import pathlib
import pickle
import traceback
from types import TracebackType

from daskflow.errors import DaskflowError
from daskflow.model.outcome import Failure

_HOUSE = str(pathlib.Path(__file__).resolve().parents[2]) + os.sep
_EXAMPLES = os.path.join(_HOUSE, "examples", "")
_LIMIT = 65536
"""A larger pickled error is not brought to the driver [bytes]."""
_DEPTH = 5
"""Of a longer chain of causes the first are described."""


def describe(error: BaseException, depth: int = 0) -> Failure:
    """An error, with its traceback from the user's code on, and the errors that led to it."""
    text = "".join(traceback.format_exception(type(error), error, _users_frames(error)))
    name = type(error).__qualname__
    if type(error).__module__ not in ("builtins", "__main__"):
        name = f"{type(error).__module__}.{name}"
    return Failure(name, _message(error), text, _pickled(error), _cause(error, depth))


def _cause(error: BaseException, depth: int) -> Failure | None:
    hidden = None if error.__suppress_context__ else error.__context__
    cause = error.__cause__ or hidden
    return describe(cause, depth + 1) if cause is not None and depth < _DEPTH else None


def _users_frames(error: BaseException) -> TracebackType | None:
    """The traceback without the frames of daskflow that lead to the user's function.

    Where they lead to none, and daskflow says itself what is wrong, nothing is left.
    """
    frames = error.__traceback__
    while frames is not None and frames.tb_next is not None:
        if not _is_ours(frames):
            break
        frames = frames.tb_next
    nothing = frames is not None and _is_ours(frames) and isinstance(error, DaskflowError)
    return None if nothing else frames


def _is_ours(frames: TracebackType) -> bool:
    file = frames.tb_frame.f_code.co_filename
    return file.startswith(_HOUSE) and not file.startswith(_EXAMPLES)


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
