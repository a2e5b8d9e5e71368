"""Sees a run through in this process: shows how it goes on, minds Ctrl-C, and tells how it ended."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from daskflow.errors import DaskflowError, JobCancelled, RunInterrupted, StoreUnavailable
from daskflow.execution.launcher import Order
from daskflow.execution.run import Run
from daskflow.execution.worker.failures import describe
from daskflow.model.records import ReportRecord
from daskflow.model.states import RunState
from daskflow.views.exits import DONE, INTERRUPTED, exit_of
from daskflow.views.progress import Progress, counted, summed
from daskflow.views.terminal import say, show_json, show_table, stdout_kept_clean
from daskflow.views.units import duration, number, shortened

_METRICS = 20


def see_through(
    start: Callable[[Order], Run], order: Order, *, quiet: bool, as_json: bool = False, brief: bool = False
) -> tuple[Run, int]:
    """Execute a run in the main thread, so that breakpoints and Ctrl-C work, and tell how it ended.

    Parameters
    ----------
    start
        Executes the run, from an order.
    order
        What is said of it; who watches is added.
    quiet
        No progress is shown, but what the run asks.
    as_json
        Nothing is shown but JSON at the end.
    brief
        Neither the value nor the metrics are shown.

    Returns
    -------
    tuple
        The run and the exit code.
    """
    progress = Progress(quiet=quiet or as_json, error=as_json)

    def begin(run: Run) -> None:
        say(f"Run {run.id}", error=as_json)
        progress.begin(run)

    with stdout_kept_clean(when=as_json), _stoppable():
        try:
            run = start(order._replace(on_start=begin))
        except KeyboardInterrupt:
            if progress.run is None:
                raise
            run = progress.run
        finally:
            progress.end()
    if as_json:
        show_json(_outcome(run, progress.seconds))
    else:
        _tell(run, progress.seconds, brief=brief)
    return run, exit_code(run)


@contextmanager
def _stoppable() -> Iterator[None]:
    """Within the block the first Ctrl-C, or SIGTERM, ends the run cleanly; another one ends the process at once."""
    presses: list[int] = []

    def stop(signum: int, frame: FrameType | None) -> None:
        if presses:
            os._exit(INTERRUPTED)
        presses.append(signum)
        os.write(2, b"\nStopping; Ctrl-C again ends at once.\n")
        raise KeyboardInterrupt

    # A shell that starts a process in the background has it ignore Ctrl-C.
    for one in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(one) is not signal.SIG_IGN:
            signal.signal(one, stop)
    yield


def exit_code(run: Run) -> int:
    """The exit code for a run that has ended."""
    if run.state is RunState.succeeded:
        return DONE
    if run.state in (RunState.interrupted, RunState.cancelled):
        return INTERRUPTED
    return exit_of(error_of(run))


def error_of(run: Run) -> BaseException | None:
    """Why a run that has ended did not succeed."""
    try:
        run.result(timeout=0)
    except BaseException as error:
        return error
    return None


def _text_of(error: BaseException | None) -> str:
    if error is None:
        return ""
    return str(error) if isinstance(error, DaskflowError) else describe(error).traceback.rstrip()


def _outcome(run: Run, seconds: float) -> dict[str, Any]:
    good = run.state is RunState.succeeded
    return {
        "run": run.id,
        "flow": run.flow,
        "state": run.state,
        "seconds": seconds,
        "value": run.result(timeout=0) if good else None,
        "error": _text_of(error_of(run)),
        "counts": run.counts(),
        "metrics": [
            {"task": report.task, "key": report.key, "name": report.title, **report.data} for report in _metrics(run)
        ],
    }


def _metrics(run: Run) -> list[ReportRecord]:
    try:
        return [report for report in run.reports if report.kind == "metric"]
    except StoreUnavailable:  # what became of the run is known all the same
        return []


def _tell(run: Run, seconds: float, *, brief: bool) -> None:
    if run.state is not RunState.succeeded:
        error = error_of(run)
        if not isinstance(error, (RunInterrupted, JobCancelled)):
            say(_text_of(error), error=True)
        say(f"Run {run.id} {run.state} after {duration(seconds)}. Go on with it: daskflow resume {run.id}", error=True)
        if run.state is RunState.failed:
            say(f"See more: daskflow show {run.id}, daskflow logs {run.id} JOB, daskflow report {run.id}", error=True)
        return
    total = summed(counted(run))
    say(f"Run {run.id} succeeded in {duration(seconds)}: {sum(total.values())} jobs, {total['cached']} cached.")
    if brief:
        return
    value = run.result(timeout=0)
    if value is not None:
        say(shortened(value))
    show_metrics(_metrics(run))
    say("See more: daskflow report last")


def show_metrics(reports: list[ReportRecord]) -> None:
    """Print the metrics among some reports."""
    rows = [[report.task, report.title, number(report.data["value"]), report.data["unit"]] for report in reports]
    if rows:
        show_table(["task", "metric", "value", "unit"], rows[:_METRICS])
    if len(rows) > _METRICS:
        say(f"and {len(rows) - _METRICS} more metrics")
