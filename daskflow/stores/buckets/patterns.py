"""Regular expressions that strangers may ask for."""

from __future__ import annotations

import re
import time
import warnings
from typing import Any

from daskflow.errors import WorkInvalid

_LONGEST = 1000
SEARCHED = 1 << 20
"""Of a text so many letters are searched."""
PATIENCE = 2.0
"""So long one pattern of a query searches, all texts together [s]."""
_FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE}
_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?[:=!<]*|\(|\)|[*+]|\{\d*,?\d*\}|\||.", re.DOTALL)
_AGAIN = re.compile(r"[*+]|\{\d*,\d*\}|\{\d{2,}\}|\{[2-9]\}")
_COUNT = re.compile(r"\{(\d*),?(\d*)\}")
_TIMES = 1000
_BACK = re.compile(r"\\[1-9]|\(\?P=|\(\?\(")
_ESCAPED_OR_BRACKET = re.compile(r"\\.|\[", re.DOTALL)


class Pattern:
    """A regular expression that gives up when it has searched for too long.

    Parameters
    ----------
    pattern
        One that Python's `re` takes.
    flags
        Those of `re`.

    Notes
    -----
    Other threads go on while it searches.
    """

    def __init__(self, pattern: str, flags: int) -> None:
        import regex

        self._text = pattern
        self._compiled = regex.compile(_as_in_re(pattern), flags)
        self._left = PATIENCE

    def found_in(self, text: str) -> bool:
        """Whether a text has it.

        Raises
        ------
        WorkInvalid
            It has searched for too long, here and in texts before.
        """
        began = time.thread_time()
        try:
            if self._left <= 0:
                raise TimeoutError
            return (
                self._compiled.search(text, 0, min(len(text), SEARCHED), concurrent=True, timeout=self._left)
                is not None
            )
        except TimeoutError:
            self._left = 0.0
            raise WorkInvalid(
                f"The $regex {self._text!r:.100} searches for longer than {PATIENCE:g} s. Write one with fewer "
                "repetitions, or name a pipeline, a tag or an event as well."
            ) from None
        finally:
            self._left -= time.thread_time() - began


def compiled_pattern(pattern: Any, options: Any) -> Pattern:
    """A regular expression, if it is one.

    Raises
    ------
    WorkInvalid
        It is none, it counts to more than 1000, it refers back to its groups, or it repeats a group that holds
        repetitions or alternatives: what such a one takes doubles with each letter of a text.
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
    if any(
        len(count.lstrip("0")) > 4 or int(count or 0) > _TIMES for each in _COUNT.findall(pattern) for count in each
    ):
        raise WorkInvalid(f"The $regex {pattern!r:.100} repeats something more than {_TIMES} times.")
    flags = 0
    for letter in options:
        flags |= _FLAGS[letter]
    import regex

    try:
        with warnings.catch_warnings():
            # Of what may mean something else in a later Python.
            warnings.simplefilter("ignore", FutureWarning)
            re.compile(pattern, flags)
        return Pattern(pattern, flags)
    except (re.error, regex.error, RecursionError, OverflowError) as error:
        raise WorkInvalid(f"The $regex {pattern!r:.100} is none: {error}.") from None


def _as_in_re(pattern: str) -> str:
    """The same for `regex`, to which braces and brackets say more than to `re`."""
    return "".join(_token_as_in_re(found[0]) for found in _TOKEN.finditer(pattern))


def _token_as_in_re(token: str) -> str:
    if token == "{":
        return r"\{"
    if token.startswith("[") and len(token) > 1:
        return "[" + _ESCAPED_OR_BRACKET.sub(lambda one: r"\[" if one[0] == "[" else one[0], token[1:])
    return token


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
