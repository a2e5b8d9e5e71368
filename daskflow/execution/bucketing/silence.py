"""The time in which the buckets of a site do not answer: how long it lasts, and who is told of it."""

from __future__ import annotations

import logging
import time

_LOG = logging.getLogger(__name__)
_SOON = 3.0
"""What lasts for so long is told to people [s]."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Buckets that did not answer are asked again after the first time, then after twice as long, ... [s]."""


class Silence:
    """Tells people, once, that the buckets of a site do not answer, and when they do again.

    Parameters
    ----------
    site
        Name of the site.
    """

    def __init__(self, site: str) -> None:
        self._site = site
        self._since: float | None = None
        self._told = False
        self.pause = 0.0
        """Before they are asked again [s]; 0: they answer."""

    def note(self, error: Exception, began: float) -> bool:
        """They did not answer; whether they did before.

        Parameters
        ----------
        began
            When they were asked, on the monotonic clock [s]: that may be long ago.
        """
        first = self._since is None
        self._since = began if self._since is None else self._since
        self.pause = min(LONGEST_PAUSE, max(FIRST_PAUSE, 2 * self.pause))
        seconds = time.monotonic() - self._since
        if not self._told and seconds >= _SOON:
            self._told = True
            _LOG.warning(
                "The buckets of the site %r have not answered for %.0f s, and the jobs that are placed there wait: %s "
                "They are asked again and again; agents go on with what they have.",
                self._site,
                seconds,
                error,
            )
        return first

    def end(self) -> float | None:
        """They answer: how long they did not [s]; None: they did all the time."""
        since, told = self._since, self._told
        self._since, self._told, self.pause = None, False, 0.0
        if since is None:
            return None
        seconds = time.monotonic() - since
        if told:
            _LOG.warning("The buckets of the site %r answer again, after %.0f s.", self._site, seconds)
        return seconds
