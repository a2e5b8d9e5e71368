"""Makes the jobs and starts the flows that tasks returned, and completes the results of these tasks."""

from __future__ import annotations

import threading
from typing import Any

from daskflow.errors import JobFailed
from daskflow.execution.holding.sequels import Left
from daskflow.execution.referee import Ruling
from daskflow.execution.results import Results, failure_of
from daskflow.execution.roster import Roster
from daskflow.execution.worker.failures import describe
from daskflow.graph.gate import Gatekeeper
from daskflow.graph.host import CURRENT_HOST, CURRENT_SITE
from daskflow.graph.job import Job
from daskflow.graph.lenient import Lenient
from daskflow.graph.sequel import Begin, complete, jobs_of, unfold
from daskflow.graph.structure import transform
from daskflow.model.outcome import Outcome


class Unfolder:
    """Goes on with what tasks returned.

    Parameters
    ----------
    host
        The engine, as jobs see it.
    launcher
        Starts the flows.
    roster, results, lock
        Those of the engine.

    Notes
    -----
    `work` is called by one thread at a time, without the lock: it asks the store, and loads what the user made.
    """

    def __init__(
        self, host: Any, launcher: Any, roster: Roster, results: Results, *, lock: threading.Condition
    ) -> None:
        self._host = host
        self._launcher = launcher
        self._roster = roster
        self._results = results
        self._lock = lock
        self._asked: list[str] = []

    @property
    def asks(self) -> bool:
        """Whether jobs were made that are to be planned."""
        return bool(self._asked)

    def asked(self) -> list[str]:
        """Keys of the jobs that were made since this was asked last."""
        asked, self._asked = self._asked, []
        return asked

    def work(self) -> list[Ruling]:
        """Make what is to be made, and complete what can be completed."""
        with self._lock:
            fresh = self._roster.sequels.fresh()
        refused = [ruling for left in fresh if (ruling := self._begin(left)) is not None]
        with self._lock:
            ready = self._roster.sequels.ready()
        return [*refused, *[Ruling(self._ended(left)) for left in ready if not left.job.state.final]]

    def _begin(self, left: Left) -> Ruling | None:
        if left.job.state.final:  # it was cancelled
            return None
        tokens = CURRENT_HOST.set(self._host), CURRENT_SITE.set(left.job.site)
        try:
            assert left.outcome.value is not None
            content, made = unfold(self._results.load(left.outcome.value), self._launcher, self._start)
            with self._lock:
                self._roster.sequels.begin(left._replace(content=content))
            self._asked += [job.key for job in made if not job.state.final]
        except Exception as error:  # of keys, of arguments, of classes that are not found here
            return Ruling(_failed(left, error))
        finally:
            CURRENT_HOST.reset(tokens[0])
            CURRENT_SITE.reset(tokens[1])
        return None

    def _start(self, step: Begin) -> Job:
        job: Job = self._host.start(step.flow, step.arguments, self._launcher).as_job()
        return job

    def _ended(self, left: Left) -> Outcome:
        jobs = jobs_of(left.content)
        lenient = _lenient(left.content)
        bad = next((job for job in jobs if not job.state.good and job.key not in lenient), None)
        self._host.handled.update(job.key for job in jobs if not job.state.good)
        if bad is not None:
            text = f"{left.job.key} returned {bad.key}, which is {bad.state}: {_why(bad)}"
            return _failed(left, JobFailed(text))
        with self._lock:
            if any(self._passing(job) for job in jobs):
                self._roster.taints.spread(left.job)
        try:
            stored = self._results.dump(complete(left.content, self._results.value, failure_of))
        except Exception as error:  # a part that is not there, a class that does not load
            return _failed(left, error)
        return left.outcome._replace(state="succeeded", value=stored, final=True)

    def _passing(self, job: Job) -> bool:
        """Whether a result is not for other runs: it is made of a failure, was answered, or is never remembered."""
        if isinstance(job.task, Gatekeeper):
            return not job.state.good or not job.arguments[0].run.lasting
        return job.key in self._roster.taints.keys or not job.state.good or job.task.policy.cache is not True


def _lenient(content: Any) -> set[str]:
    """Keys of the jobs of which the failure itself is wanted, and nothing else."""
    strict: set[str] = set()
    lenient: set[str] = set()

    def leaf(item: Any) -> Any:
        if isinstance(item, Lenient):
            lenient.add(item.job.key)
        else:
            strict.update(job.key for job in jobs_of(item))
        return item

    transform(content, leaf)
    return lenient - strict


def _why(job: Job) -> str:
    outcome = job.outcome
    failure = outcome.failure if outcome is not None else None
    return f"{failure.type}: {failure.message}" if failure is not None else job.reason


def _failed(left: Left, error: Exception) -> Outcome:
    failure = describe(error)
    return left.outcome._replace(state="failed", value=None, failure=failure, reason=failure.message, final=True)
