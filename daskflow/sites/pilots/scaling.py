"""How many pilots a pool lacks for what waits: functions of plain values, which ask nobody.

Work is measured by how long it takes. What takes longer than it is looked `ahead` wants a slot of its own now; of what
is shorter a slot performs one after the other, so that it wants as many slots as are busy with it for so long. What
nobody knows anything of wants a slot of its own too, but not all at once: see `Growth`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from daskflow.model.needs import Needs
from daskflow.sites.pilots.crew import Post
from daskflow.sites.pools import Pool

LOOKAHEAD = 60.0
"""A pilot that has not so much to perform is not worth the start [s]."""
_LEAST = 5.0
"""However short pilots live, their starts cost so much [s]."""
_STEP = 15.0
"""Pilots for work of unknown duration are doubled after so long without any news [s]."""
_STEADY = 2.0
"""Where pilots serve already, others are asked for only if they were lacking for so long [s]."""
_UNKNOWN_PART = 0.25
_UNKNOWN_LONG = 600.0
"""What nobody knows anything of begins on a pilot that has this part of its walltime left, or so much [s]."""


class Space(NamedTuple):
    """What one pilot will have free for what waits."""

    cores: int
    memory: int
    """[bytes]"""
    gpus: int
    left: float
    """How long what begins there may take [s]."""
    window: float
    """For so long of the time that counts each of its slots is free [s]."""


class Times(NamedTuple):
    """What counts for the pilots of one pool [s]."""

    margin: float
    """So long before its end a pilot performs nothing any more."""
    lead: float
    """So long it takes from the submission of a pilot to the arrival of its worker: what is done until then needs no
    other pilot, and a pilot that ends until then is to be replaced."""
    ahead: float = LOOKAHEAD
    """So far it is looked ahead: see `ahead`."""


def ahead(serving: int, lost: int, span: float) -> float:
    """How far to look ahead [s]: not farther than pilots live where they get lost.

    A single pilot would be thought to perform all that is left, and with its loss all of that begins again.

    Parameters
    ----------
    serving
        How many pilots of a pool are there.
    lost
        So many of them were lost, not sent away,
    span
        within this time [s].
    """
    return LOOKAHEAD if not lost else min(LOOKAHEAD, max(_LEAST, max(1, serving) * span / lost))


class _Demand(NamedTuple):
    """What waits, of one size and about one duration."""

    cores: int
    memory: int
    gpus: int
    seconds: float | None
    """How long each takes [s]."""
    number: int
    short: bool
    """Whether a slot performs several, one after the other."""


class Growth:
    """How many pilots work of unknown duration may have.

    As many as there are, at least one; twice as many after 15 s without any news, and so on. Short jobs tell how long
    they take before that, and long ones get all their pilots within a minute or two, however long the queue is.
    """

    def __init__(self) -> None:
        self._since: float | None = None
        self._base = 1

    def allowed(self, unknown: bool, there: int, now: float) -> int:
        """How many pilots may be there.

        Parameters
        ----------
        unknown
            Whether anything waits of which nobody knows how long it takes.
        there
            So many pilots are there, or are coming.
        """
        if not unknown:
            self._since = None
            return 0
        if self._since is None or now < self._since:
            self._since, self._base = now, max(1, there)
        return int(self._base * 2 ** min(30, (now - self._since) // _STEP))


class Steady:
    """How many pilots have been lacking for some time, so that what is placed a moment later asks for none."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._least = 0

    def of(self, lacking: int, there: int, now: float) -> int:
        """The least that was lacking; at once where no pilot is there."""
        if lacking <= 0:
            self._since = None
            return 0
        if self._since is None:
            self._since, self._least = now, lacking
        self._least = min(self._least, lacking)
        if there and now - self._since < _STEADY:
            return 0
        self._since = None
        return self._least


def spaces(pool: Pool, posts: Iterable[Post], coming: int, times: Times, now: float) -> list[Space]:
    """What the pilots of a pool will have free for what waits, those that have arrived and those that are coming.

    Parameters
    ----------
    posts
        Those that have arrived, and get work.
    """
    found = []
    for post in posts:
        free = _all_free(post, now, times.lead)
        begins = now if free is None else free
        left = post.ends - times.margin - begins
        window = min(left, now + times.lead + times.ahead - begins)
        size = (post.cores, post.memory, post.gpus) if free is None else (pool.cores, pool.memory, pool.gpus)
        if left > 0:
            found.append(Space(*size, left, window))
    return found + [fresh(pool, times)] * coming


def _all_free(post: Post, now: float, lead: float) -> float | None:
    """When nothing is performed by a pilot any more; None where nobody knows, or others would come before."""
    if not post.busy:
        return now
    if post.free_at is None or post.free_at > now + lead:
        return None
    return max(now, post.free_at)


def fresh(pool: Pool, times: Times) -> Space:
    """What a pilot that is yet to come will have free."""
    left = max(1.0, pool.walltime - times.margin)
    return Space(pool.cores, pool.memory, pool.gpus, left, min(left, times.ahead))


def lacking(pool: Pool, waiting: Mapping[Needs, int], there: Sequence[Space], times: Times, *, unknown: int) -> int:
    """How many more pilots of a pool are worth having for what waits.

    Parameters
    ----------
    waiting
        How many nodes with each needs go to this pool; a single one of each fits into a fresh pilot.
    there
        What its pilots will have free.
    unknown
        Not more pilots are asked for by nodes of which nobody knows how long they take.
    """
    empty = fresh(pool, times)
    most = empty.left
    rooms = [_Room(space, most) for space in there]
    asked = 0
    for demand in _demands(pool, waiting, times.ahead):
        left: float = demand.number if not demand.short else demand.number * (demand.seconds or 0.0)
        for room in rooms:
            left = room.absorb(demand, left)
        allowed = unknown if demand.seconds is None else pool.maximum
        # A remainder of seconds by rounding is no work.
        while left > 1e-6 and asked < min(allowed, pool.maximum):
            room = _Room(empty, most)
            after = room.absorb(demand, left)
            if after >= left:  # not even an empty one takes it
                break
            rooms.append(room)
            asked, left = asked + 1, after
    return asked


def _demands(pool: Pool, waiting: Mapping[Needs, int], ahead: float) -> list[_Demand]:
    """What waits, the largest first; what is short is taken together by its size."""
    exact: dict[tuple[int, int, int, float | None], int] = {}
    short: dict[tuple[int, int, int], tuple[float, int]] = {}
    for needs, count in waiting.items():
        size = (needs.cores, pool.share(needs), needs.gpus)
        if needs.seconds is not None and needs.seconds < ahead:
            total, before = short.get(size, (0.0, 0))
            short[size] = total + max(needs.seconds, 1e-3) * count, before + count
        else:
            # There may be as many durations as nodes: those within a tenth count as equal.
            seconds = None if needs.seconds is None else 1.1 ** math.ceil(math.log(needs.seconds, 1.1))
            exact[*size, seconds] = exact.get((*size, seconds), 0) + count
    found = [_Demand(*key, count, short=False) for key, count in exact.items()]
    found += [_Demand(*size, total / count, count, short=True) for size, (total, count) in short.items()]
    # What is known comes first: what is not may only use what that leaves.
    return sorted(found, key=lambda one: (one.seconds is None, one.short, -one.gpus, -one.memory, -one.cores))


class _Room:
    """What one pilot has free while the demands are dealt out."""

    def __init__(self, space: Space, most: float) -> None:
        self._cores, self._memory, self._gpus = space.cores, space.memory, space.gpus
        self._left = space.left
        self._window = space.window
        self._most = most

    def absorb(self, demand: _Demand, left: float) -> float:
        """Take of a demand what there is room for; returns what is left: nodes, or seconds of short ones."""
        slots = self._slots(demand)
        if left <= 0 or slots <= 0 or not self._in_time(demand.seconds):
            return left
        each = self._window if demand.short else 1.0
        if each <= 0:
            return left
        taken = min(slots, math.ceil(left / each - 1e-9))
        self._cores -= taken * demand.cores
        self._memory -= taken * demand.memory
        self._gpus -= taken * demand.gpus
        return max(0.0, left - taken * each)

    def _slots(self, demand: _Demand) -> int:
        ways = [self._cores // demand.cores]
        ways += [self._memory // demand.memory] if demand.memory else []
        ways += [self._gpus // demand.gpus] if demand.gpus else []
        return min(ways)

    def _in_time(self, seconds: float | None) -> bool:
        if seconds is None:
            return self._left >= min(_UNKNOWN_PART * self._most, _UNKNOWN_LONG)
        # What is longer than any pilot goes to a fresh one.
        return self._left >= min(seconds, self._most - 1.0)


def shared(lacking: Mapping[str, int], free: int | None) -> dict[str, int]:
    """How many pilots each pool gets where a site allows so many more; one after the other, so that all get some."""
    if free is None or sum(lacking.values()) <= free:
        return {pool: count for pool, count in lacking.items() if count > 0}
    given = dict.fromkeys(lacking, 0)
    while free > 0:
        for pool, count in lacking.items():
            if given[pool] < count and free > 0:
                given[pool] += 1
                free -= 1
    return {pool: count for pool, count in given.items() if count}
