"""Keeps the book of one run: turns what happens into rows of the journal."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from daskflow.execution.notices.events import EventHub
from daskflow.execution.plan import Prior
from daskflow.graph.job import Job
from daskflow.model.outcome import Outcome, ReportItem
from daskflow.model.states import JobState
from daskflow.stores import JournalWriter

_LONG_RECIPE = 4000


class Book:
    """Collects rows and hands them to the writer; what belongs together goes into one transaction.

    Parameters
    ----------
    writer
        Writes them.
    run
        Id of the run.
    numbers
        The numbers that jobs of the run have already, by key: from before it was resumed.
    hub
        Hears of the events at once; None: nobody does.

    Notes
    -----
    Not safe for threads: its engine calls it with its lock held.
    """

    def __init__(
        self, writer: JournalWriter, run: str, numbers: Mapping[str, int], *, hub: EventHub | None = None
    ) -> None:
        self.alone: set[str] = set()
        """Keys of jobs that must not be bundled: a bundle with them was lost."""
        self.replaced: set[str] = set()
        """Keys of results that are recorded, but have to be replaced: their bytes are gone."""
        self._writer = writer
        self._run = run
        self._hub = hub
        self._numbers = dict(numbers)
        self._free = itertools.count(max(self._numbers.values(), default=-1) + 1)
        self._codes: set[str] = set()
        self._rows: dict[str, list[Any]] = {}
        self._results: list[tuple[Job, Outcome, float]] = []

    def number(self, key: str) -> int:
        """The number of a job: the one it had before the run was resumed, or the next."""
        known = self._numbers.get(key)
        return next(self._free) if known is None else known

    def planned(self, jobs: Sequence[Job], needed: Iterable[Job], site: str) -> None:
        """Jobs were planned."""
        rows = [
            (
                self._run,
                job.number,
                job.key,
                job.task.policy.name,
                job.fingerprint,
                job.recipe[:_LONG_RECIPE],
                json.dumps([up.number for up in job.upstream if isinstance(up, Job)]) if job.upstream else "[]",
                job.site or site,
                str(job.state),
                job.reason,
            )
            for job in jobs
        ]
        inside = {job.key for job in jobs}
        codes = {job.fingerprint: job for job in jobs if job.fingerprint not in self._codes}
        self._codes.update(codes)
        batch: dict[str, list[Any]] = {"jobs": rows}
        if codes:
            batch["fingerprints"] = [
                (code, job.task.policy.name, json.dumps(job.task.fingerprint().parts)) for code, job in codes.items()
            ]
        recalled = [job for job in needed if job.key not in inside]
        if recalled:
            batch["states"] = [(self._run, job.number, str(job.state), job.reason) for job in recalled]
        self._writer.put_together(batch)

    def running(self, jobs: Iterable[Job]) -> None:
        """Jobs are being performed."""
        rows = [(self._run, job.number, "running", "") for job in jobs]
        if rows:
            self._writer.put("states", rows)

    def state(self, job: Job) -> None:
        """A job changed its state without an attempt."""
        self._add("states", (self._run, job.number, str(job.state), job.reason))

    def ended(self, job: Job, outcome: Outcome, usual: float, *, remember: bool = True) -> None:
        """An attempt ended.

        Parameters
        ----------
        remember
            Whether the result may serve other runs, where the task's policy says so.
        usual
            How long a job of its task takes [s]: what is recorded where nothing was performed, since the journal
            learns durations from results.
        """
        if outcome.state in (JobState.succeeded, JobState.failed):
            self._add("attempts", _attempt_row(self._run, job.number, outcome))
        if outcome.value is not None and remember and job.task.policy.cache is not False:
            performed = outcome.state == JobState.succeeded
            self._results.append((job, outcome, outcome.stop - outcome.start if performed else usual))
            if job.key in self.replaced:
                self._add("forgotten", (job.key,))
            for held in outcome.value.holds:
                self._add("holdings", (outcome.value.digest, held))
        if outcome.final:
            self._add("states", (self._run, job.number, outcome.state, outcome.reason))
        # Those of an attempt that is followed by another would stand among the reports of that one.
        if outcome.reports and outcome.final:
            name = job.task.policy.name
            for ordinal, item in enumerate(outcome.reports):
                self._add(
                    "reports", (job.key, ordinal, item.kind, item.title, item.data, item.content, name, outcome.stop)
                )
        if outcome.state in (JobState.failed, JobState.skipped):
            data = json.dumps({"task": job.task.policy.name, "reason": _why(outcome)})
            kind = f"job.{outcome.state}" if outcome.final else "attempt.failed"
            self.emitted(job.key, kind, data, outcome.stop)

    def event(self, kind: str, /, **data: Any) -> None:
        """Something happened to the run."""
        self.emitted("", kind, json.dumps(data), time.time())

    def emitted(self, key: str, kind: str, data: str, time: float) -> None:
        """Something happened in a job, or in the flow itself: every event of the run passes here.

        Parameters
        ----------
        key
            Key of the job; empty for the flow.
        data
            JSON text of an object.
        time
            Seconds since the epoch [s].
        """
        self._add("events", (self._run, kind, time, key, data))
        if self._hub is not None:
            self._hub.tell(self._run, kind, time, key, data)

    def reported(self, flow: str, ordinal: int, item: ReportItem) -> None:
        """The body of the flow made a report, its how-manieth."""
        self._add("reports", (self._run, ordinal, item.kind, item.title, item.data, item.content, flow, time.time()))

    def _add(self, kind: str, row: tuple[Any, ...]) -> None:
        self._rows.setdefault(kind, []).append(row)

    def write(self, priors: Mapping[str, Prior]) -> None:
        """Hand over what was collected, as one transaction."""
        if not self._rows and not self._results:
            return
        rows, self._rows = self._rows, {}
        results, self._results = self._results, []
        rows["results"] = [_result_row(self._run, *result, priors) for result in results]
        self._writer.put_together(rows)


def _why(outcome: Outcome) -> str:
    if outcome.failure is not None:
        return f"{outcome.failure.type}: {outcome.failure.message}"[:500]
    return outcome.reason


def _attempt_row(run: str, number: int, outcome: Outcome) -> tuple[Any, ...]:
    failure, log = outcome.failure, outcome.log
    return (
        run,
        number,
        outcome.attempt,
        outcome.state,
        outcome.start,
        outcome.stop,
        outcome.cpu,
        outcome.memory,
        outcome.host,
        outcome.pid,
        failure.type if failure else "",
        failure.message if failure else "",
        failure.traceback if failure else "",
        log.file if log else "",
        log.start if log else 0,
        log.stop if log else 0,
        outcome.place,
        outcome.cores,
        outcome.asked,
        outcome.taken,
    )


def _result_row(run: str, job: Job, outcome: Outcome, seconds: float, priors: Mapping[str, Prior]) -> tuple[Any, ...]:
    prior = priors.get(job.key)
    value = outcome.value
    assert value is not None
    return (
        job.key,
        job.task.policy.name,
        job.fingerprint,
        prior.form if prior else None,
        outcome.inputs,
        value.digest,
        value.size,
        value.format,
        value.inline,
        run,
        outcome.stop,
        seconds,
        outcome.memory,
    )
