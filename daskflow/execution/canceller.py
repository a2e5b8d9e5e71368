"""Cancels jobs of one run: nothing of them is alive any more when they are `cancelled`."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from daskflow.execution.referee import Referee
from daskflow.execution.roster import Roster
from daskflow.graph.gate import Gatekeeper
from daskflow.graph.job import Job, above
from daskflow.graph.race import Racer
from daskflow.model.states import JobState


class Canceller:
    """Cancels the jobs of one run.

    Parameters
    ----------
    roster
        Keeps the jobs.
    referee
        Withdraws the questions that nobody needs any more.
    lock
        Guards the roster.
    on_end
        Called after each cancelling: something may go on, or be skipped, by that.

    Notes
    -----
    Safe for threads; to be called without the lock, since killing may take seconds.
    """

    def __init__(
        self, roster: Roster, referee: Referee, lock: threading.Condition, *, on_end: Callable[[], None]
    ) -> None:
        self.awaited: Counter[str] = Counter()
        """How many threads wait for each job, by key."""
        self.expected: Sequence[Job] = ()
        """The jobs whose results the run gives in the end."""
        self._roster = roster
        self._referee = referee
        self._lock = lock
        self._on_end = on_end
        self._killers: list[threading.Thread] = []

    def cancel(self, jobs: Sequence[Job], reason: str) -> None:
        """Stop jobs; returns when nothing of them is alive any more. Those that are final stay as they are.

        With a race its members are stopped, and with a job whose task returned jobs those, where nobody else needs
        them.
        """
        with self._lock:
            doomed = [own for job in jobs if not (own := self._roster.jobs[job.key]).state.final]
            doomed += self._expendable([other for job in doomed for other in self._parts(job)], doomed)
            runs = self._runs_of(doomed)
            nodes = self._roster.withdraw(doomed)
        for run in runs:
            run.cancel()
        alive = {key for site, keys in nodes.items() for key in set(keys) - site.kill(keys)}
        with self._lock:
            self._roster.cancel(doomed, f"{reason}; what it does could not be stopped" if alive else reason)
            self._lock.notify_all()
        try:
            self._referee.forget({job.key for job in doomed})
        finally:
            self._on_end()

    def _parts(self, job: Job) -> list[Job]:
        """What goes on only for a job: the members of a race, and what its task returned."""
        members = [up for up in job.upstream if isinstance(up, Job)] if isinstance(job.task, Racer) else []
        return [*members, *self._roster.sequels.made_by(job)]

    def _runs_of(self, doomed: Sequence[Job]) -> list[Any]:
        """The runs for which only these jobs stand."""
        keys = {job.key for job in doomed}
        runs = {job.arguments[0].run.id: job.arguments[0].run for job in doomed if isinstance(job.task, Gatekeeper)}
        for job in self._roster.jobs.values() if runs else ():
            if isinstance(job.task, Gatekeeper) and job.key not in keys and not job.state.final:
                runs.pop(job.arguments[0].run.id, None)
        return list(runs.values())

    def drop(self, losers: Sequence[Job], race: Job | None) -> None:
        """Cancel the losers of a race that nobody else needs, in the background: the others go on meanwhile."""
        with self._lock:
            doomed = self._expendable(losers, [race] if race is not None else [])
        if doomed:
            reason = f"{race.key if race is not None else 'the race'} was decided"
            killer = threading.Thread(target=self.cancel, args=(doomed, reason), daemon=True)
            self._killers.append(killer)
            killer.start()

    def _expendable(self, losers: Sequence[Job], gone: Sequence[Job]) -> list[Job]:
        """Those jobs, and the members of races among them, that nobody needs but what is gone."""
        wanted = {key for key, threads in self.awaited.items() if threads}.union([job.key for job in self.expected])
        left = [job for job in self._with_parts(losers) if not job.state.final and job.key not in wanted]
        doomed = {job.key: job for job in left}
        needed: set[str] = set(doomed)
        past = {job.key for job in gone}
        while doomed and needed:
            others = [job for job in self._roster.jobs.values() if job.key not in past and not job.state.final]
            users = [job for job in others if job.key not in doomed]
            needed = {up.key for job in users for up in [*above(job), *self._roster.sequels.made_by(job)]}
            needed &= doomed.keys()
            for key in needed:
                del doomed[key]
        return list(doomed.values())

    def _with_parts(self, jobs: Sequence[Job]) -> list[Job]:
        found: dict[str, Job] = {}
        stack = list(jobs)
        while stack:
            job = stack.pop()
            if job.key not in found:
                found[job.key] = job
                stack += self._parts(job)
        return list(found.values())

    def stop(self, state: JobState | None) -> None:
        """Kill everything that is not final; jobs get the given state, or stay as they are to be resumed."""
        with self._lock:
            nodes = self._roster.flights.by_site()
        for site, keys in nodes.items():
            site.kill(keys)
        with self._lock:
            self._roster.stop(state)
            self._lock.notify_all()
        if state is JobState.cancelled:
            self._referee.forget()

    def join(self, timeout: float | None = None) -> None:
        """Wait for what is being killed; for each no longer than some time [s]."""
        for killer in self._killers:
            killer.join(timeout)
