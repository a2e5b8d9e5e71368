"""The notice to quit: by it a process tells what it performs, in its forks too, that it should come to an end soon."""

from __future__ import annotations

from mmap import mmap

_page = mmap(-1, 1)
"""Memory that this process shares with all its forks, whenever they were made."""


def give() -> None:
    """Tell everything that is performed here to save what it has and to end; may be called in a handler of signals."""
    _page[0] = 1


def given() -> bool:
    """Whether that was told."""
    return _page[0] == 1


def withdraw() -> None:
    """What is performed here may go on after all."""
    _page[0] = 0
