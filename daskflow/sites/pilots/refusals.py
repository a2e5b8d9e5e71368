"""Decides what follows when pilots do not start: another try, a node that is avoided, a pool that is given up."""

from __future__ import annotations

from collections import defaultdict
from enum import StrEnum
from typing import NamedTuple

from daskflow.errors import StartupFailed
from daskflow.sites.batch.errand import crowded
from daskflow.sites.pilots.ends import Ending

PAUSE = 60.0
"""A pool that serves, but of which some pilots do not start, gets no more for so long [s]; then for twice that ..."""
_LONGEST = 960.0
"""... up to this [s]."""


class Step(StrEnum):
    """What follows."""

    again = "again"
    avoid = "avoid"
    """Not on this node any more."""
    pause = "pause"
    give_up = "give_up"


class Failure(NamedTuple):
    """One pilot that did not start."""

    node: str
    """Empty where it did not get so far as to tell."""
    ending: Ending
    log: str
    """The end of its log."""


class Refusals:
    """What is known of the pools and nodes of a site on which pilots do not start.

    Parameters
    ----------
    site
        Its name.
    patience
        After so many failures in a row something must happen.

    Notes
    -----
    Not safe for threads.
    """

    def __init__(self, site: str, patience: int) -> None:
        self.avoided: list[str] = []
        """Nodes on which no pilot is to start."""
        self.given_up: dict[str, Exception] = {}
        """Pools that get no pilots any more, and why."""
        self.site = site
        self._patience = max(1, patience)
        self._rows: dict[str, list[Failure]] = defaultdict(list)
        self._served: dict[str, set[str]] = defaultdict(set)
        self._until: dict[str, float] = {}
        self._pauses: dict[str, float] = {}

    def open(self, pool: str, now: float) -> bool:
        """Whether pilots of a pool may be submitted now."""
        return pool not in self.given_up and now >= self._until.get(pool, 0.0)

    def arrived(self, pool: str, node: str) -> None:
        """The worker of a pilot has arrived: what failed before has mended."""
        self._rows.pop(pool, None)
        self._pauses.pop(pool, None)
        self._served[pool].add(node)

    def failed(self, pool: str, failure: Failure, *, serving: bool, now: float) -> Step:
        """A pilot did not start.

        Parameters
        ----------
        serving
            Whether others of the pool serve now.
        """
        row = self._rows[pool]
        row.append(failure)
        if len(row) < self._patience:
            return Step.again
        nodes = {one.node for one in row if one.node}
        if len(nodes) == 1 and self._served[pool] - nodes - set(self.avoided):
            self.avoided += nodes - set(self.avoided)
            del self._rows[pool]
            return Step.avoid
        if serving:
            del self._rows[pool]
            self.pause(pool, now)
            return Step.pause
        self.given_up[pool] = StartupFailed(self._story(pool, row))
        return Step.give_up

    def refused(self, pool: str, error: Exception, *, serving: bool, now: float) -> Step:
        """The batch system will not have pilots of a pool, or will never start them.

        Where it says that there are enough jobs already, pilots are submitted later.

        Parameters
        ----------
        serving
            Whether pilots of the pool serve, or wait in the queue, all the same.
        """
        if serving or crowded(str(error)):
            self.pause(pool, now)
            return Step.pause
        self.given_up[pool] = error
        return Step.give_up

    def pause(self, pool: str, now: float) -> None:
        """Submit no pilots of a pool for a while, longer from time to time; nothing changes while that lasts."""
        if now < self._until.get(pool, 0.0):
            return
        self._pauses[pool] = min(2 * self._pauses.get(pool, PAUSE / 2), _LONGEST)
        self._until[pool] = now + self._pauses[pool]

    def _story(self, pool: str, row: list[Failure]) -> str:
        nodes = sorted({one.node for one in row if one.node})
        last = next((one for one in reversed(row) if one.log), row[-1])
        how = "The last pilot" if len(row) == 1 else f"The last {len(row)} pilots"
        return (
            f"{how} of the pool {pool!r} of the site {self.site!r} did not start"
            f"{', on ' + ', '.join(nodes) if nodes else ''}: {last.ending.reason}. "
            + (f"The log ended with:\n{last.log}\n" if last.log else "Nothing was written to the log. ")
            + f"`daskflow site check {self.site}` looks for the cause."
        )
