"""Sites that are down: their jobs wait, those of other sites go on, and each site is tried again after a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from daskflow.errors import DaskflowError, SiteError
from daskflow.sites import Listener, Site

FIRST, LONGEST = 5.0, 60.0
"""After a site went down it is tried again after the first time, then after twice that, and so on up to the longest
[s]."""
LIMIT = 600.0
"""For so long a run waits for a site that is down when nothing else is left to do; then it ends, and can be resumed
[s]."""
_LOOK = 1.0
"""Sites that are down are not looked at more often than this [s]."""


def bearable(error: BaseException) -> bool:
    """Whether only the jobs of one site are concerned by an error."""
    return isinstance(error, SiteError)


@dataclass
class _Outage:
    """One site that does not compute."""

    site: Site
    error: Exception
    since: float
    delay: float
    due: float
    """When it is tried again."""
    on_trial: bool = False

    @property
    def lasting(self) -> bool:
        """Whether trying again cannot help."""
        return not (isinstance(self.error, DaskflowError) and self.error.transient)


class Outages:
    """Which of the sites of one run are down.

    Parameters
    ----------
    clock
        Gives a time that only goes on [s].
    limit
        How long a run waits for a site when nothing else is left to do [s].

    Notes
    -----
    Not safe for threads: its dispatcher calls it with the lock of the run held.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, limit: float = LIMIT) -> None:
        self._clock = clock
        self._limit = limit
        self._down: dict[Site, _Outage] = {}
        self._up: set[Site] = set()
        self._worked = False
        self._opening: set[Site] = set()

    def barred(self, site: Site) -> bool:
        """Whether nothing goes to a site at the moment."""
        if site in self._opening:
            return True
        outage = self._down.get(site)
        return outage is not None and (outage.on_trial or outage.lasting or self._clock() < outage.due)

    def strange(self, site: Site) -> bool:
        """Whether nothing was ever performed there, or nothing since it went down: it may not answer for long."""
        return site not in self._up

    def try_out(self, site: Site) -> None:
        """Something goes to a strange site: nothing else does until it is known whether it is up."""
        outage = self._down.get(site)
        if outage is None:
            self._opening.add(site)
        else:
            outage.on_trial = True

    def up(self, site: Site) -> float | None:
        """A site took what it was given: how long it was down [s]; None where it was not."""
        self._opening.discard(site)
        self._up.add(site)
        self._worked = True
        outage = self._down.pop(site, None)
        return None if outage is None else self._clock() - outage.since

    def down(self, site: Site, error: Exception) -> float | None:
        """A site does not compute, or still does not: after which time it is tried again [s]; None: never."""
        self._opening.discard(site)
        self._up.discard(site)
        now, before = self._clock(), self._down.get(site)
        delay = FIRST if before is None else min(2 * before.delay, LONGEST)
        outage = _Outage(site, error, now if before is None else before.since, delay, now + delay)
        self._down[site] = outage
        return None if outage.lasting else delay

    @property
    def any(self) -> bool:
        """Whether some site is down."""
        return bool(self._down)

    @property
    def patience(self) -> float | None:
        """After which time some site is to be tried again [s]; None: none is."""
        times = [outage.due for outage in self._down.values() if not outage.lasting and not outage.on_trial]
        # One that is due stays so while there is nothing to try it out with: then it is looked at now and then.
        return max(_LOOK, min(times) - self._clock()) if times else None

    def end(self, sites: Collection[Site], *, alone: bool) -> Exception | None:
        """Why a run has to end in which nothing goes on before these sites perform something; None where it goes on.

        Parameters
        ----------
        sites
            Where jobs wait for nothing else.
        alone
            Whether it has no other site: one that is down from the beginning is most often configured wrongly.
        """
        outages = [self._down[site] for site in sites if site in self._down]
        if not outages or len(outages) < len(sites) or any(outage.on_trial for outage in outages):
            return None
        now = self._clock()
        over = [one for one in outages if (alone and not self._worked) or one.lasting or now - one.since >= self._limit]
        return over[0].error if len(over) == len(outages) else None


class SiteEar:
    """Hears one site for a run: that it is down concerns its own jobs only.

    Parameters
    ----------
    listener
        Hears all the rest.
    on_down
        Called when the site does not compute any more.
    """

    def __init__(self, listener: Listener, on_down: Callable[[Exception], None]) -> None:
        self._listener = listener
        self._on_down = on_down

    def performed(self, records: Sequence[bytes]) -> None:
        """Some packages were performed."""
        self._listener.performed(records)

    def lost(self, key: str, reason: str, culprit: str) -> None:
        """A node will not be performed any more."""
        self._listener.lost(key, reason, culprit)

    def tell(self, kind: str, data: str) -> None:
        """Something happened at the site."""
        self._listener.tell(kind, data)

    def fail(self, error: Exception) -> None:
        """The site does not compute any more."""
        if bearable(error):
            self._on_down(error)
        else:
            self._listener.fail(error)
