"""Regular expressions that strangers may ask for."""

from __future__ import annotations

import re
from typing import Any

from daskflow.errors import WorkInvalid

_LONGEST = 1000
_FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE}
_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?[:=!<]*|\(|\)|[*+]|\{\d*,?\d*\}|\||.", re.DOTALL)
_AGAIN = re.compile(r"[*+]|\{\d*,\d*\}|\{\d{2,}\}|\{[2-9]\}")
_BACK = re.compile(r"\\[1-9]|\(\?P=|\(\?\(")


def compiled_pattern(pattern: Any, options: Any) -> re.Pattern[str]:
    """A regular expression, if it is one and does not search for ever.

    Raises
    ------
    WorkInvalid
        It is none, it refers back to its groups, or it repeats a group that holds repetitions or alternatives: what
        such a one takes doubles with each letter of a text.
    """
    if not isinstance(pattern, str) or len(pattern) > _LONGEST:
        raise WorkInvalid(f"$regex takes a text of at most {_LONGEST} letters, and got {pattern!r:.100}.")
    if not isinstance(options, str) or not set(options) <= _FLAGS.keys():
        raise WorkInvalid(f"$options takes letters of {''.join(_FLAGS)!r}, and got {options!r:.100}.")
    if _BACK.search(pattern) or _explodes(pattern):
        raise WorkInvalid(
            f"The $regex {pattern!r:.100} may search for ever: it refers back to a group, or repeats one that holds "
            "repetitions or alternatives. Write it without."
        )
    flags = 0
    for letter in options:
        flags |= _FLAGS[letter]
    try:
        return re.compile(pattern, flags)
    except (re.error, RecursionError, OverflowError) as error:
        raise WorkInvalid(f"The $regex {pattern!r:.100} is none: {error}.") from None


def _explodes(pattern: str) -> bool:
    """Whether a group is repeated that holds repetitions or alternatives."""
    branching = [False]
    closed = False  # whether the token before closed a group that branches
    for found in _TOKEN.finditer(pattern):
        token = found[0]
        if _AGAIN.fullmatch(token):
            if closed:
                return True
            branching[-1] = True
        closed = False
        if token.startswith("("):
            branching.append(False)
        elif token == ")" and len(branching) > 1:
            closed = branching.pop()
            branching[-1] |= closed
        elif token == "|":
            branching[-1] = True
    return False
