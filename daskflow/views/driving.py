"""What the batch job of a submitted driver runs: `python -m daskflow.views.driving RUN`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from daskflow.errors import DaskflowError
from daskflow.execution.insight.recorded import continuation
from daskflow.execution.launcher import Order
from daskflow.execution.run import Run
from daskflow.execution.submitting.driver import Driver
from daskflow.execution.submitting.script import AGAIN, requeues
from daskflow.execution.submitting.shift import Alarm, begin, settle
from daskflow.execution.submitting.submission import submit_again
from daskflow.settings.front import choose, launcher
from daskflow.settings.options import Settings
from daskflow.views.exits import INTERRUPTED, exit_of
from daskflow.views.options import configured
from daskflow.views.running import see_through
from daskflow.views.submitting import queue_of
from daskflow.views.terminal import say


def drive(run: str, batch: str, ends: float | None, config: Path | None) -> int:
    """Go on with a run until it ends, or the time of its batch job is nearly over; gives the exit code.

    Parameters
    ----------
    batch
        Id of the batch job.
    ends
        When its walltime is over; seconds since the epoch [s].
    """
    settings = configured(config)
    choose(settings)
    project = launcher.project()
    record, driver = begin(project, run, batch)
    say(f"Driver of {run}: start {driver.starts + 1}, batch job {batch or driver.batch}")
    alarm = Alarm(ends, driver.shape.notice)
    try:
        code = _perform(run, alarm)
    except KeyboardInterrupt:
        code = INTERRUPTED
    alarm.end()
    if not settle(project, record.id, near=alarm.near):
        return code
    say("The time of the batch job is nearly over: it goes into the queue again.")
    return _again(run, driver, settings)


def _perform(run: str, alarm: Alarm) -> int:
    record, (flow, _), arguments = continuation(launcher.project(), run)

    def start(order: Order) -> Run:
        # Within `see_through`, which listens to the same signals in its own way.
        alarm.listen()
        return launcher.resume(flow, record, arguments, background=False, order=order)

    _, code = see_through(start, Order(), quiet=True)
    return code


def _again(run: str, driver: Driver, settings: Settings) -> int:
    if requeues(driver.system):
        return AGAIN
    project = launcher.project()
    sent = submit_again(project, project.journal.run(run), driver, queue_of(settings, driver.site))
    say(f"It goes on as the batch job {sent.batch}.")
    return INTERRUPTED


def main() -> int:
    """Read the command line, drive the run, and close everything."""
    parser = argparse.ArgumentParser()
    parser.add_argument("run")
    parser.add_argument("--batch", default="")
    parser.add_argument("--ends", type=float)
    parser.add_argument("--config", type=Path)
    given = parser.parse_args()
    try:
        return drive(given.run, given.batch, given.ends, given.config)
    except DaskflowError as error:
        say(str(error), error=True)
        return exit_of(error)
    finally:
        launcher.close()


if __name__ == "__main__":
    sys.exit(main())
