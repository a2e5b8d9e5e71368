"""Decides for each pool how many pilots are submitted, and which are sent away."""

from __future__ import annotations

import statistics
from collections import defaultdict, deque
from collections.abc import Collection, Mapping, Sequence

from daskflow.model.needs import Needs
from daskflow.sites.pilots.crew import Post
from daskflow.sites.pilots.pilot import Pilot, Stage
from daskflow.sites.pilots.plan import SitePlan
from daskflow.sites.pilots.roll import Roll
from daskflow.sites.pilots.scaling import LOOKAHEAD, Growth, Steady, Times, ahead, lacking, shared, spaces
from daskflow.sites.pools import Pool

FIRST_LEAD = 15.0
"""So long the first pilots are thought to take from their submission to the arrival of their worker [s]."""
STUCK = 5.0
"""A pilot that has been idle for so long while something waited does not take it [s]."""
_LATELY = 120.0
"""How long pilots live is seen from those that were lost in this time [s]."""
_DELAY = 3.0
"""So long it takes from something lacking to its being asked for [s]."""

Waiting = Mapping[str, Mapping[Needs, int]]
"""How many nodes with each needs wait for each pool."""


class Recruiter:
    """How many pilots a site is to have.

    Parameters
    ----------
    plan
        How the site is run.
    roll
        Its pilots.

    Notes
    -----
    Not safe for threads.
    """

    def __init__(self, plan: SitePlan, roll: Roll) -> None:
        self.resting = False
        """Whether no pilots are kept for the case that something comes."""
        self._plan = plan
        self._roll = roll
        self._leads: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=9))
        self._growth: dict[str, Growth] = defaultdict(Growth)
        self._steady: dict[str, Steady] = defaultdict(Steady)
        self._wanted: dict[str, float] = {}
        """When something waited last for each pool."""
        self._since: dict[str, float] = {}
        """Since when something waits for each pool."""

    def see(self, waiting: Collection[str], now: float) -> None:
        """Take note of the pools for which something waits now."""
        if waiting:
            self.resting = False
        self._since = {pool: self._since.get(pool, now) for pool in waiting}
        self._wanted.update(dict.fromkeys(waiting, now))

    def rest(self) -> None:
        """No pilots are kept, until something waits for one."""
        self.resting = True

    def arrived(self, pool: str, seconds: float) -> None:
        """The worker of a pilot arrived so long after its submission [s]."""
        self._leads[pool].append(max(0.0, seconds))

    def lead(self, pool: str) -> float:
        """How long it takes from the submission of a pilot to the arrival of its worker [s]: the median of the last."""
        seen = self._leads.get(pool)
        return statistics.median(seen) if seen else FIRST_LEAD

    def due(self, pools: Sequence[Pool], waiting: Waiting, posts: Mapping[str, Post], now: float) -> dict[str, int]:
        """How many pilots of each pool to submit now.

        Parameters
        ----------
        pools
            Those of which any may be submitted.
        """
        wanted = {pool.name: self._due(pool, waiting.get(pool.name, {}), posts, now) for pool in pools}
        most = self._plan.max_jobs
        return shared(wanted, None if most is None else max(0, most - self._roll.count()))

    def _due(self, pool: Pool, waiting: Mapping[Needs, int], posts: Mapping[str, Post], now: float) -> int:
        serving = [posts[one.id] for one in self._roll.serving(pool.name) if one.id in posts]
        coming = len(self._roll.coming(pool.name)) + self._roll.flying[pool.name]
        lead, margin = self.lead(pool.name), self._plan.margin
        notice = lead + margin + _DELAY + _shortest(pool, waiting)
        leaving = sum(post.ends - now < notice for post in serving)
        there = len(serving) + coming
        unknown = any(needs.seconds is None for needs in waiting)
        growth = self._growth[pool.name].allowed(unknown, there, now)
        taking = [post for post in serving if not self._stuck(post, now)]
        lost = self._roll.lost(pool.name, now - _LATELY)
        times = Times(margin, lead, ahead(there, lost, _LATELY))
        free = spaces(pool, taking, coming, times, now)
        lacks = lacking(pool, waiting, free, times, unknown=max(0, growth - there))
        due = self._steady[pool.name].of(lacks, there, now)
        if not self.resting:
            due = max(due, pool.minimum - (there - leaving))
        # Whoever is about to leave does not keep its replacement from being in the queue already.
        return max(0, min(due, pool.maximum - (self._roll.count(pool.name) - leaving)))

    def idle(self, posts: Mapping[str, Post], now: float) -> list[Pilot]:
        """Pilots that have had nothing to perform for too long, those first that end first.

        The last one stays as long as it holds results that something waits for.
        """
        found = []
        for pool in self._plan.pools:
            serving = [one for one in self._roll.serving(pool.name) if one.id in posts]
            spare = len(serving) - (0 if self.resting else pool.minimum)
            after = 0.0 if self.resting else self._plan.idle
            over = [one for one in serving if _idle_for(posts[one.id], now) >= after]
            found += sorted(over, key=lambda one: posts[one.id].ends)[: max(0, spare)]
        return found if self.resting else self._not_last(found, posts)

    def spent(self, posts: Mapping[str, Post], now: float) -> list[Pilot]:
        """Idle pilots that will get nothing more: too little of their time is left for anything that waits."""
        serving = [(one, posts[one.id]) for one in self._roll.there() if one.stage is Stage.arrived and one.id in posts]
        idle = [(pilot, post) for pilot, post in serving if not post.busy]
        over = {pilot.id for pilot, post in idle if post.ends - now <= self._plan.margin}
        stuck = [pilot for pilot, post in idle if self._stuck(post, now) and pilot.id not in over]
        # The one that takes its place could not be submitted while it is there.
        over |= {one.id for one in stuck if self._full(one.pool)}
        over |= {one.id for one in self._not_last([one for one in stuck if one.id not in over], posts, leaving=over)}
        return [pilot for pilot, _ in idle if pilot.id in over]

    def _not_last(self, going: list[Pilot], posts: Mapping[str, Post], leaving: Collection[str] = ()) -> list[Pilot]:
        """Idle pilots without the one whose results have nowhere else to go.

        Without them what waits for another pool would not wait any more: dask has them performed anew, on a new pilot,
        which then has as little to do until the one of the other pool comes.

        Parameters
        ----------
        leaving
            Ids of others that go now.
        """
        needed = [one for one in going if posts[one.id].needed]
        if not needed or self._full():
            return going
        away = {one.id for one in going}.union(leaving)
        if any(one.stage is Stage.arrived and one.id in posts and one.id not in away for one in self._roll.there()):
            return going
        kept = max(needed, key=lambda one: posts[one.id].ends)
        return [one for one in going if one is not kept]

    def _full(self, pool: str | None = None) -> bool:
        """Whether no other pilot can come as long as these are there: of a pool, or of any."""
        pools = [one for one in self._plan.pools if pool in (None, one.name)]
        if any(self._roll.coming(one.name) or self._roll.flying[one.name] for one in pools):
            return False
        most = self._plan.max_jobs
        enough = most is not None and self._roll.count() >= most
        return enough or all(self._roll.count(one.name) >= one.maximum for one in pools)

    def _stuck(self, post: Post, now: float) -> bool:
        """Whether a pilot does not take what waits."""
        return min(_idle_for(post, now), now - self._since.get(post.pool, now)) > STUCK

    def needless(self, now: float) -> list[Pilot]:
        """Pilots in the queue for which nothing has waited for too long."""
        found = []
        for pool in self._plan.pools:
            queued = [one for one in self._roll.coming(pool.name) if one.stage is Stage.submitted]
            since = max([self._wanted.get(pool.name, 0.0), *[one.submitted for one in queued]])
            if queued and (self.resting or now - since >= self._plan.idle):
                spare = self._roll.count(pool.name) - (0 if self.resting else pool.minimum)
                found += queued[::-1][: max(0, spare)]
        return found


def _shortest(pool: Pool, waiting: Mapping[Needs, int]) -> float:
    """So long before it stops work a pilot gets nothing more of what waits [s]; a tenth of its walltime at most."""
    known = [needs.seconds for needs in waiting if needs.seconds is not None]
    return min([*known, LOOKAHEAD, 0.1 * pool.walltime]) if known else 0.0


def _idle_for(post: Post, now: float) -> float:
    """Since when a pilot performs nothing; a busy one never did [s]."""
    return -1.0 if post.busy or post.idle_since is None else now - post.idle_since
