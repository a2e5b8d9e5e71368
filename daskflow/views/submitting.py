"""Runs whose driver is a batch job: submitted by `run --submit`, followed by `runs`, `show` and `logs`, cancelled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from daskflow.errors import ArgumentsInvalid, DaskflowError, RunBusy
from daskflow.execution.project import Project
from daskflow.execution.submitting.driver import Driver, Stage
from daskflow.execution.submitting.following import Following, follow, let_go
from daskflow.execution.submitting.submission import Queue, Wish, call_of, shape_of, submit_driver
from daskflow.model.quantities import memory as read_memory
from daskflow.model.records import RunRecord
from daskflow.settings.options import Settings, variables_to_hand_on
from daskflow.settings.pilots import batch_of
from daskflow.settings.walltime import walltime as read_walltime
from daskflow.views.terminal import run_fields, say, show_json


class Submit(NamedTuple):
    """What the options of a command say of the batch job of a driver."""

    at: str | None = None
    pool: str | None = None
    walltime: str | None = None
    cores: int | None = None
    memory: str | None = None

    def wish(self) -> Wish:
        """The same in plain values.

        Raises
        ------
        ArgumentsInvalid
            A text is no amount.
        """
        try:
            return Wish(
                self.pool,
                None if self.walltime is None else read_walltime(self.walltime),
                self.cores,
                None if self.memory is None else read_memory(self.memory),
            )
        except ValueError as error:
            raise ArgumentsInvalid(f"--walltime or --memory does not fit: {error}.") from None


def queue_of(settings: Settings, site: str) -> Queue:
    """The batch system of a site."""
    return Queue(site, *batch_of(site, settings))


def queue_for(settings: Settings, wish: Submit, site: str) -> Queue:
    """The batch system to which a driver goes: that of the site, unless the options say so."""
    return queue_of(settings, wish.at or site)


def submit(
    project: Project, queue: Queue, submit: Submit, record: Callable[[], RunRecord], *, config: Path | None
) -> tuple[RunRecord, Driver]:
    """Submit the driver of a run.

    Parameters
    ----------
    record
        Records the run; called when everything else fits.
    config
        The configuration file that was named.
    """
    shape = shape_of(submit.wish(), queue)
    made = record()
    try:
        return made, submit_driver(
            project, made, queue, shape, call_of(made.id, queue.plan, config, variables_to_hand_on())
        )
    except DaskflowError:
        say(f"Run {made.id} is recorded and not submitted. Try again: daskflow resume {made.id} --submit", error=True)
        raise


def tell_submitted(record: RunRecord, driver: Driver, *, as_json: bool) -> None:
    """Tell how a submitted run is followed."""
    if as_json:
        show_json(run_fields(record) | {"driver": driver_fields(driver)})
        return
    say(
        f"Run {record.id}",
        f"Its driver is the batch job {driver.batch} at {driver.site} (pool {driver.shape.pool}). Follow it: "
        f"daskflow show {record.id}, daskflow logs {record.id} --driver; stop it: daskflow cancel {record.id}",
    )


def refuse_queued(project: Project, settings: Settings, record: RunRecord) -> None:
    """See that no driver of a run waits in the queue already.

    Raises
    ------
    RunBusy
        One does.
    """
    if queued := drivers_of(project, settings, [record]).queued(record.id):
        raise RunBusy(
            f"The run {record.id} has a driver already: {queued}. Wait for it, or cancel it first: "
            f"daskflow cancel {record.id}"
        )


def driver_fields(driver: Driver, standing: str = "") -> dict[str, Any]:
    """A driver as JSON shows it."""
    return {
        "batch": driver.batch,
        "site": driver.site,
        "system": driver.system,
        "pool": driver.shape.pool,
        "stage": driver.stage,
        "starts": driver.starts,
        "node": driver.node,
        "standing": standing,
        "log": str(driver.folder.log),
        "script": str(driver.script),
    }


class Drivers:
    """The submitted drivers among those of some runs, to be shown.

    Parameters
    ----------
    found
        By run.
    """

    def __init__(self, found: Mapping[str, Following]) -> None:
        self._found = found

    @property
    def columns(self) -> list[str]:
        """Columns of a table of runs."""
        return ["driver"] if self._found else []

    def cells(self, run: str) -> list[str]:
        """What stands in these columns for a run."""
        return [told(self._found[run]) if run in self._found else ""] if self._found else []

    def fields(self, run: str) -> dict[str, Any]:
        """What JSON says of the driver of a run; nothing of one that was not submitted."""
        found = self._found.get(run)
        return {} if found is None else {"driver": driver_fields(found.driver, found.standing)}

    def queued(self, run: str) -> str:
        """Where the driver of a run waits in a queue, how; nothing of one that does not."""
        found = self._found.get(run)
        return told(found) if found is not None and found.waits else ""

    def show(self, run: str) -> None:
        """Print where the driver of a run stands."""
        found = self._found.get(run)
        if found is not None:
            say(f"driver:    {told(found)}; log {found.driver.folder.log}")
            gone = f"Submit it anew: daskflow resume {run} --submit" if found.gone else ""
            say(*[text for text in (found.driver.stuck, gone) if text], style="yellow")

    def show_log(self, run: str) -> None:
        """Print the end of what the driver of a run printed.

        Raises
        ------
        ArgumentsInvalid
            No driver of it was submitted.
        """
        found = self._found.get(run)
        if found is None:
            raise ArgumentsInvalid(f"The driver of the run {run} was no batch job: what it printed was not kept.")
        text = found.driver.folder.said().rstrip("\n")
        say(text or f"The driver has printed nothing yet: {told(found)}.")


def drivers_of(project: Project, settings: Settings, records: Sequence[RunRecord]) -> Drivers:
    """The submitted drivers among those of some runs; batch systems are asked for those that wait."""
    return Drivers(follow(project.journal, records, lambda site: queue_of(settings, site).system))


def told(following: Following) -> str:
    """A driver in a line."""
    driver = following.driver
    job = f"batch job {driver.batch} at {driver.site}"
    if driver.stage is Stage.queued:
        waits = following.standing or "waits in the queue"
        again = f", for start {driver.starts + 1}" if driver.starts else ""
        return f"{job} {waits}{again}"
    if driver.stage is Stage.started:
        return f"{job} on {driver.node}, start {driver.starts}"
    return f"{job}, {driver.starts} start{'s' * (driver.starts != 1)}"


def cancel_driver(project: Project, settings: Settings, record: RunRecord, *, ended: bool) -> None:
    """Cancel the batch job of a run that was cancelled, where there is one that waits, or does not end by itself.

    Parameters
    ----------
    ended
        Whether the driver has written the end of the run, or never began.
    """
    try:
        found = let_go(project.journal, record, lambda site: queue_of(settings, site).system, ended=ended)
    except DaskflowError as error:
        say(f"The batch job of its driver could not be cancelled: {error}", error=True)
        return
    if found:
        say(f"The batch job {found} of its driver is cancelled.")
