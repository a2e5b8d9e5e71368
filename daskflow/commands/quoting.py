"""Knows which parts of a shell line stand within quotes."""

from __future__ import annotations

import bisect
import re

from daskflow.errors import ArgumentsInvalid

_STEP = {
    # `$(` opens a line of its own, in double quotes too.
    "bare": re.compile(r"\\.|'|\"|`|\$\(|\$\{[^}]*\}|\(|\)|<<<|<<-?|(?:^|(?<=[\s;&|()]))#[^\n]*", re.DOTALL),
    "double": re.compile(r"\\.|\"|`|\$\(|\$\{[^}]*\}", re.DOTALL),
    "single": re.compile("'"),
}


class Quotes:
    """The quotes of a line for the shell.

    Parameters
    ----------
    line
        The line.

    Notes
    -----
    What is put into a line by `around` is never read by the shell as more than a word or a part of one, even where the
    quotes were not understood: it is a variable in all cases.

    References
    ----------
    https://pubs.opengroup.org/onlinepubs/9699919799/utilities/V3_chap02.html#tag_18_02
    """

    def __init__(self, line: str) -> None:
        self._places = [0]
        self._states = ["bare"]
        self._document = len(line) + 1
        self._ticks: list[int] = []
        self._read(line)

    def bare(self, place: int) -> bool:
        """Whether a place in the line stands in no quotes."""
        return self._states[bisect.bisect_right(self._places, place) - 1] == "bare"

    def around(self, variable: str, place: int) -> str:
        """What has to be written at a place so that a variable is (part of) one word there.

        Raises
        ------
        ArgumentsInvalid
            It stands where that cannot be said.
        """
        if place > self._document:
            raise ArgumentsInvalid(
                "After `<<` no parameter with special characters can be filled in: give the text by `stdin`."
            )
        if bisect.bisect_right(self._ticks, place) % 2:
            raise ArgumentsInvalid(
                "Within backticks no parameter with special characters can be filled in: write $(...) in their place."
            )
        state = self._states[bisect.bisect_right(self._places, place) - 1]
        return {"bare": f'"{variable}"', "double": variable, "single": f"'\"{variable}\"'"}[state]

    def _read(self, line: str) -> None:
        stack, place, before = ["bare"], 0, ""
        while (found := _STEP[stack[-1]].search(line, place)) is not None:
            place, step = found.end(), found.group()
            if step in ("<<", "<<-"):
                self._document = min(self._document, place)
            if step == "`":
                self._ticks.append(place)
            before = stack[-1]
            _turn(stack, step)
            if stack[-1] != before:
                self._places.append(place)
                self._states.append(stack[-1])


def _turn(stack: list[str], step: str) -> None:
    if step == "'":
        if stack[-1] == "single":
            stack.pop()
        else:
            stack.append("single")
    elif step == '"':
        if stack[-1] == "double":
            stack.pop()
        else:
            stack.append("double")
    elif step in ("$(", "("):
        stack.append("bare")
    elif step == ")" and len(stack) > 1 and stack[-1] == "bare":
        stack.pop()
