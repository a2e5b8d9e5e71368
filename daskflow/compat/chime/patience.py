"""Tries again what a store or a server did not do just now."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from daskflow.errors import DaskflowError

_T = TypeVar("_T")
_PAUSES = (0.5, 1.5)
"""Between two attempts it is waited for a random time between these [s]."""


def patiently(
    act: Callable[[], _T],
    *,
    within: float = 30.0,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> _T:
    """Do something, again and again as long as trying again can help.

    Parameters
    ----------
    within
        No attempt begins later than this after the first [s].
    clock, sleep
        Tell the time, and let some pass.

    Raises
    ------
    DaskflowError
        What the last attempt raised; errors of other kinds, and those that are not `transient`, at once.
    """
    deadline = clock() + within
    while True:
        try:
            return act()
        except DaskflowError as error:
            # So that many clients do not come back all at the same moment.
            pause = random.uniform(*_PAUSES)
            if not error.transient or clock() + pause > deadline:
                raise
        sleep(pause)
