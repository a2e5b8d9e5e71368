"""What becomes of jobs whose worker was lost, or whose memory was too little."""

from __future__ import annotations

import time

from daskflow.errors import DaskflowError, OutOfMemory, WorkerLost, error_of
from daskflow.execution.sending.needing import Needing
from daskflow.execution.worker.failures import describe
from daskflow.execution.worker.retry import retry_on
from daskflow.graph.job import Job
from daskflow.model.outcome import Failure, Outcome
from daskflow.sites import Site

_OUT_OF_MEMORY = f"{OutOfMemory.__module__}.{OutOfMemory.__name__}"


def lost(job: Job, reason: str, failures: int) -> Outcome:
    """What is recorded of a job whose node its site gave up; not final where its policy allows another attempt.

    Parameters
    ----------
    reason
        What the site says: a text, before which the name of an error may stand: `NodeFailure: ...`.
    failures
        How many attempts at the job failed before.
    """
    name, _, text = reason.partition(": ")
    found = error_of(name) if text else None
    error: DaskflowError = WorkerLost(reason) if found is None else found(text)
    now, policy = time.time(), job.task.policy
    again, said = False, "worker lost"
    if failures < policy.retries and (found is None or found.transient):
        try:
            again = retry_on(policy.retry_on).worth(error, failures + 1)
        except Exception as second:  # the function is the user's: one job fails by that, not the run
            said += f"; not tried again, since retry_on raised {describe(second).type}: {second}"
    kind = type(error)
    failure = Failure(f"{kind.__module__}.{kind.__name__}", str(error), "")
    return Outcome(job.key, "failed", job.attempts + 1, now, now, failure=failure, reason=said, final=not again)


def outgrown(job: Job, outcome: Outcome, site: Site, needing: Needing) -> bool:
    """Whether an attempt ended for want of memory of which its job had said nothing, and the site has more for it.

    The job gets it at its next attempt.
    """
    if outcome.failure is None or outcome.failure.type != _OUT_OF_MEMORY or not outcome.final:
        return False
    if job.task.policy.resources.memory is not None:
        return False
    larger = site.larger(needing.of(job))
    if larger is None or larger.memory is None:
        return False
    needing.raise_memory(job, larger.memory)
    return True


def numbered(job: Job, outcome: Outcome) -> Outcome:
    """With the attempts counted of which its worker knew nothing: they ended with the workers that made them."""
    if outcome.attempt > job.attempts or outcome.state in ("skipped", "cached"):
        return outcome
    return outcome._replace(attempt=job.attempts + 1)
