"""What one pilot has free, and what it performs."""

from __future__ import annotations

import time
from typing import NamedTuple

from daskflow.model.needs import Needs
from daskflow.sites.pilots.crew import Post
from daskflow.sites.pools import Pool


class Stay(NamedTuple):
    """One node that a pilot performs."""

    needs: Needs
    since: float
    """Seconds since the epoch [s]."""
    expected: float | None
    """How long it is thought to take [s]."""


class Room:
    """What one pilot has free, and what it performs.

    Parameters
    ----------
    pool
        The pool of the pilot.
    id, node, address
        Id of its batch job, the node on which it is, and the address of its worker.
    ends
        When its walltime is over [s since the epoch].

    Notes
    -----
    Not safe for threads: the scheduler's alone uses it.
    """

    def __init__(self, pool: Pool, id: str, *, node: str, address: str, ends: float) -> None:
        self.pool = pool
        self.id = id
        self.node = node
        self.address = address
        self.ends = ends
        self.arrived = time.time()
        self.closed = False
        """Whether it gets nothing more."""
        self.dismissed = False
        """Whether it was sent away."""
        self.warned = False
        """Whether the batch system told it that it ends soon."""
        self.needed = False
        """Whether it alone holds what others wait for."""
        self.stays: dict[str, Stay] = {}
        self._cores, self._memory, self._gpus = pool.cores, pool.memory, pool.gpus
        self._idle_since: float | None = self.arrived

    def left(self, margin: float) -> float:
        """How long what begins now may take [s]."""
        return self.ends - margin - time.time()

    def holds(self, needs: Needs) -> bool:
        """Whether there is room for a node now."""
        return (
            not self.closed
            and needs.cores <= self._cores
            and needs.gpus <= self._gpus
            and self.pool.share(needs) <= self._memory
        )

    def in_time(self, expected: float | None) -> bool:
        """Whether a node would have ended before what is performed here now."""
        now = time.time()
        return expected is not None and now + expected <= max([now, *self._known_ends()])

    def free_at(self) -> float | None:
        """When what it performs now will have ended [s since the epoch]; None: nobody knows."""
        now, ends, busy = time.time(), self._known_ends(), len(self.stays)
        # Of what takes longer than expected nobody knows anything any more.
        return None if len(ends) < busy or min(ends, default=now) < now else max([now, *ends])

    def _known_ends(self) -> list[float]:
        # A copy: the scheduler's thread may change it meanwhile.
        return [stay.since + stay.expected for stay in list(self.stays.values()) if stay.expected is not None]

    def worked(self, stay: Stay) -> float:
        """How long a node was performed until now [s]."""
        return time.time() - stay.since

    def take(self, key: str, needs: Needs, expected: float | None) -> None:
        """A node is given to it."""
        self.stays[key] = Stay(needs, time.time(), expected)
        self._change(needs, -1)
        self._idle_since = None

    def leave(self, key: str) -> Stay | None:
        """A node is not performed here any more; None where it was not."""
        stay = self.stays.pop(key, None)
        if stay is not None:
            self._change(stay.needs, 1)
            if not self.stays:
                self._idle_since = time.time()
        return stay

    def warn(self) -> None:
        """The batch system told it that it ends soon: it gets nothing more."""
        self.closed = self.warned = True

    def _change(self, needs: Needs, sign: int) -> None:
        self._cores += sign * needs.cores
        self._memory += sign * self.pool.share(needs)
        self._gpus += sign * needs.gpus

    def post(self) -> Post:
        """What the fleet is told of it."""
        return Post(
            self.id,
            self.pool.name,
            len(self.stays),
            self._idle_since,
            # A fleet replaces who ends now, and sends it away as soon as it performs nothing.
            min(self.ends, time.time()) if self.warned else self.ends,
            cores=self._cores,
            memory=self._memory,
            gpus=self._gpus,
            node=self.node,
            address=self.address,
            free_at=self.free_at(),
            needed=self.needed and not self.stays,
        )
