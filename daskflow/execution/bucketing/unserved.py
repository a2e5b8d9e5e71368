"""Tells of works that nobody performs: no agent serves their bucket, or none takes works of their site."""

from __future__ import annotations

import logging
import shlex
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from daskflow.model.work import WorkStatus
from daskflow.stores.buckets.buckets import Buckets

_LOG = logging.getLogger(__name__)
PATIENCE, LONGEST = 60.0, 3600.0
"""A bucket of which nothing is taken for the first time [s] is told of; then after twice that, up to the second."""

_PART = 12
"""It is looked after so small a part of the first time: there may be very many works."""


class Waiting(NamedTuple):
    """One work that no agent has taken yet."""

    bucket: str
    site: str
    since: float
    """On the monotonic clock [s]."""
    listener: Any
    """Whose it is: each is told once of a bucket."""
    event: Callable[..., None]
    """Has something recorded: a kind, and what is to be known."""


class Unserved:
    """Looks whether works wait that nobody performs.

    Parameters
    ----------
    buckets
        Where they are.
    options
        What else an agent is told, by its command line, to find them.

    Notes
    -----
    Nobody knows which agents there are. Where some work of the same bucket and site is being performed there is one,
    and the others wait for their turn; where none is, though works wait, there is none, or none that may take them.
    """

    def __init__(self, buckets: Buckets, options: Iterable[str] = ()) -> None:
        self._buckets = buckets
        self._options = tuple(options)
        self._looked: dict[tuple[str, str], float] = {}
        self._patience: dict[tuple[str, str], float] = {}
        self._next = 0.0

    def due(self) -> bool:
        """Whether it is time to look again."""
        return time.monotonic() >= self._next

    def look(self, waiting: Iterable[Waiting]) -> None:
        """See which buckets nobody serves, and tell their listeners; the longer it lasts the more seldom.

        Raises
        ------
        DaskflowError
            The buckets do not answer.
        """
        self._next = time.monotonic() + PATIENCE / _PART
        places: dict[tuple[str, str], list[Waiting]] = {}
        for one in waiting:
            places.setdefault((one.bucket, one.site), []).append(one)
        for known in self._patience.keys() - places.keys():
            del self._patience[known], self._looked[known]
        for place, those in places.items():
            now, first = time.monotonic(), min(one.since for one in those)
            patience = self._patience.setdefault(place, PATIENCE)
            if now - max(first, self._looked.get(place, first)) >= patience:
                self._looked[place] = now
                served = self._served(*place)
                self._patience[place] = PATIENCE if served else min(2 * patience, LONGEST)
                if not served:
                    self._tell(place, those, now)
            self._looked.setdefault(place, first)

    def _served(self, bucket: str, site: str) -> bool:
        return self._buckets.count({"pipeline": bucket, "site": site, "status": str(WorkStatus.running)}) > 0

    def _tell(self, place: tuple[str, str], waiting: list[Waiting], now: float) -> None:
        bucket, site = place
        command = shlex.join(["daskflow", "work", "run", bucket, "--site", site, *self._options])
        for listener in {id(one.listener): one.listener for one in waiting}.values():
            those = [one for one in waiting if one.listener is listener]
            seconds = now - min(one.since for one in those)
            those[0].event(
                "bucket.unserved",
                bucket=bucket,
                site=site,
                waiting=len(those),
                seconds=round(seconds, 1),
                command=command,
            )
            _LOG.warning(
                "%s of a flow in the bucket %r for the site %r, of which nothing has been performed for %.0f s. Start "
                "an agent there, or look whether those that run take works of this bucket and site: %s",
                "1 job waits" if len(those) == 1 else f"{len(those)} jobs wait",
                bucket,
                site,
                seconds,
                command,
            )
