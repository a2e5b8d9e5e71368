"""Keeps agents at work that are batch jobs: those that ended while works wait are replaced, up to a point."""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from daskflow.errors import AgentsLost, BatchError, DaskflowError
from daskflow.execution.agents.outage import Outage
from daskflow.model.work import WorkStatus
from daskflow.sites.batch.service import ServiceStanding, ServiceState
from daskflow.sites.batch.services import Services
from daskflow.stores.buckets import Buckets
from daskflow.stores.buckets.shelf import Wanted

_EVERY = 2.0
"""It is looked how agents stand so often [s]."""
_SETTLED = 60.0
"""An agent that was there for so long can do what it is for: what failed before has mended [s]."""
_FEWEST = 3
"""So many ends in a row are too many, and ..."""
_EACH = 2
"""... so many for each agent that is wanted."""
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 300.0
"""After the first end in a row an agent is started again after the first time, then after twice as long ... [s]."""
_BLAMELESS = frozenset({"Cancelled", "NodeFailure", "Preempted", "WalltimeExceeded"})
"""Ends that say nothing of whether an agent can do what it is for."""
_LEASE = 60.0
"""[s]"""
_LINES = 20


class Left(NamedTuple):
    """Works that are not done."""

    queued: int
    """So many an agent could take."""
    held: int
    """So many are in the hands of an agent, or were in those of a lost one."""

    @property
    def told(self) -> str:
        """How many, in words.

        Examples
        --------
        >>> Left(2, 1).told, Left(1, 0).told
        ('2 works wait, and 1 work is in hand', '1 work waits')
        """
        waits = f"{_works(self.queued)} wait{'s' * (self.queued == 1)}"
        return waits + (f", and {_works(self.held)} {'is' if self.held == 1 else 'are'} in hand" if self.held else "")


class Tally(NamedTuple):
    """What became of agents."""

    ended: int = 0
    """So many ended as they were told to."""
    lost: int = 0
    """So many ended otherwise."""
    replaced: int = 0
    """So many were started in place of those."""
    killed: int = 0
    """So many somebody killed by their names; they are not replaced."""


class Upkeep:
    """Looks after agents that were started as services of a site.

    Parameters
    ----------
    services
        Those of the site.
    spawn
        Starts another agent of this name.
    buckets, wanted
        Where works come from, and which of them the agents take.
    tell
        Gets what happens, for people.
    lease
        What a lost agent had in hand comes back when this is over [s].

    Notes
    -----
    An agent that ends as `--idle` and `--lives` say, or that somebody kills by its name, is not replaced. One that ends
    otherwise is, as soon as works wait. What a lost agent had in hand is waited for until its lease is over, also where
    all agents have ended since; then agents are started for it. What ends one after another without having been there
    for a minute is replaced after longer and longer pauses, and not any more after twice as many ends as there are
    agents, at least three. Those that a batch system ended, as its walltime was over or its node failed, do not count.
    Where no works wait any more what was lost is no failure, if others ended as they were told to.
    """

    def __init__(
        self,
        services: Services,
        spawn: Callable[[str], object],
        buckets: Buckets,
        wanted: Wanted,
        tell: Callable[[str], object] = lambda text: None,
        *,
        lease: float = _LEASE,
    ) -> None:
        self.tally = Tally()
        """What became of the agents so far."""
        self._services = services
        self._spawn = spawn
        self._buckets = buckets
        self._wanted = wanted
        self._tell = tell
        self._lease = lease
        self._back = -math.inf
        """Until then works may come back that lost agents had in hand [s]."""
        self._told_held = self._came_back = False
        self._outage = Outage(tell)
        self._prefix = ""
        self._stop = threading.Event()
        self._living: set[str] = set()
        self._settled: set[str] = set()
        self._count = self._made = self._vacant = 0
        self._row: list[tuple[str, str]] = []
        """The latest ends one after another: why, and the end of the log."""
        self._rounds = 0
        """So often it was seen that the row is longer."""
        self._due = 0.0

    def keep(self, prefix: str, count: int, stop: threading.Event) -> Tally:
        """Look after the agents `prefix-0`, `prefix-1` ..., until they have ended and no works wait, or it is stopped.

        Raises
        ------
        AgentsLost
            They end as often as they are started.
        DaskflowError
            The store does not let us in.
        """
        self._prefix, self._count, self._made, self._stop = prefix, count, count, stop
        self._living = {f"{prefix}-{place}" for place in range(count)}
        while not stop.is_set():
            before = len(self._row)
            self._look()
            if len(self._row) > before:
                self._pause()
            if not self._living and not self._vacant and not self._reopen():
                break
            if self._vacant and not self._replace():
                break
            stop.wait(_EVERY)
        return self.tally

    def _look(self) -> None:
        """See which agents have ended."""
        found = {one.name: one for one in self._services.ls(f"^{re.escape(self._prefix)}-")}
        for name in sorted(self._living):
            one = found.get(name)
            if one is None or one.state is ServiceState.killed:
                self._leave(name, killed=1)
                self._tell(f"The agent {name} was killed. It is not replaced.")
            elif one.state is ServiceState.completed:
                self._leave(name, ended=1)
                self._tell(f"The agent {name} has ended as it was told to.")
            else:
                if name not in self._settled and _settled(one):
                    self._settled.add(name)
                    self._row, self._rounds = [], 0
                if one.state is ServiceState.failed or one.hopeless:
                    self._lost(one)

    def _leave(self, name: str, **counted: int) -> None:
        self._living.discard(name)
        self._add(**counted)

    def _add(self, **counted: int) -> None:
        self.tally = self.tally._replace(**{kind: getattr(self.tally, kind) + more for kind, more in counted.items()})

    def _lost(self, one: ServiceStanding) -> None:
        """An agent ended, and not as it was told to."""
        log = self._services.logs(one.name, _LINES)
        if one.hopeless:
            with suppress(BatchError):
                self._services.kill(one.name)
        self._leave(one.name, lost=1)
        self._vacant += 1
        # It was heard of for the last time before this moment.
        self._back, self._told_held = time.monotonic() + self._lease + _EVERY, False
        node = f" on {one.node}" if one.node else ""
        self._tell(f"The agent {one.name} was lost{node}: {one.reason}.")
        if one.error not in _BLAMELESS:
            self._row.append((one.reason, log))

    def _pause(self) -> None:
        """Start no agents for a while, the longer the more often that was in vain."""
        self._due = time.monotonic() + min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(self._rounds, 16))
        self._rounds += 1

    def _replace(self) -> bool:
        """Start agents in the place of others where works wait; False where there is nothing to wait for any more.

        Raises
        ------
        AgentsLost
        """
        left = self.left()
        if left is not None and not left.queued and not (left.held and self._may_come_back(left.held)):
            # All was done, by those that ended as they were told to; without such nobody could do anything.
            if not self._living and self._row and not self.tally.ended:
                raise self._given_up(left)
            return bool(self._living)
        if not self._living and len(self._row) >= max(_FEWEST, _EACH * self._count):
            raise self._given_up(left)
        if left is not None and time.monotonic() >= self._due:
            for _ in range(min(self._vacant, left.queued)):
                if not self._start(left):
                    break
        return True

    def _reopen(self) -> bool:
        """Whether, though all agents have ended, works may come back that lost ones had in hand; these get agents."""
        if time.monotonic() >= self._back:
            return False
        left = self.left()
        if left is None:
            return True
        # Where others wait, agents have ended as `--lives` says.
        if self._came_back or (left.held and not left.queued):
            self._vacant = min(self.tally.lost, left.queued + left.held)
        return self._vacant > 0

    def _may_come_back(self, held: int) -> bool:
        """Whether works in hand may be those of lost agents."""
        seconds = self._back - time.monotonic()
        if seconds > 0 and not self._living and not self._told_held:
            self._told_held = True
            self._tell(
                f"{_works(held)} {'is' if held == 1 else 'are'} in hand. What a lost agent had comes back when its "
                f"lease is over, within {seconds:.0f} s; that is waited for."
            )
        return seconds > 0

    def _start(self, left: Left) -> bool:
        """Start one agent; whether that was possible."""
        name = f"{self._prefix}-{self._made}"
        self._made += 1
        try:
            self._spawn(name)
        except BatchError as error:
            self._row.append((str(error).rstrip("."), ""))
            self._pause()
            self._tell(f"No agent can be started: {error}")
            return False
        self._vacant -= 1
        self._living.add(name)
        self._add(replaced=1)
        self._tell(f"The agent {name} is started in place of one that was lost: {left.told}.")
        return True

    def left(self) -> Left | None:
        """How many works there are for the agents, those that are in their hands too; None: the store does not say."""
        try:
            if not self._living:
                # Nobody else may look whose leases are over.
                self._came_back = False
                with suppress(DaskflowError):
                    if self._buckets.audit(None)["expired"]:
                        self._came_back = self._buckets.audit(None)["failed"] > 0
            # In this order: what is taken meanwhile is counted twice, and not left out.
            queued, held = (
                self._buckets.count({**self._wanted.query, "status": str(status)})
                for status in (WorkStatus.queued, WorkStatus.running)
            )
        except DaskflowError as error:
            if not error.transient:
                raise
            self._outage.wait(error, self._stop)
            return None
        self._outage.end()
        return Left(queued, held)

    def _given_up(self, left: Left | None) -> AgentsLost:
        reason, log = next((one for one in reversed(self._row) if one[1].strip()), self._row[-1])
        site = self._services.site
        works = "it is not known how many works wait" if left is None else left.told
        return AgentsLost(
            f"{len(self._row)} agents of the site {site!r} ended one after another; {works}. The last one: {reason}. "
            + (f"Its log ended with:\n{log.rstrip()}\n" if log.strip() else "Nothing was written to its log. ")
            + f"`daskflow batch ls --site {site}` lists them. Start agents again once that is mended."
        )


def _settled(one: ServiceStanding) -> bool:
    """Whether an agent was there for so long that it can do what it is for."""
    return one.started is not None and (one.ended or time.time()) - one.started > _SETTLED


def _works(count: int) -> str:
    return "1 work" if count == 1 else f"{count} works"
