"""Waits while a batch system does not answer, and tells so once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from daskflow.errors import BatchError, BatchSilent

_FIRST = 5.0
_LONGEST = 60.0
"""The pause doubles with each vain try, up to this [s]."""


def unheard(error: Exception) -> bool:
    """Whether nobody knows what a batch system made of what it was told: it gave no answer, or no program could ask it.

    Examples
    --------
    >>> unheard(BatchSilent("socket timed out")), unheard(BlockingIOError("no process")), unheard(BatchError("no"))
    (True, True, False)
    """
    return isinstance(error, BatchSilent) or not isinstance(error, BatchError)


class Silence:
    """Whether a batch system may be told anything, or is left alone for a while.

    Parameters
    ----------
    tell
        Gets `site.silent` with the error, and `site.answers` with how long it was silent [s].

    Notes
    -----
    Not safe for threads.
    """

    def __init__(self, tell: Callable[[str, dict[str, Any]], None]) -> None:
        self._tell = tell
        self._since: float | None = None
        self._until = 0.0
        self._pause = 0.0

    @property
    def lasts(self) -> bool:
        """Whether it has not answered since it fell silent."""
        return self._since is not None

    def over(self, now: float) -> bool:
        """Whether it may be tried (again)."""
        return now >= self._until

    def began(self, error: BaseException, now: float, *, own: bool = True) -> None:
        """It did not answer.

        Parameters
        ----------
        own
            Whether it was we who asked: then the pause gets longer.
        """
        if self._since is None:
            self._since = now
            self._tell("site.silent", {"error": str(error)})
        if own or not self._pause:
            self._pause = min(2 * self._pause, _LONGEST) or _FIRST
            self._until = now + self._pause

    def ended(self, now: float) -> None:
        """It answered."""
        if self._since is not None:
            self._tell("site.answers", {"after": now - self._since})
        self._since, self._until, self._pause = None, 0.0, 0.0
