"""The journal's chapter of jobs and of the attempts at them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from operator import itemgetter

from daskflow.errors import NotFound
from daskflow.model.records import AttemptRecord, JobRecord
from daskflow.model.states import JobState
from daskflow.stores.chapter import Chapter, few
from daskflow.stores.dialect import Row
from daskflow.stores.patience import reading, writing

_JOB = ("run", "number", "key", "task", "fingerprint", "recipe", "upstream", "site", "state", "reason")
_ATTEMPT = (
    "run", "number", "attempt", "state", "start", "stop", "cpu", "memory", "host", "pid",
    "error_type", "error_message", "traceback", "log_file", "log_start", "log_stop",
    "place", "cores", "asked", "taken",
)  # fmt: skip
_STATE_ORDER = itemgetter(2, 3, 0, 1)
_EVERY = (0, 2**63 - 1)


class Jobs(Chapter):
    """What is remembered of the jobs of each run."""

    @writing
    def add_jobs(self, rows: Iterable[Row]) -> None:
        """Record jobs; one whose run and number are there already takes the new state and reason.

        Parameters
        ----------
        rows
            `(run, number, key, task, fingerprint, recipe, upstream, site, state, reason)`, where
            `upstream` is a JSON list of numbers.
        """
        self.database.many("add_jobs", rows)

    def set_states(self, run: str, states: Iterable[tuple[int, str, str]]) -> None:
        """Give jobs of a run `(number, state, reason)`; the last of equal numbers holds."""
        self.put_states((run, *row) for row in states)

    @writing
    def put_states(self, rows: Iterable[Row]) -> None:
        """Give jobs of any runs a state: `(run, number, state, reason)`."""
        latest = {(row[0], row[1]): row for row in rows}
        self.database.many("set_states", map(_STATE_ORDER, latest.values()))

    def add_attempts(self, run: str, attempts: Iterable[Row]) -> None:
        """Record attempts at jobs of a run; one that is there already stays as it is.

        Parameters
        ----------
        attempts
            The fields of `AttemptRecord` in their order, without `run`.
        """
        self.put_attempts((run, *row) for row in attempts)

    @writing
    def put_attempts(self, rows: Iterable[Row]) -> None:
        """Record attempts at jobs of any runs: all fields of `AttemptRecord` in their order."""
        self.database.many("add_attempts", rows)

    @reading
    def jobs(self, run: str, state: str | None = None, task: str | None = None) -> list[JobRecord]:
        """The jobs of a run in the order of the calls; of one state or task if these are given."""
        rows = self.database.rows("jobs", run=run, state=str(state or ""), task=task or "")
        return [job_record(row) for row in rows]

    @reading
    def job(self, run: str, ident: str | int) -> JobRecord:
        """Find one job of a run.

        Parameters
        ----------
        ident
            Its number, its key or what its key alone begins with, or the name of its task where that
            has one job in the run.

        Raises
        ------
        NotFound
            None fits, or several do; the message lists them.
        """
        number = int(ident) if str(ident).isdecimal() else -1
        stored = self.database.rows("job", run=run, number=min(number, _EVERY[1]))
        if not stored:
            stored = self.database.rows("job", run=run, number=self._number_of(run, str(ident)))
        return job_record(stored[0])

    @reading
    def attempts(self, run: str, number: int | None = None) -> list[AttemptRecord]:
        """The attempts at the jobs of a run, or at one job, in order."""
        first, last = _EVERY if number is None else (number, number)
        rows = self.database.rows("attempts", run=run, first=first, last=last)
        return [AttemptRecord(**dict(zip(_ATTEMPT, row, strict=True))) for row in rows]

    @reading
    def past(self, task: str, limit: int) -> list[tuple[str, float, int]]:
        """The latest attempts at jobs of a task that succeeded: fingerprint, duration [s], size of inputs [bytes].

        Parameters
        ----------
        limit
            How many at most; those of the newest runs first.
        """
        return [(row[0], row[1], row[2]) for row in self.database.rows("past", task=task, limit=limit)]

    @reading
    def counts(self, run: str) -> dict[str, dict[str, int]]:
        """How many jobs of each task are in each state; tasks in the order of their first calls."""
        counts: dict[str, dict[str, int]] = {}
        for task, state, count, _ in self.database.rows("counts", run=run):
            counts.setdefault(task, {})[state] = count
        return counts

    @reading
    def next_number(self, run: str) -> int:
        """The first number that no job of the run has."""
        return int(self.database.rows("next_number", run=run)[0][0])

    @reading
    def numbers(self, run: str) -> dict[str, int]:
        """The number of each key of the run; the first where a key has several."""
        return dict(self.database.rows("numbers", run=run))

    @reading
    def attempts_made(self, run: str) -> dict[int, int]:
        """The latest attempt at each job of the run that had any, by number: resuming counts on from it."""
        return dict(self.database.rows("attempts_made", run=run))

    @reading
    def earlier_job(self, record: JobRecord) -> JobRecord | None:
        """The job of an earlier run that was most probably this one, before something changed.

        Of the same task with another key: first one with the same recipe, then one with the same
        fingerprint, then one at the same place; within these of the same flow, with most lines of the
        recipe in common, and of the newest run.
        """
        rows = self.database.rows(
            "earlier_jobs",
            run=record.run,
            task=record.task,
            key=record.key,
            recipe=record.recipe,
            fingerprint=record.fingerprint,
            number=record.number,
        )
        earlier = [job_record(row) for row in rows]
        # `max` keeps the first of equals, and the query puts the newest first.
        return max(earlier, key=lambda job: _likeness(job, record), default=None)

    def _number_of(self, run: str, ident: str) -> int:
        names = self.database.rows("job_names", run=run)
        if not names:
            raise NotFound(f"No jobs of the run {run!r} are recorded in {self.database.place}.")
        fitting = _fitting(names, ident)
        if len(fitting) == 1:
            return int(fitting[0][0])
        if fitting:
            shown = few([f"{number} {task} {key[:10]} {state}" for number, key, task, state in fitting])
            raise NotFound(f"{ident!r} may be any of {len(fitting)} jobs of {run}: {shown}. Give a number.")
        tasks = few(list(dict.fromkeys(row[2] for row in names)))
        raise NotFound(f"Run {run} has no job {ident!r}. It has numbers up to {names[-1][0]}, of tasks {tasks}.")


def job_record(row: Row) -> JobRecord:
    """The record of one row of `jobs`."""
    fields = dict(zip(_JOB, row, strict=True))
    fields["upstream"] = tuple(json.loads(fields["upstream"]))
    fields["state"] = JobState(fields["state"])
    return JobRecord(**fields)


def _likeness(job: JobRecord, record: JobRecord) -> tuple[int, int]:
    """How similar the recipes are; of a same recipe nothing more needs to be compared."""
    if job.recipe == record.recipe:
        return 2, 0
    common = len(set(job.recipe.splitlines()) & set(record.recipe.splitlines()))
    return int(job.fingerprint == record.fingerprint), common


def _fitting(names: list[Row], ident: str) -> list[Row]:
    """Those whose key is this; else those whose key begins so or whose task is called so."""
    if not ident:
        return []
    exact = [row for row in names if row[1] == ident]
    return exact[:1] or [row for row in names if row[1].startswith(ident) or row[2] == ident]
