"""Follows submitted drivers from elsewhere: what their batch systems say of them, and cancels them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from daskflow.errors import DaskflowError
from daskflow.execution.submitting.driver import Driver, Stage, driver_of
from daskflow.model.records import RunRecord
from daskflow.sites.batch.system import BatchSystem, Phase
from daskflow.stores import Journal


class Following(NamedTuple):
    """A driver, and what its batch system says of it."""

    driver: Driver
    standing: str = ""
    """In words; empty where the batch system was not asked, or does not answer."""
    gone: bool = False
    """Whether its batch job, which should wait in the queue, is not there any more."""

    @property
    def waits(self) -> bool:
        """Whether its batch job waits in the queue, as far as anybody knows."""
        return self.driver.stage is Stage.queued and not self.gone


def follow(
    journal: Journal, records: Sequence[RunRecord], system_of: Callable[[str], BatchSystem]
) -> dict[str, Following]:
    """The submitted drivers of some runs, by run.

    Parameters
    ----------
    system_of
        Gives the batch system of a site, by its name.

    Notes
    -----
    Each batch system is asked once, and only where drivers wait in its queue; of those that began the journal tells.
    """
    drivers = {one.run: one for record in records if (one := driver_of(journal, record)) is not None}
    waiting: dict[str, list[Driver]] = {}
    for driver in drivers.values():
        if driver.stage is Stage.queued:
            waiting.setdefault(driver.site, []).append(driver)
    said: dict[str, tuple[str, bool]] = {}
    for site, some in waiting.items():
        try:
            said |= _ask(system_of(site), some)
        except DaskflowError:  # what is recorded can be told in any case
            continue
    return {run: Following(driver, *said.get(run, ())) for run, driver in drivers.items()}


def _ask(system: BatchSystem, drivers: Sequence[Driver]) -> dict[str, tuple[str, bool]]:
    standings = system.standings([driver.batch for driver in drivers])
    said = {}
    for driver in drivers:
        found = standings.get(driver.batch)
        if found is None or found.phase is Phase.ended:
            how = f" ({found.state})" if found is not None else ""
            said[driver.run] = (f"is gone{how}", True)
        elif found.phase is Phase.pending:
            why = f": {found.reason}" if found.reason not in ("", "None") else ""
            said[driver.run] = (f"waits in the queue{why}", False)
        else:
            said[driver.run] = (f"begins on {found.node}" if found.node else "begins", False)
    return said


def let_go(journal: Journal, record: RunRecord, system_of: Callable[[str], BatchSystem], *, ended: bool) -> str:
    """Cancel the batch job of a driver whose run was cancelled; gives its id, or nothing where none had to be.

    Parameters
    ----------
    ended
        Whether the end of the run is recorded: a driver that runs has written it, and ends by itself.

    Raises
    ------
    BatchError
        The batch system does not answer.
    """
    driver = driver_of(journal, record)
    if driver is None or (ended and driver.last is Stage.started):
        return ""
    system_of(driver.site).cancel([driver.batch])
    return driver.batch
