"""What a run ends with: the value of its flow, or an error that lists what failed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from daskflow.errors import DaskflowError, RunError, RunFailed
from daskflow.execution.engine import Engine
from daskflow.graph.drafts import Draft
from daskflow.graph.facts import JobFact, RunFact
from daskflow.graph.job import PLAIN, Job, job_of_draft
from daskflow.graph.part import Part, job_of, part_of
from daskflow.graph.structure import transform
from daskflow.model.states import JobState, RunState

_LISTED = 20


def jobs_failed(run: str, failed: Sequence[Job], jobs: Sequence[Job]) -> RunFailed:
    """The error of a run some of whose jobs failed; it has the traceback of the first."""
    skipped = sum(job.state is JobState.skipped for job in jobs)
    lines = [f"{len(failed)} of the {len(jobs)} jobs of run {run} failed, {skipped} were skipped:"]
    lines += [f"  {_summary(job)}" for job in failed[:_LISTED]]
    if len(failed) > _LISTED:
        lines.append(f"  and {len(failed) - _LISTED} more: `daskflow show {run}` lists them all")
    first = failed[0].outcome
    failure = None if first is None else first.failure
    # Where there is no more than the first line of the error itself, that stands above.
    traceback = "" if failure is None else failure.traceback.rstrip()
    if failure is not None and traceback not in ("", f"{failure.type}: {failure.message.partition(chr(10))[0]}"):
        lines.append(f"{failed[0].key} raised:\n{failure.traceback}")
    return RunFailed("\n".join(lines))


def value_of(body: Callable[[], Any], engine: Engine, run: str) -> Any:
    """Execute the body of a flow and see all jobs to their ends: the value, with the results of jobs in their places.

    Raises
    ------
    RunFailed
        Some jobs or runs failed, and nobody dealt with it.
    """
    try:
        value = body()
    except Exception as error:
        # One failed job takes down only what depends on it: the others go on to their ends.
        _settle(engine, error)
        jobs = _in_order(engine)
        failed = [job for job in _failed(jobs) if job.key not in noticed(jobs)]
        if isinstance(error, RunError) and failed:
            raise jobs_failed(run, failed, jobs) from error
        raise
    returned = jobs_in(value)
    engine.expect(returned)
    engine.wait_all()
    _await(engine.children)
    for job in returned:
        if not job.state.good:
            engine.wait(job)
    _refuse_failures(engine, run, [job for job in returned if not job.state.good])
    results = engine.gather({job.key: job for job in returned}.values())
    return with_results(value, results)


def _refuse_failures(engine: Engine, run: str, bad: Sequence[Job]) -> None:
    jobs = _in_order(engine)
    handled = engine.handled | noticed(jobs)
    failed = [job for job in _failed(jobs) if job.key not in handled or job in bad] or bad
    if failed:
        raise jobs_failed(run, failed, jobs) from failed[0].error().__cause__
    unseen = [child for child in engine.children if not child.seen and child.id not in handled]
    lost = [child for child in unseen if child.state is not RunState.succeeded]
    if lost:
        raise runs_failed(run, lost) from lost[0].error


def _settle(engine: Engine, error: Exception) -> None:
    try:
        engine.wait_all()
        _await(engine.children)
    except DaskflowError as second:
        if second is not error:
            raise second from error


def _await(children: Sequence[Any]) -> None:
    for child in children:
        child.wait()


def _in_order(engine: Engine) -> list[Job]:
    return sorted(engine.jobs.copy().values(), key=lambda job: job.number)


def _failed(jobs: Sequence[Job]) -> list[Job]:
    return [job for job in jobs if job.state is JobState.failed]


def noticed(jobs: Sequence[Job]) -> set[str]:
    """Keys of jobs, and ids of runs, in spite of whose failure others have started: that failure is dealt with."""
    found: set[str] = set()
    for job in jobs:
        if job.terms is not PLAIN and job.state is not JobState.skipped:
            found |= job.terms.lenient
            facts = job.terms.condition.facts if job.terms.condition is not None else ()
            found.update(fact.job.key for fact in facts if isinstance(fact, JobFact))
            found.update(fact.run.id for fact in facts if isinstance(fact, RunFact))
    return found


def runs_failed(run: str, lost: Sequence[Any]) -> RunFailed:
    """The error of a run that started others which did not end well."""
    listed = "\n".join(f"  {child.id}: {child.state}" for child in lost[:_LISTED])
    return RunFailed(f"{len(lost)} runs that {run} started did not end well:\n{listed}")


def jobs_in(value: Any) -> list[Job]:
    """The jobs in what a flow returned."""
    found: list[Job] = []

    def leaf(item: Any) -> Any:
        if isinstance(item, (Job, Draft)):
            found.append(job_of_draft(item))
        elif isinstance(item, Part):
            found.append(job_of(item))
        return item

    transform(value, leaf)
    return found


def with_results(value: Any, results: Mapping[str, Any]) -> Any:
    """What a flow returned, with the results of its jobs in their places."""
    return transform(value, lambda leaf: _result_of(leaf, results))


def _result_of(leaf: Any, results: Mapping[str, Any]) -> Any:
    if isinstance(leaf, (Job, Draft)):
        return results[job_of_draft(leaf).key]
    return part_of(leaf, results[job_of(leaf).key]) if isinstance(leaf, Part) else leaf


def _summary(job: Job) -> str:
    outcome = job.outcome
    if outcome is not None and outcome.failure is not None:
        return f"{job.key}: {outcome.failure.type}: {outcome.failure.message.partition(chr(10))[0]}"
    return f"{job.key}: {job.state}: {job.reason}"
