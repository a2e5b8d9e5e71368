"""Submits pilots: several by one array, where that is wanted."""

from __future__ import annotations

import logging
from typing import NamedTuple

from daskflow.sites.batch.system import Ask, BatchSystem
from daskflow.sites.pilots.plan import SitePlan
from daskflow.sites.pilots.script import Meeting, pilot_ask, pilot_body
from daskflow.sites.pilots.starts import Notes, log_of
from daskflow.sites.pools import Pool

_LOG = logging.getLogger(__name__)


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
        self.at_once: int | None = None
        """Not more pilots by one submission, since larger ones were refused; None: no limit."""
        self.unanswered: list[Order] = []
        """Submissions of which nobody knows whether they were heard. They are made once more just as they were: so the
        batch system finds what is there already."""
        self.performed: Order | None = None
        """What is being submitted now."""
        self._unwritten: list[str] = []
        self._plan = plan
        self._system = system
        self._notes = notes
        self._meeting = meeting
        self._serial = 0

    def orders(self, pool: Pool, count: int, avoid: tuple[str, ...]) -> list[Order]:
        """Submissions of so many pilots that start on none of some nodes.

        Since larger ones were refused it is a single one: how it fares tells how many the next may be.
        """
        if self._plan.arrays and self.at_once is not None:
            count = min(count, self.at_once)
        found = []
        while count > 0:
            size = count if self._plan.arrays else 1
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
        self.performed = order
        try:
            ids = self._system.submit(self._system.script(order.ask, body), order.ask)
        finally:
            self.performed = None
        self._write_down(ids)
        return ids

    def _write_down(self, ids: list[str]) -> None:
        self._unwritten += ids
        try:
            self._notes.submitted(self._unwritten)
        except OSError as error:  # they are there all the same, and are written down with the next ones
            _LOG.warning("Pilots that were submitted cannot be written down: %s", error)
        else:
            self._unwritten = []

    def taken(self, order: Order) -> None:
        """The batch system took a submission: the next may be larger."""
        if self.at_once is not None and order.size >= self.at_once:
            self.at_once = 2 * order.size

    def refused(self, order: Order) -> bool:
        """The batch system refused a submission; whether fewer at once may do: for arrays there are limits too."""
        if order.size > 1:
            self.at_once = order.size // 2
        return order.size > 1
