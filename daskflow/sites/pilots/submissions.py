"""Submits pilots: several by one array, where that is wanted."""

from __future__ import annotations

from typing import NamedTuple

from daskflow.sites.batch.system import Ask, BatchSystem
from daskflow.sites.pilots.plan import SitePlan
from daskflow.sites.pilots.script import Meeting, pilot_ask, pilot_body
from daskflow.sites.pilots.starts import Notes, log_of
from daskflow.sites.pools import Pool


class Order(NamedTuple):
    """One submission."""

    pool: Pool
    ask: Ask

    @property
    def size(self) -> int:
        """So many pilots."""
        return self.ask.count

    def log(self, id: str) -> str:
        """Path of the log of one of them."""
        return log_of(self.ask.log, id)


class Desk:
    """Where pilots are submitted.

    Parameters
    ----------
    plan
        How the site is run.
    system
        Its batch system.
    notes
        The directory of the pilots.
    meeting
        Where they meet their driver.
    """

    def __init__(self, plan: SitePlan, system: BatchSystem, notes: Notes, meeting: Meeting) -> None:
        self.at_once: int | None = None if plan.arrays else 1
        """Not more pilots by one submission; None: no limit."""
        self._plan = plan
        self._system = system
        self._notes = notes
        self._meeting = meeting
        self._serial = 0

    def orders(self, pool: Pool, count: int, avoid: tuple[str, ...]) -> list[Order]:
        """Submissions of so many pilots that start on none of some nodes."""
        found = []
        while count > 0:
            size = min(count, self.at_once or count)
            self._serial += 1
            ask = pilot_ask(self._plan, pool, self._meeting, serial=self._serial, count=size)
            found.append(Order(pool, ask._replace(avoid=avoid)))
            count -= size
        return found

    def perform(self, order: Order) -> list[str]:
        """Submit; returns the ids. Blocks.

        Raises
        ------
        BatchError
            The batch system does not take it, or does not answer.
        """
        body = pilot_body(self._plan, order.pool, self._system, self._meeting)
        ids = self._system.submit(self._system.script(order.ask, body), order.ask)
        self._notes.submitted(ids)
        return ids
